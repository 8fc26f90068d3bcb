"""Coerces the variables of a request to their types, after checking the number of their values."""

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
    schema: GraphQLSchema, operation: Operation, variables: dict[str, Any]
) -> VariableValues:
    """Coerce the values of the operation's variables and fill in defaults.

    Raises InvalidDocument if a value does not fit its type, RequestError if there are more than
    MAX_VARIABLE_VALUES.
    """
    _refuse_too_many(operation, variables)
    definitions = operation.definition.variable_definitions or ()
    values = get_variable_values(
        schema, definitions, variables, max_errors=MAX_ERRORS, hide_suggestions=True
    )
    # Suggestions compare names letter by letter, which takes too long for long names.
    if isinstance(values, list) and all(len(e.message) < MAX_REPORTED_MESSAGE for e in values):
        values = get_variable_values(schema, definitions, variables, max_errors=MAX_ERRORS)
    if isinstance(values, list):
        raise InvalidDocument(values)
    return values


def _refuse_too_many(operation: Operation, variables: dict[str, Any]) -> None:
    """Count items of lists and members of input objects, before any of them is coerced.

    A JSON value counts as one, because its contents are not coerced.
    """
    count = 0
    open_: list[tuple[Any, GraphQLInputType]] = [
        (variables[name], type_) for name, type_ in operation.variables if name in variables
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
            # Unknown members count too: each becomes an error with suggestions.
            count += len(value)
            fields = type_.fields.items()
            members = ((value[name], field.type) for name, field in fields if name in value)
        else:
            continue
        if count > MAX_VARIABLE_VALUES:
            raise RequestError(
                f"The variables contain more than {MAX_VARIABLE_VALUES} values"
                " (MAX_VARIABLE_VALUES). Send them in several requests.",
                code="OPERATION_TOO_LARGE",
                extensions={"limit": "MAX_VARIABLE_VALUES"},
            )
        open_ += members
