"""Flowflare for Python: track Cloudflare Workflows, query them and act on them.

`flowflare.workflows` is for Python Workers and needs Cloudflare's runtime; this module does not.
Everything is loaded when it is first used, so the command line starts without the tracking.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowflare.calls import Attempt
    from flowflare.errors import Denied, FlowflareError, NonRetryableError, Refused, Unreachable
    from flowflare.outside import track_step
    from flowflare.retries import Retries
    from flowflare.runners import tracked
    from flowflare.service import Flowflare
    from flowflare.steps import TrackedStep

__all__ = [
    "Attempt",
    "Denied",
    "Flowflare",
    "FlowflareError",
    "NonRetryableError",
    "Refused",
    "Retries",
    "TrackedStep",
    "Unreachable",
    "track_step",
    "tracked",
]

_MODULES = {
    "Attempt": "calls",
    "Flowflare": "service",
    "Retries": "retries",
    "TrackedStep": "steps",
    "track_step": "outside",
    "tracked": "runners",
}
"""The modules of the names that are not in `errors`."""

if not TYPE_CHECKING:  # type checkers use the imports above

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"flowflare.{_MODULES.get(name, 'errors')}")
        globals()[name] = value = getattr(module, name)
        return value
