"""Declarations of fields: a description, arguments, and the SQL or the handler of the field."""

from collections.abc import Callable
from typing import Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument

from resolvers.compiling.fields import EXPRESSION, Expression
from resolvers.writing.mutation_fields import MUTATION


def argument(
    name: str, type_: Any, description: str, default: Any = strawberry.UNSET
) -> StrawberryArgument:
    """An argument of a declared field."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(type_),
        description=description,
        default=default,
    )


def column(
    expression: Expression,
    description: str,
    *arguments: StrawberryArgument,
    name: str | None = None,
) -> Any:
    """A field that compiles to SQL."""
    return _declare({EXPRESSION: expression}, description, arguments, name)


def mutation(handler: Callable[..., Any], description: str, *arguments: StrawberryArgument) -> Any:
    """A root field of Mutation."""
    return _declare({MUTATION: handler}, description, arguments, None)


def given(description: str, name: str | None = None) -> Any:
    """A field whose value a mutation makes in Python, not in SQL."""
    return _declare({}, description, (), name)


def _declare(
    metadata: dict[str, Any],
    description: str,
    arguments: tuple[StrawberryArgument, ...],
    name: str | None,
) -> Any:
    field: Any = strawberry.field(description=description, metadata=metadata, name=name)
    if arguments:
        field.arguments = list(arguments)
    return field
