"""GraphQL documents: parsed, checked against the limits and validated once, then cached.

Parsing and validating cost milliseconds; a document seen before must never pay them again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    is_input_type,
    parse,
    type_from_ast,
    validate,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails

from resolvers.errors import FlowflareError, RequestError
from resolvers.limits import (
    DOCUMENT_CACHE_SIZE,
    MAX_ALIASES,
    MAX_CACHED_DOCUMENT_CHARACTERS,
    MAX_DEPTH,
    MAX_DOCUMENT_TOKENS,
    PLAN_CACHE_SIZE,
)

# Selection sets in one another, fields' and fragments', in a document that is sound.
_MAX_SELECTION_SETS = 6 * MAX_DEPTH

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A bounded map that forgets what was used longest ago."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, now the one used last; None where there is none."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep the value, at the cost of the oldest one."""
        self._entries[key] = value
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


class InvalidDocument(FlowflareError):
    """The document or its variables do not fit the schema."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)


@dataclass(slots=True)
class Operation:
    """One operation of a valid document. `plans` are compiled by shape of the variables."""

    definition: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    # Those that compiled statements may depend on.
    shaping_variables: list[tuple[str, GraphQLInputType]]
    plans: Cache[Any, Any] = field(default_factory=lambda: Cache(PLAN_CACHE_SIZE))

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


@dataclass(slots=True)
class ParsedDocument:
    """A valid document."""

    operations: dict[str | None, Operation]

    def operation(self, name: str | None) -> Operation:
        """The operation to run; RequestError where the name does not tell which."""
        if name:
            if name not in self.operations:
                raise RequestError(f"Unknown operation {name!r}.", code="UNKNOWN_OPERATION")
            return self.operations[name]
        if len(self.operations) != 1:
            raise RequestError(
                "The document must hold one operation, or `operationName` must name one of "
                f"its {len(self.operations)}.",
                code="OPERATION_NAME_REQUIRED",
            )
        return next(iter(self.operations.values()))


class Documents:
    """The documents of one schema."""

    def __init__(self, schema: GraphQLSchema, size: int = DOCUMENT_CACHE_SIZE) -> None:
        self._schema = schema
        self._cache: Cache[str, ParsedDocument] = Cache(size)

    def get(self, text: str) -> ParsedDocument:
        """The valid document; InvalidDocument or RequestError where it is none."""
        document = self._cache.get(text)
        if document is None:
            document = self._prepare(text)
            if len(text) <= MAX_CACHED_DOCUMENT_CHARACTERS:
                self._cache.put(text, document)
        return document

    def _prepare(self, text: str) -> ParsedDocument:
        try:
            tree = parse(text, max_tokens=MAX_DOCUMENT_TOKENS)
        except GraphQLSyntaxError as error:
            # The parser's limits have no class of their own.
            if "tokens. Parsing aborted" in error.message:
                raise _too_large(
                    "has too many tokens", "MAX_DOCUMENT_TOKENS", MAX_DOCUMENT_TOKENS
                ) from error
            if "nested too deeply" in error.message:
                raise _too_large("is nested too deeply", "MAX_DEPTH", MAX_DEPTH) from error
            raise InvalidDocument([error]) from error
        _check_limits(tree)
        if errors := validate(self._schema, tree, max_errors=20):
            raise InvalidDocument(errors)
        fragments = {
            node.name.value: FragmentDetails(node)
            for node in tree.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        return ParsedDocument(
            {
                node.name.value if node.name else None: Operation(
                    node, fragments, self._shaping_variables(node, fragments.values())
                )
                for node in tree.definitions
                if isinstance(node, OperationDefinitionNode)
            }
        )

    def _shaping_variables(
        self, node: OperationDefinitionNode, fragments: Iterable[FragmentDetails]
    ) -> list[tuple[str, GraphQLInputType]]:
        """A mutation's statements depend on what its payloads select, not on its input."""
        places: list[Node] = [fragment.definition for fragment in fragments]
        for field_ in node.selection_set.selections:
            if node.operation is OperationType.MUTATION and isinstance(field_, FieldNode):
                places += field_.directives or ()
                places += [field_.selection_set] if field_.selection_set else []
            else:
                places.append(field_)
        mentioned: set[str] = set()
        for place in places:
            visit(place, _VariableNames(mentioned))
        return [
            (definition.variable.name.value, type_)
            for definition in node.variable_definitions or ()
            if definition.variable.name.value in mentioned
            and is_input_type(type_ := type_from_ast(self._schema, definition.type))
        ]


class _VariableNames(Visitor):
    """Collects the names of variables."""

    def __init__(self, found: set[str]) -> None:
        super().__init__()
        self._found = found

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Called by graphql-core at each variable."""
        self._found.add(node.name.value)


def _check_limits(tree: DocumentNode) -> None:
    """Refuse by depth and aliases, fragments counted where they are spread."""
    fragments = {
        node.name.value: node
        for node in tree.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    measured: dict[str, tuple[int, int, int]] = {}

    def measure(
        selection_set: SelectionSetNode | None, open_: frozenset[str], level: int
    ) -> tuple[int, int, int]:
        """Depth in fields, aliases, and height in selection sets, those of fragments included."""
        if selection_set is None:
            return 0, 0, 0
        # Before Python's own recursion ends, here, in validation and in execution.
        if level > _MAX_SELECTION_SETS:
            raise _too_large("is nested too deeply", "MAX_DEPTH", MAX_DEPTH)
        depth, aliases, height = 0, 0, 0
        for node in selection_set.selections:
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                # A cycle is the validation's to report.
                if name in open_ or name not in fragments:
                    continue
                if name not in measured:
                    inner = fragments[name].selection_set
                    measured[name] = measure(inner, open_ | {name}, level + 1)
                below, found, sets = measured[name]
                if level + sets > _MAX_SELECTION_SETS:
                    raise _too_large("is nested too deeply", "MAX_DEPTH", MAX_DEPTH)
            elif isinstance(node, FieldNode):
                below, found, sets = measure(node.selection_set, open_, level + 1)
                below += 1
                found += node.alias is not None
            else:
                assert isinstance(node, InlineFragmentNode)
                below, found, sets = measure(node.selection_set, open_, level + 1)
            depth, aliases, height = max(depth, below), aliases + found, max(height, sets)
        return depth, aliases, height + 1

    for name, fragment in fragments.items():
        # Also those that nothing spreads, which is the validation's to report.
        if name not in measured:
            measured[name] = measure(fragment.selection_set, frozenset({name}), 1)
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode):
            depth, aliases, _ = measure(definition.selection_set, frozenset(), 1)
            if depth > MAX_DEPTH:
                raise _too_large(f"is {depth} fields deep", "MAX_DEPTH", MAX_DEPTH)
            if aliases > MAX_ALIASES:
                raise _too_large(f"has {aliases} aliases", "MAX_ALIASES", MAX_ALIASES)


def _too_large(what: str, name: str, limit: int) -> RequestError:
    return RequestError(
        f"The operation {what}; the limit is {limit} ({name}).",
        code="OPERATION_TOO_LARGE",
        extensions={"limit": name},
    )
