"""GraphQL documents: parsed, checked against the limits and validated once, then cached.

Parsing and validating cost milliseconds; a document seen before must never pay them again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Generic, NamedTuple, TypeVar

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
from graphql.validation.rules import overlapping_fields_can_be_merged

from resolvers.errors import FlowflareError, RequestError
from resolvers.limits import (
    DOCUMENT_CACHE_SIZE,
    MAX_ALIASES,
    MAX_DEPTH,
    MAX_DOCUMENT_CHARACTERS,
    MAX_DOCUMENT_LINES,
    MAX_DOCUMENT_TOKENS,
    MAX_ERRORS,
    MAX_FIELDS,
    MAX_OVERLAPPING_FIELDS,
)

# Selection sets in one another, fields' and fragments', in a document that is sound.
_MAX_SELECTION_SETS = 6 * MAX_DEPTH

# Comparing all fields that have the same response name in the same place is quadratic. The rule
# that does it counts: two for each pair of fields, one or two for what leads to it.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 2 * MAX_OVERLAPPING_FIELDS
_BUDGET_IS_SPENT = "Validation aborted."

# Of a document that takes one place of the cache.
_TOKENS_A_PLACE = 100

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A bounded map that forgets what was used longest ago."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, now the one used last; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, places: int = 1) -> None:
        """Keep the value in so many places of the cache, at the cost of the oldest ones."""
        _, freed = self._entries.pop(key, (None, 0))
        self._entries[key] = value, places
        self._free += freed - places
        while self._free < 0:
            _, (_, freed) = self._entries.popitem(last=False)
            self._free += freed


class InvalidDocument(FlowflareError):
    """The document or its variables do not fit the schema."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)


@dataclass(slots=True)
class Operation:
    """One operation of a valid document. No other has its number in this isolate."""

    number: int
    definition: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    variables: list[tuple[str, GraphQLInputType]]
    # Those that compiled statements may depend on.
    shaping_variables: list[tuple[str, GraphQLInputType]]
    # Of its document in a cache, and likewise of what is compiled from it.
    places: int

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
        self._numbers = count()

    def get(self, text: str) -> ParsedDocument:
        """The valid document; InvalidDocument or RequestError where it is none."""
        document = self._cache.get(text)
        if document is None:
            tree = self._valid(text)
            places = 1 + _count_tokens(tree) // _TOKENS_A_PLACE
            document = self._prepare(tree, places)
            self._cache.put(text, document, places)
        return document

    def _valid(self, text: str) -> DocumentNode:
        if len(text) > MAX_DOCUMENT_CHARACTERS:
            raise _too_large(
                f"The document has {len(text)} characters",
                "MAX_DOCUMENT_CHARACTERS",
                MAX_DOCUMENT_CHARACTERS,
            )
        # For the place of each error the lines before it are counted.
        lines = 1 + text.count("\n") + text.count("\r")
        if lines > MAX_DOCUMENT_LINES:
            raise _too_large(
                f"The document has {lines} lines", "MAX_DOCUMENT_LINES", MAX_DOCUMENT_LINES
            )
        try:
            tree = parse(text, max_tokens=MAX_DOCUMENT_TOKENS)
        except GraphQLSyntaxError as error:
            # The parser's limits have no class of their own.
            if "tokens. Parsing aborted" in error.message:
                raise _too_large(
                    "The document has too many tokens", "MAX_DOCUMENT_TOKENS", MAX_DOCUMENT_TOKENS
                ) from error
            if "nested too deeply" in error.message:
                raise _too_large(
                    "The document is nested too deeply", "MAX_DEPTH", MAX_DEPTH
                ) from error
            raise InvalidDocument([error]) from error
        _check_limits(tree)
        errors = validate(self._schema, tree, max_errors=MAX_ERRORS)
        if any(problem.message == _BUDGET_IS_SPENT for problem in errors):
            raise _too_large(
                "The document selects the same fields too often in the same places",
                "MAX_OVERLAPPING_FIELDS",
                MAX_OVERLAPPING_FIELDS,
            )
        if errors:
            raise InvalidDocument(errors)
        return tree

    def _prepare(self, tree: DocumentNode, places: int) -> ParsedDocument:
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
            mentioned = in_fragments | _variable_names(_shaping_places(node))
            shaping = [(name, type_) for name, type_ in variables if name in mentioned]
            name = node.name.value if node.name else None
            operations[name] = Operation(
                next(self._numbers), node, fragments, variables, shaping, places
            )
        return ParsedDocument(operations)


def _shaping_places(node: OperationDefinitionNode) -> Iterator[Node]:
    """A mutation's statements depend on what its payloads select, not on its input."""
    for field_ in node.selection_set.selections:
        if node.operation is OperationType.MUTATION and isinstance(field_, FieldNode):
            yield from field_.directives or ()
            if field_.selection_set:
                yield field_.selection_set
        else:
            yield field_


def _variable_names(places: Iterable[Node]) -> set[str]:
    found: set[str] = set()
    for place in places:
        visit(place, _VariableNames(found))
    return found


class _VariableNames(Visitor):
    """Collects the names of variables."""

    def __init__(self, found: set[str]) -> None:
        super().__init__()
        self._found = found

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Called by graphql-core at each variable."""
        self._found.add(node.name.value)


def _count_tokens(tree: DocumentNode) -> int:
    assert tree.loc is not None
    token, count = tree.loc.start_token, 0
    while token.next:
        token, count = token.next, count + 1
    return count


class _Size(NamedTuple):
    """Size of a selection set, with that of the fragments spread in it each time they are."""

    depth: int = 0  # in fields
    height: int = 0  # in selection sets
    aliases: int = 0
    fields: int = 0  # and fragments


def _check_limits(tree: DocumentNode) -> None:
    """Refuse by depth, aliases and fields, fragments counted where they are spread."""
    fragments = {
        node.name.value: node
        for node in tree.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    # Each fragment is measured once, however often it is spread.
    measured: dict[str, _Size] = {}

    def measure(selection_set: SelectionSetNode | None, open_: frozenset[str], level: int) -> _Size:
        if selection_set is None:
            return _Size()
        # Before Python's own recursion ends, here, in validation and in execution.
        if level > _MAX_SELECTION_SETS:
            raise _too_large("The document is nested too deeply", "MAX_DEPTH", MAX_DEPTH)
        depth, height, aliases, fields = 0, 0, 0, 0
        for node in selection_set.selections:
            own_depth, own_alias = 0, False
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                # A cycle is the validation's to report.
                if name in open_ or name not in fragments:
                    continue
                if name not in measured:
                    inner = fragments[name].selection_set
                    measured[name] = measure(inner, open_ | {name}, level + 1)
                size = measured[name]
                if level + size.height > _MAX_SELECTION_SETS:
                    raise _too_large("The document is nested too deeply", "MAX_DEPTH", MAX_DEPTH)
            elif isinstance(node, FieldNode):
                size = measure(node.selection_set, open_, level + 1)
                own_depth, own_alias = 1, node.alias is not None
            else:
                assert isinstance(node, InlineFragmentNode)
                size = measure(node.selection_set, open_, level + 1)
            depth = max(depth, size.depth + own_depth)
            height = max(height, size.height)
            aliases += size.aliases + own_alias
            fields += size.fields + 1
        return _Size(depth, height + 1, aliases, fields)

    for name, fragment in fragments.items():
        # Also those that nothing spreads, which is the validation's to report.
        if name not in measured:
            measured[name] = measure(fragment.selection_set, frozenset({name}), 1)
    fields = 0
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = measure(definition.selection_set, frozenset(), 1)
            if size.depth > MAX_DEPTH:
                raise _too_large(
                    f"The operation is {size.depth} fields deep", "MAX_DEPTH", MAX_DEPTH
                )
            if size.aliases > MAX_ALIASES:
                raise _too_large(
                    f"The operation has {size.aliases} aliases", "MAX_ALIASES", MAX_ALIASES
                )
            fields += size.fields + 1
    # Of all operations: each is validated with the fragments it spreads.
    if fields > MAX_FIELDS:
        raise _too_large(f"The document has {fields} fields", "MAX_FIELDS", MAX_FIELDS)


def _too_large(what: str, name: str, limit: int) -> RequestError:
    return RequestError(
        f"{what}; the limit is {limit} ({name}).",
        code="OPERATION_TOO_LARGE",
        extensions={"limit": name},
    )
