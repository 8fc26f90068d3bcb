"""The typed client of Flowflare's API: start, query, follow and control workflows.

`FlowflareClient` is asynchronous, `SyncFlowflareClient` is not; inputs and results are pydantic
models with the API's names. Everything is loaded when it is first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowflare.client.generated import *  # noqa: F403
    from flowflare.client.subscriptions import Reconnect
    from flowflare.errors import (
        Ambiguous,
        FlowflareError,
        Forbidden,
        GraphQLRequestError,
        InvalidVariable,
        Unauthenticated,
        UnexpectedAnswer,
        Unreachable,
    )

__all__ = [
    "Ambiguous",
    "FlowflareClient",  # noqa: F405
    "FlowflareError",
    "Forbidden",
    "GraphQLRequestError",
    "InvalidVariable",
    "Reconnect",
    "SyncFlowflareClient",  # noqa: F405
    "Unauthenticated",
    "UnexpectedAnswer",
    "Unreachable",
]

_ERRORS = frozenset(__all__) - {"FlowflareClient", "SyncFlowflareClient", "Reconnect"}

if not TYPE_CHECKING:  # type checkers use the imports above

    def __getattr__(name: str) -> Any:
        if name in _ERRORS:
            module = "flowflare.errors"
        elif name == "Reconnect":
            module = "flowflare.client.subscriptions"
        else:
            module = "flowflare.client.generated"
        try:
            value = getattr(import_module(module), name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        globals()[name] = value
        return value
