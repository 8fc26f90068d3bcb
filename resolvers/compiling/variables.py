"""Variables of a request: as many values as the limit allows, coerced to their types."""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

from graphql import (
    GraphQLInputType,
    GraphQLSchema,
    get_variable_values,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.values import VariableValues

from resolvers.base.errors import RequestError
from resolvers.base.limits import MAX_ERRORS, MAX_REPORTED_MESSAGE, MAX_VARIABLE_VALUES
from resolvers.compiling.documents import InvalidDocument, Operation


def coerce_variables(
    schema: GraphQLSchema, operation: Operation, given: dict[str, Any]
) -> VariableValues:
    """The values of the operation's variables, defaults filled in.

    Raises InvalidDocument where they do not fit their types, RequestError past
    MAX_VARIABLE_VALUES.
    """
    _refuse_too_many(operation, given)
    definitions = operation.definition.variable_definitions or ()
    values = get_variable_values(
        schema, definitions, given, max_errors=MAX_ERRORS, hide_suggestions=True
    )
    # What was meant by a name is found by comparing it letter by letter: only by a short one.
    if isinstance(values, list) and all(len(e.message) < MAX_REPORTED_MESSAGE for e in values):
        values = get_variable_values(schema, definitions, given, max_errors=MAX_ERRORS)
    if isinstance(values, list):
        raise InvalidDocument(values)
    return values


def _refuse_too_many(operation: Operation, given: dict[str, Any]) -> None:
    """Count items of lists and members of input objects, before each of them is coerced.

    A JSON value counts as one, whatever it holds: nothing is done for what is in it.
    """
    count = 0
    open_: list[tuple[Any, GraphQLInputType]] = [
        (given[name], type_) for name, type_ in operation.variables if name in given
    ]
    while open_:
        value, type_ = open_.pop()
        members: Iterable[tuple[Any, GraphQLInputType]]
        if is_non_null_type(type_):
            members = ((value, type_.of_type),)
        elif is_list_type(type_):
            items = value if isinstance(value, list) else [value]
            count += len(items)
            members = zip(items, repeat(type_.of_type))
        elif is_input_object_type(type_) and isinstance(value, dict):
            # Also those that are unknown: each is an error with suggestions.
            count += len(value)
            fields = type_.fields.items()
            members = ((value[name], field.type) for name, field in fields if name in value)
        else:
            continue
        if count > MAX_VARIABLE_VALUES:
            raise RequestError(
                f"The variables hold more than {MAX_VARIABLE_VALUES} values"
                " (MAX_VARIABLE_VALUES). Send them in several requests.",
                code="OPERATION_TOO_LARGE",
                extensions={"limit": "MAX_VARIABLE_VALUES"},
            )
        open_ += members
