"""The shape of a request's variables: what a compiled statement may depend on.

Absent, null, booleans, enum values outside lists, the members of objects, and whether a list
has none, one or several elements. Everything else is bound, so requests of one shape
share one compiled statement.
"""

from typing import Any

from graphql import GraphQLInputType, GraphQLSchema, OperationDefinitionNode, type_from_ast
from graphql.type import is_enum_type, is_input_object_type, is_list_type, is_non_null_type

_VALUE = "v"


def variables_shape(
    schema: GraphQLSchema, operation: OperationDefinitionNode, values: dict[str, Any]
) -> tuple[object, ...]:
    """A hashable key, equal for variables that may share a compiled statement."""
    shapes: list[object] = []
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name not in values:
            shapes.append(None)
            continue
        type_ = type_from_ast(schema, definition.type)
        shapes.append((_shape(values[name], type_),))  # type: ignore[arg-type]  # validated: an input type
    return tuple(shapes)


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
