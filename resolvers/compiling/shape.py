"""The shape of a request's variables: the part of them that a compiled statement may depend on.

It consists of absent and null values, booleans, enum values outside lists, the names of members
of objects, and for lists whether they have none, one or several elements. All other values are
parameters, so requests of one shape share one compiled statement.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLInputType
from graphql.type import is_enum_type, is_input_object_type, is_list_type, is_non_null_type

_VALUE = "v"


def variables_shape(
    types: Sequence[tuple[str, GraphQLInputType]], values: Mapping[str, Any]
) -> tuple[object, ...]:
    """Return a hashable key that is equal for variables that may share a compiled statement.

    `types` are the operation's variables, `values` their coerced values:

        [("first", Int), ("status", [Status])], {"first": 5, "status": ["A", "B"]} → (("v",), (2,))
    """
    return tuple(
        [(_shape(values[name], type_),) if name in values else None for name, type_ in types]
    )


def _shape(value: Any, type_: GraphQLInputType) -> object:
    if is_non_null_type(type_):
        type_ = type_.of_type
    if value is None or isinstance(value, bool):
        return value
    if is_list_type(type_):
        return min(len(value), 2) if isinstance(value, (list, tuple)) else 1
    if is_input_object_type(type_):
        return tuple(
            (name, _shape(value[name], member.type))
            for name, member in type_.fields.items()
            if name in value
        )
    return str(value) if is_enum_type(type_) else _VALUE
