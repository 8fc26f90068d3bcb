"""The Durable Object's class: where the tracker meets the runtime, with `edge.mjs`."""

import json
from typing import Any, Protocol

from pyodide.ffi import create_proxy
from workers import DurableObject, import_from_javascript

from resolvers.base import limits
from resolvers.runtime.database import CommandDatabase
from resolvers.runtime.runner import Runner
from tracker_do import server
from tracker_do.server import Server

_EDGE = import_from_javascript("tracker_do/edge.mjs")
_RUNNER = Runner()
_LIMITS = {
    "roundEvents": limits.MAX_POLL_EVENTS,
    "unreadCharacters": limits.MAX_UNREAD_CHARACTERS,
    "pongTimeoutMs": limits.PONG_TIMEOUT_MS,
    "initTimeoutMs": limits.INIT_TIMEOUT_MS,
    "watchAgainMs": limits.POLL_AGAIN_MS,
    "maxRetryMs": limits.MAX_RETRY_MS,
    "frameBytes": limits.MAX_FRAME_BYTES,
    "initFrameBytes": limits.MAX_INIT_FRAME_BYTES,
    "initFrames": limits.MAX_INIT_FRAMES,
    "operations": limits.MAX_CONCURRENT_OPERATIONS,
    "replays": limits.MAX_POLL_REPLAYS,
    "json": {"depth": limits.MAX_BODY_DEPTH, "values": limits.MAX_BODY_VALUES},
}
_servers: list[Server] = []


class Host(server.Host, Protocol):
    """What the Worker lends the tracker."""

    @property
    def max_sockets(self) -> int:
        """How many sockets a shard takes."""
        ...


class WorkflowTracker(DurableObject):
    """One shard of the tracker. Its handlers are JavaScript's, so that a message or a round costs
    one call of Python with text, and no task of an event loop."""

    def __init__(self, ctx: Any, env: Any, host: Host) -> None:
        super().__init__(ctx, env)
        _install(host)
        shard = _EDGE.open(self.ctx._ctx)
        # The names that the runtime asks for where handlers are allowed at module level.
        self.on_webSocketMessage = shard.message
        self.on_webSocketClose = shard.closed
        self.on_webSocketError = shard.broken
        self.on_alarm = shard.alarm
        self.notify = shard.notify
        self._shard = shard

    async def on_fetch(self, request: Any) -> Any:
        """Accept a WebSocket; the Worker has looked at its headers, and says by the address
        whether it came over a service binding (see schema/tracker.mjs)."""
        return self._shard.accept(request.url == "https://tracker/bound")

    async def status(self) -> str:
        """What the shard is at, as JSON."""
        return str(self._shard.status())


def _install(host: Host) -> None:
    """Hand the edge this isolate's functions, once; they outlive the call."""
    if _servers:
        return
    instance = Server(host, CommandDatabase(silent=True))
    _servers.append(instance)

    def execute(who: str, operation_id: str, payload: str, failure: str) -> str:
        task = instance.execute(who, operation_id, payload)
        return _RUNNER.start(task, speculate=True, failure=failure)

    def look(asked: str) -> str:
        return _RUNNER.start(instance.look(asked))

    functions = (instance.receive, instance.unwelcome, execute, look, _RUNNER.resume)
    numbers = {"sockets": host.max_sockets, **_LIMITS}
    _EDGE.install(json.dumps(numbers), *(create_proxy(function) for function in functions))
