"""The fields of a selection, and their Expressions.

The Expression of a field is declared with it in `schema`. It is a function from the Field (its
parent row, arguments and selection) to SQL whose value is JSON text.

A compiled statement is used again for other variables of the same shape (see `shape.py`): an
Expression may branch on whether an argument is absent, null, a boolean, an enum value, or a list of
none, one or several elements; any other value must go through `Field.parameter`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    TypeNameMetaFieldDef,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails

from resolvers.access.principals import Principal
from resolvers.base.errors import ArgumentError
from resolvers.compiling.binding import Binding, Reader, Site
from resolvers.compiling.statement_builder import StatementBuilder
from resolvers.ports import sql
from resolvers.ports.database import Value

Expression: TypeAlias = "Callable[[Field], str]"

EXPRESSION = "sql"  # key of a field's Expression in its Strawberry metadata


def expression_of(definition: GraphQLField) -> Expression:
    """Return the Expression that is declared with a field."""
    expression: Expression = definition.extensions["strawberry-definition"].metadata[EXPRESSION]
    return expression


def field_sql(
    builder: StatementBuilder,
    type_: GraphQLObjectType,
    details: list[FieldDetails],
    *,
    alias: str,
    path: tuple[str, ...],
) -> str:
    """SQL of the JSON of one field of the row `alias`."""
    name = details[0].node.name.value
    if name == "__typename":
        return sql.json_literal(type_.name)
    definition = type_.fields[name]
    site = Site(definition, details[0], path)
    field = Field(builder, get_named_type(definition.type), details, alias=alias, site=site)
    return expression_of(definition)(field)


def object_sql(
    builder: StatementBuilder,
    type_: GraphQLObjectType,
    selection: list[FieldDetails],
    *,
    alias: str,
    path: tuple[str, ...],
) -> str:
    """SQL of the JSON object of a selection on the row `alias`."""
    builder.count_object()
    grouped = builder.document.subfields(type_, selection, builder.sample.variables)
    return sql.json_object(
        [
            (key, field_sql(builder, type_, details, alias=alias, path=(*path, key)))
            for key, details in grouped.items()
        ]
    )


class Field:
    """A field to compile, with the arguments and the selection that its Expression needs."""

    __slots__ = ("_builder", "_details", "_site", "alias", "arguments", "type")

    def __init__(
        self,
        builder: StatementBuilder,
        type_: GraphQLNamedType,
        details: list[FieldDetails],
        *,
        alias: str,
        site: Site,
    ) -> None:
        self._builder = builder
        self._details = details
        self._site = site
        # Of the parent row.
        self.alias = alias
        self.type = type_
        # Those of the sample: SQL may depend on their shape only.
        self.arguments = builder.sample.arguments(site)

    @property
    def name(self) -> str:
        """The field's name in the schema (not its alias in the document)."""
        return self._details[0].node.name.value

    @property
    def root_key(self) -> str:
        """The response key of the root field that this field is part of."""
        return self._site.path[0]

    @property
    def principal(self) -> Principal:
        """The sample's principal: SQL may depend on the shape of its restrictions only."""
        return self._builder.sample.principal

    def argument(self, *names: str) -> Any:
        """An argument of the sample, or a member of one; None if it is absent."""
        return _member(self.arguments, names)

    def parameter(self, *names: str, convert: Callable[[Any], Value] | None = None) -> str:
        """Return a parameter that binds an argument, or the member of one at the path `names`.

        `convert` may raise ValueError, which becomes an ArgumentError that names the argument.
        """
        return self._builder.parameter(
            self.reader(*names, convert=convert), (self._site, names, convert)
        )

    def reader(self, *names: str, convert: Callable[[Any], Value] | None = None) -> Reader:
        """Like `parameter`, but return its reader without adding it to the statement."""
        site = self._site

        def read(binding: Binding) -> Value:
            value = _member(binding.arguments(site), names)
            try:
                value = value if convert is None else convert(value)
                if isinstance(value, str) and not value.isascii():
                    # JSON can contain half a surrogate pair, which D1 cannot store.
                    value.encode()
            except ValueError as error:
                fault = (
                    "is not valid Unicode text" if isinstance(error, UnicodeEncodeError) else error
                )
                raise ArgumentError(
                    f"{'.'.join(names)}: {fault}", argument=".".join(names), path=site.path
                ) from error
            return value  # type: ignore[no-any-return]  # trusted: coerced by graphql-core

        return read

    def restriction(self, name: str) -> str:
        """Return a parameter that binds one of the principal's restrictions."""
        return self._builder.parameter(
            lambda binding: binding.principal.restrictions.values[name], ("restriction", name)
        )

    def supplied(self, name: str) -> str:
        """Return a parameter that binds a value of `Binding.values`."""
        return self._builder.parameter(lambda binding: binding.values[name], ("value", name))

    def bound_workflows(self) -> str:
        """SQL of the list of bound workflows, for the right side of IN."""
        names = self._builder.document.bound_workflows
        parameter = self._builder.parameter(lambda _: names, ("bound workflows",))
        return f"(SELECT value FROM json_each({parameter}))"

    def new_alias(self) -> str:
        """Return a table alias that is not used in this statement yet."""
        return self._builder.alias()

    def body(self, alias: str, type_name: str | None = None) -> str:
        """SQL of the JSON object of this field's selection, on the row `alias`."""
        schema = self._builder.document.schema
        type_ = self.type if type_name is None else schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        return object_sql(self._builder, type_, self._details, alias=alias, path=self._site.path)

    def bodies(self, alias: str, size: Reader) -> str:
        """Like `body`, for a list of up to `size` rows."""
        with self._builder.repeated(size):
            return self.body(alias)

    def repeated(self, size: Reader) -> AbstractContextManager[None]:
        """Count the objects that are compiled inside `size` times."""
        return self._builder.repeated(size)

    def refuse(self, message: str, argument: str) -> NoReturn:
        """Refuse the operation because the shape of an argument is wrong."""
        raise ArgumentError(message, argument=argument, path=self._site.path)

    def subfields(self) -> "list[tuple[str, Field]]":
        """Return the selected fields with their response keys, for Expressions that join them."""
        type_ = self.type
        assert isinstance(type_, GraphQLObjectType)
        builder = self._builder
        grouped = builder.document.subfields(type_, self._details, builder.sample.variables)
        found = []
        for key, details in grouped.items():
            name = details[0].node.name.value
            definition = TypeNameMetaFieldDef if name == "__typename" else type_.fields[name]
            site = Site(definition, details[0], (*self._site.path, key))
            named = get_named_type(definition.type)
            found.append((key, Field(builder, named, details, alias=self.alias, site=site)))
        return found


def _member(value: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if value is None:
            return None
        value = value.get(name)
    return value
