"""Executes operations: a query is one batch of compiled statements, a mutation a batch a field.

The response is assembled from pieces: text made here, and the texts SQLite made, which are
never parsed again and may even stay outside Python (see `database.Statement.opaque`).
"""

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
)
from graphql.execution.collect_fields import FieldDetails, collect_fields
from graphql.execution.values import VariableValues

from resolvers.access import Principal
from resolvers.calls import MutationCall, MutationField
from resolvers.documents import Documents, Operation
from resolvers.errors import FlowflareError, RequestError
from resolvers.feeds import LOG_FIELD, Feed, FeedPlan, feed_of, resuming_variable
from resolvers.introspection import Introspection
from resolvers.limits import MAX_ROOT_FIELDS
from resolvers.mutations import Pieces, Services
from resolvers.planning.compiler import (
    Binding,
    Compiled,
    Compiler,
    Document,
    Site,
    refuse_over_cost,
)
from resolvers.planning.shape import variables_shape
from resolvers.variables import coerce_variables
from resolvers.vocabulary import Scope


class ExecutionFailed(FlowflareError):
    """A field failed while executing: the answer is `data: null` with this error."""

    def __init__(self, error: FlowflareError | GraphQLError, path: list[str | int]) -> None:
        super().__init__(str(error))
        self.error = error
        self.path = path


@dataclass(slots=True)
class Request:
    """A GraphQL request as it came in."""

    query: str
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    # `extensions.after`: the cursor a subscription resumes behind, not yet looked at.
    after: object = None


@dataclass(slots=True)
class QueryPlan:
    """What a query compiles to: for each response key its statement or its finished JSON."""

    fields: list[tuple[str, Compiled | str]]
    # Introspection may depend on values that the shape of the variables leaves out.
    cacheable: bool


class Executor:
    """Executes the operations of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._documents = Documents(schema)

    def operation(self, request: Request) -> Operation:
        """The operation the request is for; it is valid, its variables are not looked at."""
        return self._documents.get(request.query).operation(request.operation_name)

    async def execute(
        self, operation: Operation, request: Request, principal: Principal, services: Services
    ) -> Pieces:
        """The JSON of `data`, in pieces.

        Raises RequestError or InvalidDocument before anything was done, ExecutionFailed
        when a mutation's field failed, DatabaseError when the database did.
        """
        is_mutation = operation.type is OperationType.MUTATION
        principal.require(Scope.WRITE if is_mutation else Scope.READ)
        binding = Binding(coerce_variables(self._schema, operation, request.variables), principal)
        key = _plan_key(operation, binding)
        plan = operation.plans.get(key)
        if is_mutation:
            if plan is None:
                plan = self._mutation_plan(operation, binding)
                operation.plans.put(key, plan)
            return await self._mutate(plan, binding, services)
        if plan is None:
            plan = self._plan(operation, binding, request)
            if plan.cacheable:
                operation.plans.put(key, plan)
        return await self._query(plan, binding, services)

    def feed(self, operation: Operation, request: Request, principal: Principal) -> Feed:
        """The feed of a subscription; RequestError or InvalidDocument where it cannot be served."""
        principal.require(Scope.READ)
        binding = Binding(coerce_variables(self._schema, operation, request.variables), principal)
        key = _plan_key(operation, binding)
        plan = operation.plans.get(key)
        if plan is None:
            plan = self._feed_plan(operation, binding)
            operation.plans.put(key, plan)
        return feed_of(plan, binding, request.variables, request.after)

    def _feed_plan(self, operation: Operation, sample: Binding) -> FeedPlan:
        root = self._schema.subscription_type
        assert root is not None
        fields = self._root_fields(operation, root, sample.variables)
        if len(fields) != 1:
            raise RequestError("A subscription selects one root field.", code="INVALID_DOCUMENT")
        [(key, details)] = fields.items()
        name = details[0].node.name.value
        compiler = Compiler(self._document(operation), sample)
        return FeedPlan(
            key,
            Site(root.fields[name], details[0], (key,)),
            compiler.select(compiler.field(root, "", details, (key,))),
            of_log=name == LOG_FIELD,
            resumed_by=resuming_variable(details[0], operation.definition, operation.fragments),
        )

    def _document(self, operation: Operation) -> Document:
        return Document(self._schema, operation.fragments, operation.definition)

    def _root_fields(
        self, operation: Operation, root: GraphQLObjectType, variables: VariableValues
    ) -> dict[str, list[FieldDetails]]:
        grouped = collect_fields(
            self._schema, operation.fragments, variables, root, operation.definition
        ).grouped_field_set
        if len(grouped) > MAX_ROOT_FIELDS:
            raise RequestError(
                f"The operation has {len(grouped)} root fields;"
                f" the limit is {MAX_ROOT_FIELDS} (MAX_ROOT_FIELDS).",
                code="OPERATION_TOO_LARGE",
                extensions={"limit": "MAX_ROOT_FIELDS"},
            )
        return grouped

    def _plan(self, operation: Operation, sample: Binding, request: Request) -> QueryPlan:
        root = self._schema.query_type
        assert root is not None
        introspection = Introspection(self._schema, operation, request.variables)
        fields: list[tuple[str, Compiled | str]] = []
        for key, details in self._root_fields(operation, root, sample.variables).items():
            name = details[0].node.name.value
            if name in ("__schema", "__type"):
                fields.append((key, introspection.answer(details)))
                continue
            compiler = Compiler(self._document(operation), sample)
            fields.append((key, compiler.select(compiler.field(root, "", details, (key,)))))
        introspects = any(isinstance(part, str) for _, part in fields)
        return QueryPlan(fields, not (introspects and operation.definition.variable_definitions))

    async def _query(self, plan: QueryPlan, binding: Binding, services: Services) -> Pieces:
        statements, cost = [], 0
        for _, part in plan.fields:
            if isinstance(part, Compiled):
                statements.append(part.bind(binding))
                cost += part.cost(binding)
        refuse_over_cost(cost)
        batch = services.database.batch
        outcomes = iter(await batch(statements, final=True) if statements else ())
        pieces: Pieces = []
        opening = "{"
        for key, part in plan.fields:
            pieces.append(f'{opening}"{key}":')
            pieces.append(next(outcomes).text if isinstance(part, Compiled) else part)
            opening = ","
        pieces.append("}" if pieces else "{}")
        return pieces

    def _mutation_plan(self, operation: Operation, sample: Binding) -> list[MutationField]:
        root = self._schema.mutation_type
        assert root is not None
        document = self._document(operation)
        return [
            MutationField(document, root, key, details)
            for key, details in self._root_fields(operation, root, sample.variables).items()
        ]

    async def _mutate(
        self, plan: list[MutationField], binding: Binding, services: Services
    ) -> Pieces:
        pieces: Pieces = []
        opening = "{"
        for field_ in plan:
            pieces.append(f'{opening}"{field_.key}":')
            opening = ","
            call = MutationCall(field_, binding, services, last=len(plan) == 1)
            try:
                pieces += await call.answer()
            except (FlowflareError, GraphQLError) as error:
                raise ExecutionFailed(error, [field_.key]) from error
        pieces.append("}" if pieces else "{}")
        return pieces


def _plan_key(operation: Operation, binding: Binding) -> tuple[object, ...]:
    """What a plan of the operation depends on."""
    return (
        binding.principal.limits.shape,
        variables_shape(operation.shaping_variables, binding.variables.coerced),
    )
