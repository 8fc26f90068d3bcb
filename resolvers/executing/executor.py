"""Executes operations: a query in one batch of compiled statements, a mutation in one a field.

The response is assembled from pieces: text made here, and texts made by SQLite, which are never
parsed again and may even stay outside Python (see `database.Statement.opaque`).
"""

import json
from collections.abc import Collection, Sequence
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

from resolvers.access.principals import Principal
from resolvers.base.cache import Cache
from resolvers.base.errors import FlowflareError, RequestError
from resolvers.base.limits import (
    D1_MAX_STRING_BYTES,
    MAX_RESULT_BYTES,
    MAX_ROOT_FIELDS,
    PLAN_CACHE_SIZE,
)
from resolvers.base.vocabulary import Scope
from resolvers.compiling.binding import Binding, Site
from resolvers.compiling.compiled import Compiled, refuse_over_cost
from resolvers.compiling.compiler import compile_root_field
from resolvers.compiling.documents import Documents, Operation
from resolvers.compiling.introspection import Introspection
from resolvers.compiling.shape import variables_shape
from resolvers.compiling.statement_builder import Document
from resolvers.compiling.variables import coerce_variables
from resolvers.ports.database import Database, Outcome, OversizedError, Statement, share_of
from resolvers.subscriptions.plans import (
    EVENTS_FIELD,
    CompiledSubscription,
    SubscriptionPlan,
    bind_subscription,
    resuming_variable,
)
from resolvers.writing.context import Pieces, Services
from resolvers.writing.mutation_fields import MutationExecution, MutationField


class ExecutionFailed(FlowflareError):
    """A field failed while executing: the response is `data: null` with this error."""

    def __init__(self, error: FlowflareError | GraphQLError, path: list[str | int]) -> None:
        super().__init__(str(error))
        self.error = error
        self.path = path


@dataclass(slots=True)
class Request:
    """A GraphQL request as received."""

    query: str
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    # `extensions.after`: the cursor after which a subscription resumes, not validated yet.
    after: object = None


@dataclass(slots=True)
class QueryPlan:
    """A compiled query: for each response key a statement, or finished JSON of introspection."""

    fields: list[tuple[str, Compiled | str]]
    # False if introspection depends on values that are not part of the variables' shape.
    cacheable: bool


class Executor:
    """Executes the operations of one schema; `bound` contains the names of the bound workflows."""

    def __init__(self, schema: GraphQLSchema, bound: Collection[str] = ()) -> None:
        self._schema = schema
        self._bound_workflows = json.dumps(sorted(bound))
        self._documents = Documents(schema)
        self._plans: Cache[tuple[object, ...], Any] = Cache(PLAN_CACHE_SIZE)

    def operation(self, request: Request) -> Operation:
        """Find the operation of a request and validate it, but not its variables."""
        return self._documents.get(request.query).operation(request.operation_name)

    async def execute(
        self, operation: Operation, request: Request, principal: Principal, services: Services
    ) -> Pieces:
        """Execute an operation and return the JSON of `data` in pieces.

        Raises RequestError or InvalidDocument before it does anything, ExecutionFailed if a field
        of a mutation fails, DatabaseError if the database fails.
        """
        is_mutation = operation.type is OperationType.MUTATION
        principal.require(Scope.WRITE if is_mutation else Scope.READ)
        binding = Binding(coerce_variables(self._schema, operation, request.variables), principal)
        key = _plan_key(operation, binding)
        plan = self._plans.get(key)
        if is_mutation:
            if plan is None:
                plan = self._mutation_plan(operation, binding)
                self._plans.put(key, plan, operation.weight)
            return await self._mutate(plan, binding, services)
        if plan is None:
            plan = self._plan(operation, binding, request)
            if plan.cacheable:
                self._plans.put(key, plan, operation.weight)
        return await self._query(plan, binding, services)

    def subscription_plan(
        self, operation: Operation, request: Request, principal: Principal
    ) -> SubscriptionPlan:
        """Compile a subscription, or find its plan in the cache, and bind it to the request.

        Raises AccessError, RequestError or InvalidDocument if it cannot be served.
        """
        principal.require(Scope.READ)
        binding = Binding(coerce_variables(self._schema, operation, request.variables), principal)
        key = _plan_key(operation, binding)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._compile_subscription(operation, binding)
            self._plans.put(key, plan, operation.weight)
        # A plan is kept for long, so it must not contain variables that the operation does not use.
        declared = (d.variable.name.value for d in operation.definition.variable_definitions or ())
        values = {name: request.variables[name] for name in declared if name in request.variables}
        return bind_subscription(plan, binding, values, request.after)

    def _compile_subscription(self, operation: Operation, sample: Binding) -> CompiledSubscription:
        root = self._schema.subscription_type
        assert root is not None
        fields = self._root_fields(operation, root, sample.variables)
        if len(fields) != 1:
            raise RequestError(
                "A subscription must select exactly one root field.", code="INVALID_DOCUMENT"
            )
        [(key, details)] = fields.items()
        name = details[0].node.name.value
        compiled = compile_root_field(self._document(operation), sample, root, details, key=key)
        return CompiledSubscription(
            key,
            Site(root.fields[name], details[0], (key,)),
            compiled,
            selects_events=name == EVENTS_FIELD,
            resumed_by=resuming_variable(details[0], operation.definition, operation.fragments),
        )

    def _document(self, operation: Operation) -> Document:
        return Document(
            self._schema, operation.fragments, operation.definition, self._bound_workflows
        )

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
        document = self._document(operation)
        introspection = Introspection(self._schema, operation, request.variables)
        fields: list[tuple[str, Compiled | str]] = []
        for key, details in self._root_fields(operation, root, sample.variables).items():
            name = details[0].node.name.value
            if name in ("__schema", "__type"):
                fields.append((key, introspection.execute(details)))
                continue
            fields.append((key, compile_root_field(document, sample, root, details, key=key)))
        introspects = any(isinstance(part, str) for _, part in fields)
        return QueryPlan(fields, not (introspects and operation.definition.variable_definitions))

    async def _query(self, plan: QueryPlan, binding: Binding, services: Services) -> Pieces:
        compiled = [part for _, part in plan.fields if isinstance(part, Compiled)]
        refuse_over_cost(sum(part.cost(binding) for part in compiled))
        outcomes = iter(await _read(services.database, compiled, binding) if compiled else ())
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
            execution = MutationExecution(field_, binding, services, fields=len(plan))
            try:
                pieces += await execution.run()
            except (FlowflareError, GraphQLError) as error:
                raise ExecutionFailed(error, [field_.key]) from error
        pieces.append("}" if pieces else "{}")
        return pieces


async def _read(
    database: Database, compiled: Sequence[Compiled], binding: Binding
) -> Sequence[Outcome]:
    """Read the texts of all statements, of MAX_RESULT_BYTES at most in total.

    The first batch allows each text an equal share. If one is longer, that batch has reported all
    sizes, and a second one reads the texts if they fit together.
    """
    share = share_of(len(compiled))
    try:
        return await database.batch(_bound(compiled, binding, [share] * len(compiled)), final=True)
    except OversizedError as error:
        spare = (MAX_RESULT_BYTES - sum(error.sizes)) // len(compiled)
        if spare < 0 or max(error.sizes) > D1_MAX_STRING_BYTES:
            raise
        limits = [size + spare for size in error.sizes]
        return await database.batch(_bound(compiled, binding, limits), final=True)


def _bound(
    compiled: Sequence[Compiled], binding: Binding, limits: Sequence[int]
) -> list[Statement]:
    statements = []
    for part, limit in zip(compiled, limits, strict=True):
        binding.max_bytes = min(limit, D1_MAX_STRING_BYTES)
        statements.append(part.bind(binding))
    return statements


def _plan_key(operation: Operation, binding: Binding) -> tuple[object, ...]:
    """Make the cache key of a plan: the operation, and the shapes that its SQL depends on."""
    return (
        operation.number,
        binding.principal.restrictions.shape,
        variables_shape(operation.shaping_variables, binding.variables.coerced),
    )
