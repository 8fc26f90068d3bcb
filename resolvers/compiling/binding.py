"""The values of one request that a compiled statement is bound to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphql import GraphQLField, get_argument_values
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues

from resolvers.access.principals import Principal
from resolvers.base.limits import D1_MAX_STRING_BYTES
from resolvers.ports.database import Value

Arguments: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Binding:
    """One request's variables and principal, and the values that its mutation supplies."""

    variables: VariableValues
    principal: Principal
    # Values that a mutation supplies to the SELECT of its payload.
    values: Mapping[str, Value] = field(default_factory=dict)
    # The most bytes that the text of a statement may have.
    max_bytes: Any = D1_MAX_STRING_BYTES
    # The keys are the sites, not their ids: the id of a deleted site may be used again.
    _arguments: "dict[Site, Arguments]" = field(default_factory=dict)

    def arguments(self, site: "Site") -> Arguments:
        """Return the coerced arguments of a field; they are computed once a request."""
        if site.constant is not None:
            return site.constant
        arguments = self._arguments.get(site)
        if arguments is None:
            arguments = self._arguments[site] = site.coerce(self.variables)
        return arguments


# Reads the value of one parameter from a request.
Reader: TypeAlias = Callable[[Binding], Value]


class Site:
    """A field with its arguments at one position in a document."""

    __slots__ = ("_definition", "_details", "constant", "path")

    def __init__(
        self, definition: GraphQLField, details: FieldDetails, path: tuple[str, ...]
    ) -> None:
        self._definition = definition
        self._details = details
        self.path = path
        uses_variables = any(
            _mentions_variable(argument.value) for argument in details.node.arguments or ()
        )
        # The arguments, if no request changes them.
        self.constant: Arguments | None = None if uses_variables else self.coerce(None)

    def coerce(self, variables: VariableValues | None) -> Arguments:
        """Coerce the arguments and fill in defaults; GraphQLError if a value does not fit."""
        return get_argument_values(
            self._definition,
            self._details.node,
            variables,
            self._details.fragment_variable_values,
        )


def _mentions_variable(node: Any) -> bool:
    if node.kind == "variable":
        return True
    if node.kind == "list_value":
        return any(_mentions_variable(value) for value in node.values)
    if node.kind == "object_value":
        return any(_mentions_variable(member.value) for member in node.fields)
    return False
