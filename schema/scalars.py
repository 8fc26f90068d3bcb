"""The custom scalars. D1 stores their values as they are sent, so results need no conversion."""

from typing import Any, NewType

import strawberry
from graphql import Undefined, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from resolvers.base.instants import parse_instant
from resolvers.base.limits import MAX_DURATION_MS
from resolvers.compiling.planners.events import parse_cursor

DateTime = NewType("DateTime", str)
JSON = NewType("JSON", object)
Duration = NewType("Duration", int)
EventCursor = NewType("EventCursor", str)


# A ValueError, unlike a GraphQLError, is reported with the location of the literal.
def _duration(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DURATION_MS:
        raise ValueError("must be a whole number of milliseconds, 0 or more")
    return value


def _json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    return _without_undefined(value_from_ast_untyped(node, variables))


def _without_undefined(value: Any) -> Any:
    """Drop members whose variable was not given; in a list such a variable is null."""
    if isinstance(value, list):
        return [None if item is Undefined else _without_undefined(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _without_undefined(item) for name, item in value.items() if item is not Undefined
        }
    return value


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="An instant in UTC, RFC 3339 with milliseconds: 2026-11-22T10:00:00.000Z",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        parse_value=parse_instant,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value",
        parse_value=lambda value: value,
        parse_literal=_json_literal,
    ),
    Duration: strawberry.scalar(
        name="Duration", description="A span of time in milliseconds", parse_value=_duration
    ),
    EventCursor: strawberry.scalar(
        name="EventCursor",
        description="Opaque position in the event log. Ordered: a later event has a later cursor",
        parse_value=parse_cursor,
    ),
}
