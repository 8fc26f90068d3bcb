"""Counts the use of the platform in the measured Worker; see counters.mjs."""

from typing import Any

from workers import Response, WorkerEntrypoint, import_from_javascript

_counters = import_from_javascript("counting/counters.mjs")


class Counts(WorkerEntrypoint):
    """Responds with the counts so far."""

    async def on_fetch(self, request: Any) -> Response:
        """Respond with JSON."""
        return Response(_counters.read())


def count(service: Any, follower: Any) -> None:
    """Count calls of an entrypoint for service bindings, and what the follower's objects use."""
    serve, open_object = service.on_fetch, follower.__init__

    async def serve_counted(self: Any, request: Any) -> Any:
        _counters.countCall()
        return await serve(self, request)

    def open_counted(self: Any, ctx: Any, env: Any) -> None:
        open_object(self, ctx, env)
        _counters.observeObject(self.ctx._ctx)
        self.follow = _counters.countHandler(self.follow, "requests")
        self.on_alarm = _counters.countHandler(self.on_alarm, "alarms")

    service.on_fetch, follower.__init__ = serve_counted, open_counted
