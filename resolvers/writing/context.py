"""What a mutation's handler gets and returns."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.access.principals import Principal
from resolvers.ports.database import Database, Statement, Value
from resolvers.ports.engine import Engine

# JSON text, or the handle of JSON text that is outside Python.
Pieces: TypeAlias = list[Any]


class Services(Protocol):
    """What mutations act on."""

    database: Database
    engine: Engine
    gatekeeper: Gatekeeper


class MutationContext(Protocol):
    """One mutation field of one request."""

    services: Services
    principal: Principal
    # Whether nothing but the response follows the field.
    last: bool
    arguments: dict[str, Any]

    def select(self, type_name: str, *, parts: int = 1, **values: Value) -> Statement:
        """The SELECT of the field's selection on a payload type that is read from D1: one of
        `parts` that share what the field's result may hold."""
        ...

    def render(self, type_name: str, values: dict[str, object]) -> str:
        """The field's selection on a payload type that is not."""
        ...


Handler: TypeAlias = Callable[[Any], Awaitable[Pieces]]
