"""The Worker: the entry points that workerd calls."""

import logging
from collections.abc import Coroutine
from typing import Any

from workers import WorkerEntrypoint

from examples.order_processing.workflow import OrderProcessing
from resolvers.engine.reconciliation import reconcile, renotify_trackers
from resolvers.writing.retention import remove_expired
from schema.edge import application, fetch_handler, perform, serve_bound
from tracker_do import tracker

_log = logging.getLogger("flowflare")

__all__ = ["FlowflareService", "OrderProcessing", "WorkflowTracker", "on_fetch", "on_scheduled"]


class WorkflowTracker(tracker.WorkflowTracker):
    """The Durable Object that serves subscriptions, to the schema of this Worker."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env, application())


class FlowflareService(WorkerEntrypoint):
    """What other Workers bind to: the same routes as for everybody, without a key. Only a service
    binding, or `ctx.exports` in this Worker, leads here."""

    async def on_fetch(self, request: Any) -> Any:
        """Answer a request that may read and write, unless it sends a key or token of its own."""
        return await serve_bound(request.js_object)


def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
    """Answer the isolate's first HTTP request, and hand the later ones to JavaScript.

    The runtime looks the handler up by this name at each request. It cannot be JavaScript's
    from the start: a snapshot of this module keeps no JavaScript state.
    """
    handler = globals()["on_fetch"] = fetch_handler()
    return handler(request)


async def on_scheduled(controller: Any, env: Any, ctx: Any) -> None:
    """Cron trigger: repair what got lost between a write, the engine and who should have been told,
    and remove what is kept no longer."""
    services = application().services
    jobs: dict[str, Coroutine[Any, Any, Any]] = {
        "looking at the log again": renotify_trackers(services.database),
        "reconciling": reconcile(services.database, services.engine),
        "retention": remove_expired(services.database),
    }
    for name, job in jobs.items():
        try:
            await perform(job)
        except Exception:  # the others have their own reasons to be done
            _log.exception("The cron trigger failed at %s", name)
