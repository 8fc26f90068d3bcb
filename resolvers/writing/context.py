"""The parameter and the result of a mutation's handler."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.access.principals import Principal
from resolvers.base.scrubbing import Scrubber
from resolvers.ports.database import Database, Statement, Value
from resolvers.ports.engine import Engine

# Texts that joined are JSON. A text that stays outside Python is represented by its handle.
Pieces: TypeAlias = list[Any]


class Services(Protocol):
    """The services that mutations use."""

    database: Database
    engine: Engine
    scrubber: Scrubber
    gatekeeper: Gatekeeper


class MutationContext(Protocol):
    """One mutation field of one request."""

    services: Services
    principal: Principal
    # True if only the response follows the field.
    last: bool
    arguments: dict[str, Any]

    def select(self, type_name: str, *, parts: int = 1, **values: Value) -> Statement:
        """Make the SELECT of the field's selection on a payload type that is read from D1.

        It is one of `parts` statements that share the bytes of the field's result. `values` are
        those that the type's source needs (see planners/payloads.py). Raises RequestError if the
        result may have too many objects.
        """
        ...

    def render(self, type_name: str, values: dict[str, object]) -> str:
        """Render the field's selection on a payload type whose values are given.

        Raises RequestError if the type is not a member of the field's result union.
        """
        ...


Handler: TypeAlias = Callable[[Any], Awaitable[Pieces]]
