"""Real subscription clients: npm `graphql-ws` and `graphql-sse` in Node, and `gql` in Python."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any, cast

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport

from scripts.project import ROOT, VENV_BIN, tool_environment
from tests.support.closing import Closing
from tests.worker.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.local_server import LocalServer

RETRY_S = 0.05


def socket_url(server: LocalServer) -> str:
    """The WebSocket URL of a server."""
    return f"{server.url.replace('http', 'ws', 1)}/graphql"


class NodeClients(Closing):
    """Clients of npm `graphql-ws` and `graphql-sse` in one Node process (see subscriber.mjs)."""

    def __init__(self) -> None:
        self._inboxes: dict[str, Inbox] = {}
        self._writing = threading.Lock()
        self._process = subprocess.Popen(
            [VENV_BIN / "node", "tests/worker/subscriber.mjs"],
            cwd=ROOT,
            env=tool_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(
        self, client: str, server: LocalServer, *, key: str | None = None, keep_alive_ms: int = 0
    ) -> Inbox:
        """Open a graphql-ws client, which reconnects by itself; an inbox of what happens to it.

        With `keep_alive_ms` it sends pings at that interval.
        """
        inbox = self._inboxes[client] = Inbox(client)
        url, key = socket_url(server), key or server.key
        self._do("open", client=client, url=url, key=key, keepAlive=keep_alive_ms)
        return inbox

    def subscribe(
        self,
        client: str,
        id_: str,
        query: str,
        *,
        variables: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> Inbox:
        """Start an operation of any kind; an inbox of its messages.

        With `resume` the client sends its last cursor when it reconnects.
        """
        inbox = self._inboxes[id_] = Inbox(id_)
        payload = {"query": query, "variables": dict(variables or {})}
        self._do("subscribe", client=client, id=id_, payload=payload, resume=resume)
        return inbox

    def stream(
        self, id_: str, server: LocalServer, query: str, *, variables: Mapping[str, Any]
    ) -> Inbox:
        """Start an operation with graphql-sse."""
        inbox = self._inboxes[id_] = Inbox(id_)
        payload = {"query": query, "variables": dict(variables)}
        url = f"{server.url}/graphql"
        self._do("stream", id=id_, url=url, key=server.key, payload=payload)
        return inbox

    def complete(self, id_: str) -> None:
        """End an operation."""
        self._do("complete", id=id_)

    def drop(self, client: str) -> None:
        """Break a client's connection."""
        self._do("drop", client=client)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)

    def _do(self, do: str, **order: object) -> None:
        assert self._process.stdin is not None
        with self._writing:
            self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                message = json.loads(line)
                self._inboxes[message.get("id") or message["client"]].add(message)


class GqlSubscriber(Closing):
    """A `gql` client with one subscription, in its own thread; it reconnects with its last cursor
    until it is closed."""

    def __init__(
        self,
        name: str,
        server: LocalServer,
        query: str,
        *,
        variables: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> None:
        self.inbox = Inbox(name)
        self._url = socket_url(server)
        self._key = key or server.key
        self._query = query
        self._variables = dict(variables or {})
        self._transport: WebsocketsTransport | None = None
        self._loop = asyncio.new_event_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def drop(self) -> None:
        """Break the connection."""
        self._loop.call_soon_threadsafe(self._abort)

    def close(self) -> None:
        """Break the connection, and do not reconnect."""
        self._closing = True
        self.drop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _abort(self) -> None:
        if self._transport is not None:
            # gql cannot break a connection itself; the connection of `websockets` inside it can.
            connection = cast("Any", self._transport.adapter).websocket
            if connection is not None:
                connection.transport.abort()

    def _work(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._follow()
            except (TransportError, OSError, TimeoutError) as error:
                self.inbox.add({"happened": "lost", "error": repr(error)})
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        cursor = self.inbox.cursor
        request = GraphQLRequest(
            self._query,
            variable_values=self._variables,
            extensions={"after": cursor} if cursor else None,
        )
        authorization = {"authorization": f"Bearer {self._key}"}
        self._transport = WebsocketsTransport(self._url, init_payload=authorization)
        async with Client(transport=self._transport) as session:
            self.inbox.add({"happened": "connected"})
            async for result in session.subscribe(request, get_execution_result=True):
                payload = {"data": result.data, "extensions": result.extensions}
                self.inbox.add({"happened": "next", "payload": payload})
