"""The Worker: the entry points that workerd calls."""

import logging
from collections.abc import Coroutine
from typing import Any

from workers import WorkerEntrypoint

from examples.order_processing.workflow import OrderProcessing
from follower_do.follower import WorkflowFollower, WorkflowHistories
from resolvers.engine.reconciliation import reconcile, renotify_trackers
from resolvers.writing.retention import remove_expired
from schema.edge import application, fetch_handler, perform, serve_bound
from tracker_do import tracker

_log = logging.getLogger("flowflare")

__all__ = [
    "FlowflareService",
    "OrderProcessing",
    "WorkflowFollower",
    "WorkflowHistories",
    "WorkflowTracker",
    "on_fetch",
    "on_scheduled",
]


class WorkflowTracker(tracker.WorkflowTracker):
    """The Durable Object that serves subscriptions, to the schema of this Worker."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env, application())


class FlowflareService(WorkerEntrypoint):
    """The entrypoint for service bindings: the same routes as for everybody, without a key. Only a
    service binding, or `ctx.exports` in this Worker, reaches it."""

    async def on_fetch(self, request: Any) -> Any:
        """Respond to a request with the WRITE scope, unless it sends a key or token of its own."""
        return await serve_bound(request.js_object)


def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
    """Respond to the isolate's first HTTP request, and let JavaScript respond to the later ones.

    The runtime finds the handler by this name at each request. It cannot be the JavaScript
    function from the start: a snapshot of this module keeps no JavaScript state.
    """
    handler = globals()["on_fetch"] = fetch_handler()
    return handler(request)


async def on_scheduled(controller: Any, env: Any, ctx: Any) -> None:
    """Cron trigger: repair lost notifications and drift, and remove expired instances."""
    services = application().services
    jobs: dict[str, Coroutine[Any, Any, Any]] = {
        "renewing notifications": renotify_trackers(services.database),
        "reconciling": reconcile(services.database, services.engine),
        "retention": remove_expired(services.database),
    }
    for name, job in jobs.items():
        try:
            await perform(job)
        except Exception:  # the other jobs must still be done
            _log.exception("The cron trigger failed at %s", name)
