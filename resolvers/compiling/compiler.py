"""Compiles the selection under a root field into one SELECT.

What a field means in SQL is an Expression, declared with the field in `schema`: a function
from the Field (its parent row, arguments and selection) to SQL whose value is JSON text.
The compiler supplies what they need: object bodies, parameters, fresh aliases.

A compiled statement is reused for other variables of the same shape (see `shape.py`): an
Expression may branch on whether an argument is absent, null, a boolean, an enum value, or a
list of none, one or several; any other value must go through `Field.parameter`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeNameMetaFieldDef,
    get_argument_values,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues

from resolvers.access.principals import Principal
from resolvers.base.errors import ArgumentError, RequestError
from resolvers.base.limits import (
    D1_MAX_PARAMETERS,
    D1_MAX_SQL_BYTES,
    D1_MAX_STRING_BYTES,
    MAX_NODES,
)
from resolvers.ports import sql
from resolvers.ports.database import Statement, Value

Arguments: TypeAlias = Mapping[str, Any]
Expression: TypeAlias = "Callable[[Field], str]"

# Texts in a statement are names of this code and of the selection: none holds a `?`.
_PARAMETER = re.compile(r"\?(\d+)")

# SQL that fails as a text does that is longer than D1 holds.
_TOO_BIG = "zeroblob(2000000000)"

EXPRESSION = "sql"  # key of a field's Expression in its Strawberry metadata


@dataclass(slots=True)
class Binding:
    """What a compiled statement is bound to for one request."""

    variables: VariableValues
    principal: Principal
    # Values a mutation hands to the SELECT of its payload.
    values: Mapping[str, Value] = field(default_factory=dict)
    # How long the text of a statement may be.
    max_bytes: Any = D1_MAX_STRING_BYTES
    # By the sites themselves, not their ids: a site that is gone may lend its id to another.
    _arguments: "dict[Site, Arguments]" = field(default_factory=dict)

    def arguments(self, site: "Site") -> Arguments:
        """The coerced arguments of a field, computed once a request."""
        if site.constant is not None:
            return site.constant
        arguments = self._arguments.get(site)
        if arguments is None:
            arguments = self._arguments[site] = site.coerce(self.variables)
        return arguments


Reader: TypeAlias = Callable[[Binding], Value]


class Site:
    """One place in a document where a field stands with its arguments."""

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
        self.constant: Arguments | None = None if uses_variables else self.coerce(None)

    def coerce(self, variables: VariableValues | None) -> Arguments:
        """Argument values with defaults filled in; GraphQLError where they do not fit."""
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


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement with its parameters' readers and what it may cost."""

    sql: str
    readers: tuple[Reader, ...]
    # For each object in the selection: the readers of the page sizes it is multiplied by.
    nodes: tuple[tuple[Reader, ...], ...]
    # Readers of arguments that the statement does not use: they only check bounds.
    checks: tuple[Reader, ...] = ()

    def bind(self, binding: Binding) -> Statement:
        """The statement for one request; ArgumentError where a value is out of bounds."""
        for check in self.checks:
            check(binding)
        return Statement(self.sql, tuple([read(binding) for read in self.readers]), opaque=True)

    def cost(self, binding: Binding) -> int:
        """How many objects the answer may hold at most (lists without arguments count 10)."""
        total = 0
        for sizes in self.nodes:
            product = 1
            for size in sizes:
                product *= int(size(binding) or 0)
            total += product
        return total


def refuse_over_cost(cost: int) -> None:
    """Refuse an operation whose answer may hold more than MAX_NODES objects."""
    if cost > MAX_NODES:
        raise RequestError(
            f"The operation may return {cost} objects; the limit is {MAX_NODES} (MAX_NODES). "
            "Ask for smaller pages.",
            code="OPERATION_TOO_LARGE",
            extensions={"limit": "MAX_NODES", "cost": cost},
        )


@dataclass(frozen=True, slots=True)
class Document:
    """What compiling needs to know of the operation a selection stands in."""

    schema: GraphQLSchema
    fragments: dict[str, FragmentDetails]
    operation: OperationDefinitionNode


class Compiler:
    """Compiles one statement. `sample` stands for every request of the same shape."""

    def __init__(self, document: Document, sample: Binding) -> None:
        self.document = document
        self.sample = sample
        self._readers: list[Reader] = []
        self._numbers: dict[object, str] = {}
        self._aliases = 0
        self._sizes: list[Reader] = []
        self._nodes: list[tuple[Reader, ...]] = []

    def select(self, expression: str) -> Compiled:
        """The finished statement of a read: `{ instance(instanceId: "i") { status } }` becomes

        SELECT iif(octet_length(body)<=?2,body,octet_length(body)) AS body
        FROM (SELECT coalesce((SELECT … WHERE t1.instance_id=?1),'null') AS body LIMIT 1) LIMIT 1

        so a text that is longer than `Binding.max_bytes` is not loaded, only its size.
        """
        return self._bounded(f"SELECT {expression} AS body", "octet_length(body)")

    def select_written(self, expression: str, source: str) -> Compiled:
        """The finished statement of a payload, which fails where the text is too long: the write
        in its batch is undone then."""
        return self._bounded(f"SELECT {expression} AS body FROM {source}", _TOO_BIG)

    def _bounded(self, inner: str, otherwise: str) -> Compiled:
        limit = self.parameter(lambda binding: binding.max_bytes)
        # With both LIMITs SQLite makes the text once, however often it is named.
        text, readers, checks = self._number_used(
            f"SELECT iif(octet_length(body)<={limit},body,{otherwise}) AS body"
            f" FROM ({inner} LIMIT 1) LIMIT 1"
        )
        for size, most, name, what in (
            (len(text), D1_MAX_SQL_BYTES, "D1_MAX_SQL_BYTES", "bytes of SQL"),
            (len(readers), D1_MAX_PARAMETERS, "D1_MAX_PARAMETERS", "parameters"),
        ):
            if size > most:
                raise RequestError(
                    f"A root field takes {size} {what}; the limit is {most} ({name})."
                    " Select less in one operation.",
                    code="OPERATION_TOO_LARGE",
                    extensions={"limit": name},
                )
        return Compiled(text, readers, tuple(self._nodes), checks)

    def _number_used(self, text: str) -> tuple[str, tuple[Reader, ...], tuple[Reader, ...]]:
        """The text with its parameters numbered anew, their readers, and the other readers:
        a field may turn out not to need an argument (`first`, where only totalCount is
        selected), which must not be bound, but whose bounds hold all the same."""
        used = sorted({int(number) for number in _PARAMETER.findall(text)})
        numbers = {old: new for new, old in enumerate(used, 1)}
        return (
            _PARAMETER.sub(lambda match: f"?{numbers[int(match[1])]}", text),
            tuple(self._readers[number - 1] for number in used),
            tuple(r for number, r in enumerate(self._readers, 1) if number not in numbers),
        )

    def parameter(self, read: Reader, key: object = None) -> str:
        """Bind what `read` gives; the same `key` shares one parameter."""
        if key is not None and key in self._numbers:
            return self._numbers[key]
        self._readers.append(read)
        number = f"?{len(self._readers)}"
        if key is not None:
            self._numbers[key] = number
        return number

    def alias(self) -> str:
        """A table alias not used before in this statement."""
        self._aliases += 1
        return f"t{self._aliases}"

    @contextmanager
    def repeated(self, size: Reader) -> Iterator[None]:
        """Count what is compiled inside `size` times."""
        self._sizes.append(size)
        try:
            yield
        finally:
            self._sizes.pop()

    def object(
        self,
        type_: GraphQLObjectType,
        alias: str,
        selection: list[FieldDetails],
        path: tuple[str, ...],
    ) -> str:
        """The JSON object of a selection on the row `alias`."""
        self._nodes.append(tuple(self._sizes))
        document = self.document
        grouped = collect_subfields(
            document.schema,
            document.fragments,
            self.sample.variables,
            document.operation,
            type_,
            selection,
        ).grouped_field_set
        return sql.json_object(
            [
                (key, self.field(type_, alias, details, (*path, key)))
                for key, details in grouped.items()
            ]
        )

    def field(
        self,
        type_: GraphQLObjectType,
        alias: str,
        details: list[FieldDetails],
        path: tuple[str, ...],
    ) -> str:
        """The JSON of one field of the row `alias`."""
        name = details[0].node.name.value
        if name == "__typename":
            return sql.json_literal(type_.name)
        definition = type_.fields[name]
        site = Site(definition, details[0], path)
        expression = expression_of(definition)
        return expression(Field(self, alias, get_named_type(definition.type), details, site))


def expression_of(definition: GraphQLField) -> Expression:
    """The Expression declared with a field."""
    expression: Expression = definition.extensions["strawberry-definition"].metadata[EXPRESSION]
    return expression


class Field:
    """One field to compile: what an Expression is given."""

    __slots__ = ("_compiler", "_details", "_site", "alias", "arguments", "type")

    def __init__(
        self,
        compiler: Compiler,
        alias: str,
        type_: GraphQLNamedType,
        details: list[FieldDetails],
        site: Site,
    ) -> None:
        self._compiler = compiler
        self._details = details
        self._site = site
        self.alias = alias
        self.type = type_
        # Of the sample: only their shape may be looked at.
        self.arguments = compiler.sample.arguments(site)

    @property
    def principal(self) -> Principal:
        """The sample's principal: only which limits it has may be looked at."""
        return self._compiler.sample.principal

    def argument(self, *names: str) -> Any:
        """A (nested) argument of the sample, None where absent."""
        return _dig(self.arguments, names)

    def parameter(self, *names: str, convert: Callable[[Any], Value] | None = None) -> str:
        """A parameter that holds an argument, at `names` down from the field's arguments.

        `convert` may raise ValueError: it becomes an ArgumentError that names the argument.
        """
        return self._compiler.parameter(
            self.reader(*names, convert=convert), (self._site, names, convert)
        )

    def reader(self, *names: str, convert: Callable[[Any], Value] | None = None) -> Reader:
        """As `parameter`, without putting it into the statement."""
        site = self._site

        def read(binding: Binding) -> Value:
            value = _dig(binding.arguments(site), names)
            try:
                value = value if convert is None else convert(value)
                if isinstance(value, str) and not value.isascii():
                    # JSON can write half a surrogate pair; D1 has no such text.
                    value.encode()
            except ValueError as error:
                wrong = "is no Unicode text" if isinstance(error, UnicodeEncodeError) else error
                raise ArgumentError(
                    f"{'.'.join(names)}: {wrong}", argument=".".join(names), path=site.path
                ) from error
            return value  # type: ignore[no-any-return]  # trusted: coerced by graphql-core

        return read

    def of_principal(self, name: str) -> str:
        """A parameter that holds one of the principal's limits."""
        return self._compiler.parameter(
            lambda binding: binding.principal.restrictions.values[name], ("principal", name)
        )

    def of_request(self, name: str) -> str:
        """A parameter that holds a value the mutation supplies."""
        return self._compiler.parameter(lambda binding: binding.values[name], ("value", name))

    def new_alias(self) -> str:
        """A table alias not used before in this statement."""
        return self._compiler.alias()

    def body(self, alias: str, type_name: str | None = None) -> str:
        """The JSON object of this field's selection, on the row `alias`."""
        type_ = self.type if type_name is None else self.schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        return self._compiler.object(type_, alias, self._details, self._site.path)

    def bodies(self, alias: str, size: Reader) -> str:
        """As `body`, for a list of up to `size` rows."""
        with self._compiler.repeated(size):
            return self.body(alias)

    def repeated(self, size: Reader) -> AbstractContextManager[None]:
        """Count what is compiled inside `size` times."""
        return self._compiler.repeated(size)

    def refuse(self, message: str, argument: str) -> NoReturn:
        """Refuse the operation for an argument whose shape is wrong."""
        raise ArgumentError(message, argument=argument, path=self._site.path)

    def subfields(self) -> "list[tuple[str, Field]]":
        """The selected fields with their response keys, for expressions that assemble them."""
        type_ = self.type
        assert isinstance(type_, GraphQLObjectType)
        compiler = self._compiler
        document = compiler.document
        grouped = collect_subfields(
            document.schema,
            document.fragments,
            compiler.sample.variables,
            document.operation,
            type_,
            self._details,
        ).grouped_field_set
        found = []
        for key, details in grouped.items():
            name = details[0].node.name.value
            definition = TypeNameMetaFieldDef if name == "__typename" else type_.fields[name]
            site = Site(definition, details[0], (*self._site.path, key))
            found.append(
                (key, Field(compiler, self.alias, get_named_type(definition.type), details, site))
            )
        return found

    @property
    def name(self) -> str:
        """The field's name in the schema (not its alias in the document)."""
        return self._details[0].node.name.value

    @property
    def schema(self) -> GraphQLSchema:
        """The schema compiled against."""
        return self._compiler.document.schema


def _dig(value: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if value is None:
            return None
        value = value.get(name)
    return value
