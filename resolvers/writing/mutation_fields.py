"""The root fields of mutations: MutationField is compiled once, MutationExecution executes it."""

from typing import Any

from graphql import (
    GraphQLNamedType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.type.introspection import TypeNameMetaFieldDef

from resolvers.base.errors import Refusal, RequestError, invalid_input
from resolvers.base.json_text import encode
from resolvers.base.limits import MAX_RESULT_BYTES
from resolvers.base.vocabulary import ErrorCode
from resolvers.compiling.binding import Binding, Site
from resolvers.compiling.compiled import Compiled, refuse_over_cost
from resolvers.compiling.fields import Field
from resolvers.compiling.planners.payloads import payload
from resolvers.compiling.statement_builder import Document, StatementBuilder
from resolvers.ports.database import DatabaseError, Statement, Value, share_of
from resolvers.writing.context import Handler, Pieces, Services

MUTATION = "mutation"  # key of a mutation's handler in its Strawberry metadata


class MutationField:
    """A root field in a document; the SELECTs of its payloads are compiled once."""

    def __init__(
        self, document: Document, root: GraphQLObjectType, key: str, details: list[FieldDetails]
    ) -> None:
        name = details[0].node.name.value
        definition = TypeNameMetaFieldDef if name == "__typename" else root.fields[name]
        self._document = document
        self._details = details
        self._type: GraphQLNamedType = get_named_type(definition.type)
        self.is_list = is_list_type(get_nullable_type(definition.type))
        self._selects: dict[tuple[str, bool], Compiled] = {}
        self.key = key
        self.site = Site(definition, details[0], (key,))
        self.handler: Handler = _typename(root)
        if name != "__typename":
            self.handler = definition.extensions["strawberry-definition"].metadata[MUTATION]

    def select(self, type_name: str, sample: Binding, *, by_workflow: bool) -> Compiled:
        """Compile the SELECT of the selection on a payload type that is read from D1.

        `by_workflow` is true if the values name the workflow of the instance.
        """
        compiled = self._selects.get((type_name, by_workflow))
        if compiled is None:
            builder = StatementBuilder(self._document, sample)
            field = Field(builder, self._type, self._details, alias="", site=self.site)
            compiled = builder.select_written(*payload(field, type_name, by_workflow=by_workflow))
            self._selects[type_name, by_workflow] = compiled
        return compiled

    def render(self, type_name: str, values: dict[str, object], binding: Binding) -> str:
        """Render the JSON of the selection on a type from its `values`.

        Raises RequestError with the values' code if the type is not a member of the result union.
        """
        document = self._document
        type_ = document.schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        if not document.schema.is_sub_type(self._type, type_):  # type: ignore[arg-type]  # a union
            raise RequestError(
                str(values["message"]),
                code=str(values["code"]),
                extensions={"argument": ".".join(values.get("path", ()))},  # type: ignore[arg-type]
            )
        result = {}
        for key, details in document.subfields(type_, self._details, binding.variables).items():
            name = details[0].node.name.value
            result[key] = type_name if name == "__typename" else values.get(name)
        return encode(result)


class MutationExecution:
    """One execution of a field: the `MutationContext` that its handler gets."""

    def __init__(
        self, field: MutationField, binding: Binding, services: Services, *, fields: int
    ) -> None:
        self._field = field
        self._binding = binding
        self._fields = fields
        self.services = services
        self.last = fields == 1
        self.principal = binding.principal
        self.arguments = dict(binding.arguments(field.site))

    async def run(self) -> Pieces:
        """Call the handler; its refusals, and results that are too large, are rendered as results.

        Raises AccessError, RequestError and DatabaseError as the handler does.
        """
        try:
            return await self._answer()
        except DatabaseError as error:
            if not error.is_too_big:
                raise
            return [self._render_too_large()]

    async def _answer(self) -> Pieces:
        try:
            return await self._field.handler(self)
        except Refusal as refusal:
            if refusal.type_name == "AmbiguousInstance":
                return await self._read(refusal)
            return [self.render(refusal.type_name, refusal.fields)]

    async def _read(self, refusal: Refusal) -> Pieces:
        """Select the payload of a refusal that contains rows; its fields are the values."""
        values: dict[str, Any] = refusal.fields
        statement = self.select(refusal.type_name, **values)
        [outcome] = await self.services.database.batch([statement])
        return [outcome.text]

    def select(self, type_name: str, *, parts: int = 1, **values: Value) -> Statement:
        """Make the SELECT of a payload (see `MutationContext.select`)."""
        by_workflow = values.get("workflow") is not None
        compiled = self._field.select(type_name, self._binding, by_workflow=by_workflow)
        refuse_over_cost(compiled.cost(self._binding))
        max_bytes = share_of(self._fields * parts)
        return compiled.bind(
            Binding(self._binding.variables, self.principal, values=values, max_bytes=max_bytes)
        )

    def render(self, type_name: str, values: dict[str, object]) -> str:
        """Render a payload from its values (see `MutationContext.render`)."""
        return self._field.render(type_name, values, self._binding)

    def _render_too_large(self) -> str:
        """Render a payload that is too long as InvalidInput, so that earlier fields keep theirs."""
        message = (
            "The result of this field is too large: the fields of an operation share"
            f" {MAX_RESULT_BYTES} bytes (MAX_RESULT_BYTES) equally. The field has changed"
            " nothing. Select less."
        )
        if self._field.is_list:
            raise RequestError(message, code=ErrorCode.RESULT_TOO_LARGE)
        refusal = invalid_input(message, [], code=ErrorCode.RESULT_TOO_LARGE)
        return self.render(refusal.type_name, refusal.fields)


def _typename(root: GraphQLObjectType) -> Handler:
    async def handler(_: object) -> Pieces:
        return [encode(root.name)]

    return handler
