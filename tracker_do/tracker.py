"""The Durable Object's class, which connects the tracker to the runtime with `edge.mjs`."""

import json
from typing import Any, Protocol

from pyodide.ffi import create_proxy
from workers import DurableObject, import_from_javascript

from resolvers.runtime.database import CommandDatabase
from resolvers.runtime.runner import Runner
from tracker_do import operations
from tracker_do.server import Server
from tracker_do.settings import settings

_EDGE = import_from_javascript("tracker_do/edge.mjs")
_RUNNER = Runner()
_servers: list[Server] = []


class Host(operations.Host, Protocol):
    """The parts of the Worker that the tracker uses, and its settings."""

    @property
    def max_sockets(self) -> int:
        """The number of sockets that a shard accepts."""
        ...


class WorkflowTracker(DurableObject):
    """One shard of the tracker. Its handlers are JavaScript functions, so a message or a poll costs
    one call of Python with text, and no task of an event loop."""

    def __init__(self, ctx: Any, env: Any, host: Host) -> None:
        super().__init__(ctx, env)
        _install(host)
        shard = _EDGE.open(self.ctx._ctx)
        # The runtime looks these names up, as it does for handlers at module level.
        self.on_webSocketMessage = shard.onMessage
        self.on_webSocketClose = shard.onClose
        self.on_webSocketError = shard.onError
        self.on_alarm = shard.onAlarm
        self.notify = shard.notify
        self._shard = shard

    async def on_fetch(self, request: Any) -> Any:
        """Accept a WebSocket. The Worker has checked the headers, and uses another URL for sockets
        that came over a service binding (see schema/tracker.mjs)."""
        return self._shard.accept(request.url == "https://tracker/bound")

    async def status(self) -> str:
        """The shard's status as JSON."""
        return str(self._shard.status())


def _install(host: Host) -> None:
    """Hand this isolate's functions and settings to the edge, once; they outlive the call."""
    if _servers:
        return
    instance = Server(host, CommandDatabase(silent=True))
    _servers.append(instance)

    def execute(who: str, operation_id: str, payload: str, failure: str) -> str:
        task = instance.execute(who, operation_id, payload)
        return _RUNNER.start(task, speculate=True, failure=failure)

    def poll(request: str) -> str:
        return _RUNNER.start(instance.poll(request))

    functions = (instance.receive, instance.revoked_keys, execute, poll, _RUNNER.resume)
    data = json.dumps(settings(max_sockets=host.max_sockets))
    _EDGE.install(data, *(create_proxy(function) for function in functions))
