"""A WebSocket whose frames a test writes itself."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.closing import Closing
from tests.worker.subscribers import socket_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scripts.local_server import LocalServer

PROTOCOL = "graphql-transport-ws"
PING = {"type": "ping"}
DEADLINE_S = 20.0


class RawSocket(Closing):
    """One connection to a server; it is closed by the test's end."""

    def __init__(
        self,
        server: LocalServer,
        *,
        subprotocols: Sequence[str] | None = (PROTOCOL,),
        answers_pings: bool = True,
    ) -> None:
        self._answers_pings = answers_pings
        self.key = server.key
        self._stack = ExitStack()
        opening = connect(
            socket_url(server),
            subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
            compression=None,
            ping_interval=None,
            # Whatever comes is taken at once, as long as it waits to be read.
            max_size=None,
            max_queue=None,
            close_timeout=5,
        )
        self.connection: ClientConnection = self._stack.enter_context(opening)

    def send(self, message: object) -> None:
        """Send text or bytes as they are, and anything else as JSON."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        self.connection.send(raw)

    def send_all(self, *messages: object) -> None:
        """Send what may be refused before all of it was sent."""
        with suppress(ConnectionClosed):
            for message in messages:
                self.send(message)

    def receive(self, *, seconds: float = DEADLINE_S) -> Any:
        """The next message; a ping, if it answers them, is answered and not shown."""
        deadline = time.monotonic() + seconds
        while True:
            message = json.loads(
                self.connection.recv(timeout=max(0.001, deadline - time.monotonic()))
            )
            if not self._answers_pings or message != PING:
                return message
            self.send({"type": "pong"})

    def receive_until(
        self, done: Callable[[list[Any]], bool], *, seconds: float = DEADLINE_S
    ) -> list[Any]:
        """The messages up to the one with which `done` says that they are enough."""
        deadline = time.monotonic() + seconds
        received: list[Any] = []
        while not done(received):
            try:
                left = max(0.001, deadline - time.monotonic())
                received.append(self.receive(seconds=left))
            except (TimeoutError, ConnectionClosed) as error:
                raise AssertionError(f"{error!r}; there is only {received[-10:]}") from error
        return received

    def init(self, *, key: str | None = None) -> Self:
        """Be let in."""
        self.send(init_frame(key or self.key))
        answer = self.receive()
        assert answer == {"type": "connection_ack"}
        return self

    def subscribe(
        self,
        operation_id: str,
        query: str,
        *,
        variables: Mapping[str, Any] | None = None,
        **payload: object,
    ) -> None:
        """Start an operation of any kind."""
        request = {"query": query, "variables": dict(variables or {}), **payload}
        self.send({"type": "subscribe", "id": operation_id, "payload": request})

    def ask(self, query: str, *, seconds: float = DEADLINE_S, **variables: Any) -> list[Any]:
        """Execute a query or a mutation; all that comes up to its end, which comes last.

        Whatever was sent to this socket before is in front of it.
        """
        self.subscribe("ask", query, variables=variables)
        ends = ("complete", "error")
        return self.receive_until(
            lambda got: bool(got) and got[-1].get("id") == "ask" and got[-1]["type"] in ends,
            seconds=seconds,
        )

    def flushed(self) -> list[Any]:
        """All that was sent to this socket so far and is not read yet."""
        # Spaced, so that the object answers it, behind what it has sent.
        self.send('{"type": "ping", "payload": {"flush": true}}')
        pong = {"type": "pong", "payload": {"flush": True}}
        return self.receive_until(lambda got: got[-1:] == [pong])[:-1]

    def closed(self, *, seconds: float = DEADLINE_S) -> tuple[int, str]:
        """Code and reason of the server's close, once it came; nothing else may come before."""
        messages, code, reason = self.drained(seconds=seconds)
        assert messages == []
        return code, reason

    def refused(self, *, seconds: float = DEADLINE_S) -> tuple[int, str]:
        """Code and reason of the server's close frame, whether or not the connection has ended."""
        deadline = time.monotonic() + seconds
        while (frame := self.connection.protocol.close_rcvd) is None:
            assert time.monotonic() < deadline, "still open"
            time.sleep(0.01)
        return frame.code, frame.reason

    def drained(self, *, seconds: float = DEADLINE_S) -> tuple[list[Any], int, str]:
        """All messages up to the server's close, its code and its reason."""
        deadline = time.monotonic() + seconds
        messages: list[Any] = []
        try:
            while True:
                left = max(0.001, deadline - time.monotonic())
                messages.append(self.receive(seconds=left))
        except ConnectionClosed as closed:
            received = closed.rcvd
            assert received is not None, f"no close frame after {messages[-10:]}"
            return messages, received.code, received.reason
        except TimeoutError as error:
            raise AssertionError(f"still open after {messages[-10:]}") from error

    def close(self) -> None:
        """Close it."""
        self._stack.close()


def init_frame(key: str) -> dict[str, Any]:
    """The frame that asks to be let in."""
    return {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}


def events_of(messages: list[Any], operation_id: str) -> list[Any]:
    """The events that `next` messages of a subscription to `workflowEvents` bring."""
    return [
        event
        for message in messages
        if message["type"] == "next" and message["id"] == operation_id
        for page in message["payload"]["data"].values()
        for event in page["events"]
    ]


def read_on(socket: RawSocket, got: list[Any], count: int) -> list[Any]:
    """The messages so far and to come, without pings, which are answered, up to so many events."""
    messages = [message for message in got if message != PING]
    if PING in got:
        socket.send({"type": "pong"})
    while len(events_of(messages, "1")) < count:
        message = socket.receive()
        if message == PING:
            socket.send({"type": "pong"})
        else:
            messages.append(message)
    return messages


def unread(messages: list[Any]) -> int:
    """The characters of messages."""
    return sum(len(json.dumps(message, separators=(",", ":"))) for message in messages)
