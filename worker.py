"""The Worker: the entry points that workerd calls."""

from typing import Any

from examples.order_processing.workflow import OrderProcessing
from schema.edge import serve
from tracker_do.tracker import WorkflowTracker

__all__ = ["OrderProcessing", "WorkflowTracker", "on_fetch"]


def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
    """Answer an HTTP request: JavaScript's promise goes straight back to the runtime."""
    return serve(request)
