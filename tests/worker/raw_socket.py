"""A WebSocket client whose frames the test writes itself."""

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
    """One connection to a server, a context manager that closes it."""

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
            # Frames are received at once, however many the test has not read yet.
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
        """Send messages; the server may close the socket before all are sent."""
        with suppress(ConnectionClosed):
            for message in messages:
                self.send(message)

    def receive(self, *, seconds: float = DEADLINE_S) -> Any:
        """The next message. Pings are answered and left out, unless `answers_pings` is false."""
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
        """Receive messages until `done` is true of them."""
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
        """Send `connection_init` and wait for the acknowledgement."""
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
        """Execute a query or a mutation; all messages up to its end.

        Messages that were sent to this socket before come first.
        """
        self.subscribe("ask", query, variables=variables)
        ends = ("complete", "error")
        return self.receive_until(
            lambda got: bool(got) and got[-1].get("id") == "ask" and got[-1]["type"] in ends,
            seconds=seconds,
        )

    def flushed(self) -> list[Any]:
        """All messages that were sent to this socket and not read yet."""
        # The spaces keep the runtime from answering for the object; its pong comes after all else.
        self.send('{"type": "ping", "payload": {"flush": true}}')
        pong = {"type": "pong", "payload": {"flush": True}}
        return self.receive_until(lambda got: got[-1:] == [pong])[:-1]

    def closed(self, *, seconds: float = DEADLINE_S) -> tuple[int, str]:
        """Wait for the server's close; its code and reason. Fail if a message comes before."""
        messages, code, reason = self.drained(seconds=seconds)
        assert messages == []
        return code, reason

    def refused(self, *, seconds: float = DEADLINE_S) -> tuple[int, str]:
        """Wait for the server's close frame; return code and reason. The socket may stay open."""
        deadline = time.monotonic() + seconds
        while (frame := self.connection.protocol.close_rcvd) is None:
            assert time.monotonic() < deadline, "still open"
            time.sleep(0.01)
        return frame.code, frame.reason

    def drained(self, *, seconds: float = DEADLINE_S) -> tuple[list[Any], int, str]:
        """Wait for the server's close; all messages before it, its code and its reason."""
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
        """Close the connection."""
        self._stack.close()


def init_frame(key: str) -> dict[str, Any]:
    """A `connection_init` with a key."""
    return {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}


def events_of(messages: list[Any], operation_id: str) -> list[Any]:
    """The events in the `next` messages of a subscription to `workflowEvents`."""
    return [
        event
        for message in messages
        if message["type"] == "next" and message["id"] == operation_id
        for page in message["payload"]["data"].values()
        for event in page["events"]
    ]


def read_on(socket: RawSocket, got: list[Any], count: int) -> list[Any]:
    """Add messages to `got` until they have `count` events; pings are answered and left out."""
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


def characters_of(messages: list[Any]) -> int:
    """The number of characters of messages."""
    return sum(len(json.dumps(message, separators=(",", ":"))) for message in messages)
