"""The Worker: the entry points that workerd calls."""

from typing import Any

from examples.order_processing.workflow import OrderProcessing
from resolvers.reconcile import start_queued
from schema.edge import application, perform, serve
from tracker_do.tracker import WorkflowTracker

__all__ = ["OrderProcessing", "WorkflowTracker", "on_fetch", "on_scheduled"]


def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
    """Answer an HTTP request: JavaScript's promise goes straight back to the runtime."""
    return serve(request)


async def on_scheduled(controller: Any, env: Any, ctx: Any) -> None:
    """Cron trigger: hand the engine the starts that it has not got."""
    services = application().services
    await perform(start_queued(services.database, services.engine))
