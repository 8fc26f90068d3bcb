"""Introspection, which graphql-core executes field by field, so the fields are limited."""

from collections.abc import Sequence
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails

from resolvers.base.errors import RequestError
from resolvers.base.json_text import encode
from resolvers.base.limits import MAX_INTROSPECTED_FIELDS
from resolvers.compiling.documents import InvalidDocument, Operation


class Introspection:
    """Introspection of one operation, which may select it at several root fields."""

    def __init__(
        self, schema: GraphQLSchema, operation: Operation, variables: dict[str, Any]
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._variables = variables
        self._fields = 0

    def execute(self, details: Sequence[FieldDetails]) -> str:
        """Return the JSON of one root field.

        Raises InvalidDocument if graphql-core reports errors, RequestError after
        MAX_INTROSPECTED_FIELDS fields.
        """
        operation = OperationDefinitionNode(
            operation=OperationType.QUERY,
            variable_definitions=self._operation.definition.variable_definitions,
            directives=(),
            selection_set=SelectionSetNode(selections=tuple(detail.node for detail in details)),
        )
        fragments = [fragment.definition for fragment in self._operation.fragments.values()]
        result = execute_sync(
            self._schema,
            DocumentNode(definitions=(operation, *fragments)),
            context_value=self,
            variable_values=self._variables,
            executor_class=_Executor,
        )
        if result.errors:
            raise InvalidDocument(result.errors)
        assert result.data is not None
        [value] = result.data.values()
        return encode(value)

    def count(self) -> None:
        """Count one more value of a field."""
        self._fields += 1
        if self._fields > MAX_INTROSPECTED_FIELDS:
            raise RequestError(
                f"Introspection returns more than {MAX_INTROSPECTED_FIELDS} field values"
                " (MAX_INTROSPECTED_FIELDS). Select less in one operation.",
                code="OPERATION_TOO_LARGE",
                extensions={"limit": "MAX_INTROSPECTED_FIELDS"},
            )


class _Executor(Executor[None]):
    """graphql-core's Executor, except that a refusal ends the operation instead of one field."""

    context_value: Introspection

    def execute_field(self, *args: Any) -> Any:
        self.context_value.count()
        return super().execute_field(*args)

    def handle_field_error(self, raw_error: Exception, *args: Any) -> None:
        if isinstance(raw_error, RequestError):
            raise raw_error
        super().handle_field_error(raw_error, *args)
