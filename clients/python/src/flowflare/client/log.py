"""Subscriptions to the event log, and the query that reads the same log page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLSyntaxError,
    IntValueNode,
    NamedTypeNode,
    NameNode,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

LOG_FIELD = "workflowEvents"
PAGE_FIELD = "events"
PAGE_SIZE = 1000


class LogSubscription:
    """A document that subscribes to `workflowEvents`.

    ```graphql
    subscription ($after: EventCursor) { workflowEvents(after: $after) { cursor hasMore } }
    ```
    """

    def __init__(self, document: DocumentNode, field: FieldNode) -> None:
        self._document = document
        values = {argument.name.value: argument.value for argument in field.arguments or ()}
        after = values.get("after", NullValueNode())
        self._is_now = isinstance(after, NullValueNode)
        self.after_variable = after.name.value if isinstance(after, VariableNode) else None
        """The variable with the cursor that the log is followed from."""
        self.key = (field.alias or field.name).value
        """The member of a result that has the events."""

    def begins_now(self, variables: Mapping[str, Any]) -> bool:
        """True unless the document or its variables name a cursor to begin after."""
        if self.after_variable is None:
            return self._is_now
        given = variables.get(self.after_variable)
        return given is None and not self._has_default(self.after_variable)

    def page_query(self) -> str:
        """The document as a query.

        ```graphql
        query ($after: EventCursor) {
          workflowEvents: events(first: 1000, after: $after) { cursor hasMore }
        }
        ```
        """
        return print_ast(visit(self._document, _ToPages()))

    def _has_default(self, variable: str) -> bool:
        definitions = [
            definition
            for operation in self._document.definitions
            if isinstance(operation, OperationDefinitionNode)
            for definition in operation.variable_definitions or ()
        ]
        return any(_defaults(definition, variable) for definition in definitions)


def log_subscription(text: str) -> LogSubscription | None:
    """The subscription to the log in a document; None if it subscribes to something else, or is
    not valid GraphQL, which the service reports."""
    if LOG_FIELD not in text:
        return None
    try:
        document = parse(text, no_location=True)
    except (GraphQLSyntaxError, RecursionError):
        return None
    found = _Find()
    visit(document, found)
    return LogSubscription(document, found.field) if found.field is not None else None


def _defaults(definition: VariableDefinitionNode, variable: str) -> bool:
    default = definition.default_value
    is_named = definition.variable.name.value == variable
    return is_named and default is not None and not isinstance(default, NullValueNode)


class _Find(Visitor):
    """Finds the field of the log, in a fragment too."""

    field: FieldNode | None = None

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value == LOG_FIELD:
            self.field = node


class _ToPages(Visitor):
    """Turns subscriptions to the log into queries for its pages."""

    @staticmethod
    def leave_operation_definition(node: OperationDefinitionNode, *_: Any) -> Any:
        return _with(node, operation=OperationType.QUERY)

    @staticmethod
    def leave_named_type(node: NamedTypeNode, *_: Any) -> Any:
        is_root = node.name.value == "Subscription"
        return NamedTypeNode(name=NameNode(value="Query")) if is_root else None

    @staticmethod
    def leave_field(node: FieldNode, *_: Any) -> Any:
        if node.name.value != LOG_FIELD:
            return None
        size = ArgumentNode(name=NameNode(value="first"), value=IntValueNode(value=str(PAGE_SIZE)))
        return _with(
            node,
            alias=node.alias or node.name,
            name=NameNode(value=PAGE_FIELD),
            arguments=(size, *(node.arguments or ())),
        )


def _with(node: Any, **changes: Any) -> Any:
    """A node with some members replaced."""
    return type(node)(**{name: getattr(node, name) for name in node.keys} | changes)
