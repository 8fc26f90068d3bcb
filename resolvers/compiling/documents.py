"""Parses GraphQL documents, checks them against the limits, validates and caches them.

Parsing and validating take milliseconds, so a document that was used recently must not repeat them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    is_input_type,
    parse,
    type_from_ast,
    validate,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails

from resolvers.base.cache import Cache
from resolvers.base.errors import FlowflareError, RequestError
from resolvers.base.limits import (
    DOCUMENT_CACHE_SIZE,
    MAX_DEPTH,
    MAX_DOCUMENT_CHARACTERS,
    MAX_DOCUMENT_LINES,
    MAX_DOCUMENT_TOKENS,
    MAX_ERRORS,
    MAX_OVERLAPPING_FIELDS,
)
from resolvers.compiling.document_limits import BUDGET_IS_SPENT, check_size, document_too_large

# Tokens of a document that add 1 to its weight in a cache.
_TOKENS_PER_WEIGHT = 100


class InvalidDocument(FlowflareError):
    """The document or its variables do not fit the schema."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)


@dataclass(slots=True)
class Operation:
    """One operation of a valid document."""

    # Unique in this isolate.
    number: int
    definition: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    variables: list[tuple[str, GraphQLInputType]]
    # The variables that compiled statements may depend on.
    shaping_variables: list[tuple[str, GraphQLInputType]]
    # Of its document in a cache, and of a plan that is compiled from it.
    weight: int

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


@dataclass(slots=True)
class ParsedDocument:
    """A valid document."""

    operations: dict[str | None, Operation]

    def operation(self, name: str | None) -> Operation:
        """Return the operation to run; RequestError if the name does not identify one."""
        if name:
            if name not in self.operations:
                raise RequestError(
                    f"operationName: the document has no operation {name!r}.",
                    code="UNKNOWN_OPERATION",
                )
            return self.operations[name]
        if len(self.operations) != 1:
            raise RequestError(
                "The document must contain one operation, or `operationName` must name one of "
                f"its {len(self.operations)}.",
                code="OPERATION_NAME_REQUIRED",
            )
        return next(iter(self.operations.values()))


class Documents:
    """The documents of one schema, and a cache of those that are valid."""

    def __init__(self, schema: GraphQLSchema, capacity: int = DOCUMENT_CACHE_SIZE) -> None:
        self._schema = schema
        self._cache: Cache[str, ParsedDocument] = Cache(capacity)
        self._numbers = count()

    def get(self, text: str) -> ParsedDocument:
        """Parse and validate a document.

        Raises InvalidDocument if it is invalid, RequestError if it exceeds a limit.
        """
        document = self._cache.get(text)
        if document is None:
            tree = self._validate(text)
            weight = 1 + _count_tokens(tree) // _TOKENS_PER_WEIGHT
            document = self._prepare(tree, weight)
            self._cache.put(text, document, weight)
        return document

    def _validate(self, text: str) -> DocumentNode:
        if len(text) > MAX_DOCUMENT_CHARACTERS:
            raise document_too_large(
                f"The document has {len(text)} characters",
                "MAX_DOCUMENT_CHARACTERS",
                MAX_DOCUMENT_CHARACTERS,
            )
        # To locate an error, graphql-core counts the lines before it.
        lines = 1 + text.count("\n") + text.count("\r")
        if lines > MAX_DOCUMENT_LINES:
            raise document_too_large(
                f"The document has {lines} lines", "MAX_DOCUMENT_LINES", MAX_DOCUMENT_LINES
            )
        try:
            tree = parse(text, max_tokens=MAX_DOCUMENT_TOKENS)
        except GraphQLSyntaxError as error:
            # The parser's limits have no class of their own.
            if "tokens. Parsing aborted" in error.message:
                raise document_too_large(
                    "The document has too many tokens", "MAX_DOCUMENT_TOKENS", MAX_DOCUMENT_TOKENS
                ) from error
            if "nested too deeply" in error.message:
                raise document_too_large(
                    "The document is nested too deeply", "MAX_DEPTH", MAX_DEPTH
                ) from error
            raise InvalidDocument([error]) from error
        check_size(tree)
        errors = validate(self._schema, tree, max_errors=MAX_ERRORS)
        if any(problem.message == BUDGET_IS_SPENT for problem in errors):
            raise document_too_large(
                "The document selects the same fields too often in the same places",
                "MAX_OVERLAPPING_FIELDS",
                MAX_OVERLAPPING_FIELDS,
            )
        if errors:
            raise InvalidDocument(errors)
        return tree

    def _prepare(self, tree: DocumentNode, weight: int) -> ParsedDocument:
        fragments = {
            node.name.value: FragmentDetails(node)
            for node in tree.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        in_fragments = _variable_names(fragment.definition for fragment in fragments.values())
        operations: dict[str | None, Operation] = {}
        for node in tree.definitions:
            if not isinstance(node, OperationDefinitionNode):
                continue
            variables = [
                (definition.variable.name.value, type_)
                for definition in node.variable_definitions or ()
                if is_input_type(type_ := type_from_ast(self._schema, definition.type))
            ]
            mentioned = in_fragments | _variable_names(_shaping_nodes(node))
            shaping = [(name, type_) for name, type_ in variables if name in mentioned]
            name = node.name.value if node.name else None
            operations[name] = Operation(
                next(self._numbers), node, fragments, variables, shaping, weight
            )
        return ParsedDocument(operations)


def _shaping_nodes(node: OperationDefinitionNode) -> Iterator[Node]:
    """The parts of an operation that compiled statements depend on.

    A mutation's statements depend on the selections of its payloads, not on its input.
    """
    for field_ in node.selection_set.selections:
        if node.operation is OperationType.MUTATION and isinstance(field_, FieldNode):
            yield from field_.directives or ()
            if field_.selection_set:
                yield field_.selection_set
        else:
            yield field_


def _variable_names(nodes: Iterable[Node]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        visit(node, _VariableNames(names))
    return names


class _VariableNames(Visitor):
    """Collects the names of variables."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Add a variable's name; graphql-core calls this."""
        self._names.add(node.name.value)


def _count_tokens(tree: DocumentNode) -> int:
    assert tree.loc is not None
    token, count = tree.loc.start_token, 0
    while token.next:
        token, count = token.next, count + 1
    return count
