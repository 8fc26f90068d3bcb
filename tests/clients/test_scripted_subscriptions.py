"""Subscriptions of both clients against a server that does what Flowflare's may do: frames without
a cursor, pings with a payload, a close with 1013, empty pages of the log."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from flowflare.client import FlowflareClient, Reconnect, UnexpectedAnswer
from flowflare.client.requests import TextRequest
from flowflare.client.subscriptions import Subscription
from flowflare.client.transports import Network
from scripts.project import VENV_BIN, tool_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

FOLLOW = Path(__file__).parent / "typescript" / "live" / "follow.mjs"
DEADLINE_S = 30
BUSY = 1013
PING = {"type": "ping", "payload": {"at": 1}}
QUICK = Reconnect(first=timedelta(milliseconds=50), longest=timedelta(milliseconds=200))
WATCH = """subscription Watch($after: EventCursor) {
  workflowEvents(after: $after) { cursor events { cursor } }
}"""
TOO_LONG = {"message": "too much", "extensions": {"code": "REPLAY_TOO_LONG"}}


@dataclass
class Scripted:
    """Plays one script for each connection: frames to send, or a code to close with."""

    scripts: list[list[Any]]
    url: str = ""
    asked_after: list[str | None] = field(default_factory=list)
    pongs: int = 0

    async def serve(self, connection: ServerConnection) -> None:
        """Speak graphql-transport-ws."""
        await connection.recv()
        await connection.send(json.dumps({"type": "connection_ack"}))
        subscribed = json.loads(await connection.recv())
        payload = subscribed["payload"]
        self.asked_after.append((payload.get("extensions") or {}).get("after"))
        for frame in self.scripts.pop(0):
            if isinstance(frame, int):
                await connection.close(frame, "busy")
                return
            await connection.send(json.dumps({"id": subscribed["id"], **frame}))
            if frame["type"] == "ping":
                assert json.loads(await connection.recv())["type"] == "pong"
                self.pongs += 1
        await connection.wait_closed()


@asynccontextmanager
async def scripted(*scripts: list[Any]) -> AsyncIterator[Scripted]:
    """Such a server, on a port that the system chooses."""
    found = Scripted(list(scripts))
    async with serve(
        found.serve,
        "127.0.0.1",
        0,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item] # a str is one
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        found.url = f"http://127.0.0.1:{port}"
        yield found


def page(name: str, cursor: str | None = None) -> dict[str, Any]:
    """A result with one event, with a cursor or without."""
    events = [{"instance": {"instanceId": name}, "cursor": name}]
    payload: dict[str, Any] = {"data": {"workflowEvents": {"events": events, "cursor": name}}}
    if cursor is not None:
        payload["extensions"] = {"cursor": cursor}
    return {"type": "next", "payload": payload}


COMPLETE = {"type": "complete"}
SCRIPTS: list[list[Any]] = [
    [page("a"), BUSY],
    [page("b", "0000000000000002"), PING, page("c"), BUSY],
    [page("d"), COMPLETE],
]


def names(results: Sequence[dict[str, Any]]) -> list[str]:
    return [event["cursor"] for data in results for event in data["workflowEvents"]["events"]]


@pytest.mark.parametrize("after", [None, "0000000000000001"])
async def test_python_keeps_its_last_cursor(after: str | None) -> None:
    document = WATCH.replace("workflowEvents(after: $after)", "reference") if not after else WATCH
    async with (
        asyncio.timeout(DEADLINE_S),
        scripted(*SCRIPTS) as server,
        FlowflareClient(server.url, reconnect=QUICK) as client,
        aclosing(client.subscribe(document, {"after": after})) as results,
    ):
        found = [data async for data in results]
        assert names(found) == ["a", "b", "c", "d"]
        # Without one it resumes without: the variable says where it began.
        assert server.asked_after == [None, None, "0000000000000002"]
        assert server.pongs == 1


async def test_javascript_keeps_its_last_cursor() -> None:
    async with asyncio.timeout(DEADLINE_S), scripted(*SCRIPTS) as server:
        process = await asyncio.create_subprocess_exec(
            VENV_BIN / "node",
            FOLLOW,
            "any",
            "0000000000000001",
            env={**tool_environment(), "FLOWFLARE_URL": server.url, "FLOWFLARE_API_KEY": "key"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["id"] for line in lines if "id" in line] == ["a", "b", "c", "d"]
    first, *others = server.asked_after
    assert (others, server.pongs) == ([first, "0000000000000002"], 1)


def subscription(server: Scripted, pages: list[dict[str, Any]]) -> tuple[Subscription, list[Any]]:
    """A subscription whose log has these pages, and the cursors after which they are requested."""
    asked: list[Any] = []

    async def execute(document: str, variables: Any, **more: Any) -> dict[str, Any]:
        asked.append(variables["after"])
        return {"workflowEvents": pages.pop(0)}

    made = Subscription(
        Network(server.url, api_key=None, timeout=timedelta(seconds=5)),
        TextRequest(WATCH, {"after": "01"}),
        execute=execute,
        reconnect=QUICK,
    )
    return made, asked


async def test_an_empty_page_of_the_log_is_not_its_end() -> None:
    refused = {"type": "error", "payload": [TOO_LONG]}
    async with (
        asyncio.timeout(DEADLINE_S),
        scripted([refused], [page("d"), COMPLETE]) as server,
    ):
        following, asked = subscription(
            server,
            [
                {"events": [], "cursor": "02", "hasMore": True},
                {"events": [{"cursor": "b"}], "cursor": "03", "hasMore": True},
                {"events": [], "cursor": "04", "hasMore": False},
            ],
        )
        async with aclosing(following.results()) as results:
            assert names([data async for data in results]) == ["b", "d"]
        assert asked == ["01", "02", "03"]
        assert server.asked_after == [None, "04"]


async def test_a_log_whose_cursor_does_not_move_is_not_read_for_ever() -> None:
    refused = {"type": "error", "payload": [TOO_LONG]}
    async with asyncio.timeout(DEADLINE_S), scripted([refused]) as server:
        stuck = {"events": [], "cursor": "02", "hasMore": True}
        following, asked = subscription(server, [stuck, stuck])
        async with aclosing(following.results()) as results:
            with pytest.raises(UnexpectedAnswer, match="none behind 02"):
                await anext(results)
        assert asked == ["01", "02"]
