"""Limits on the size of a document: its depth, aliases and fields, and the cost of validation."""

from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from resolvers.base.errors import RequestError
from resolvers.base.limits import MAX_ALIASES, MAX_DEPTH, MAX_FIELDS, MAX_OVERLAPPING_FIELDS

# Nested selection sets, of fields and fragments, in a document that is still accepted.
_MAX_SELECTION_SETS = 6 * MAX_DEPTH

# Validation compares all fields that have the same response name in the same place, which is
# quadratic. Its rule counts two for each pair of fields, and one or two for each step to a pair.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 2 * MAX_OVERLAPPING_FIELDS
BUDGET_IS_SPENT = "Validation aborted."


class _Size(NamedTuple):
    """Size of a selection set; a fragment counts each time that it is spread."""

    depth: int = 0  # in fields
    height: int = 0  # in selection sets
    aliases: int = 0
    fields: int = 0  # and fragments


def check_size(tree: DocumentNode) -> None:
    """Raise RequestError if a document has too many fields or aliases, or is nested too deeply.

    A fragment counts each time that it is spread.
    """
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
        # Otherwise this, validation or execution would exceed Python's recursion limit.
        if level > _MAX_SELECTION_SETS:
            raise document_too_large("The document is nested too deeply", "MAX_DEPTH", MAX_DEPTH)
        depth, height, aliases, fields = 0, 0, 0, 0
        for node in selection_set.selections:
            own_depth, own_alias = 0, False
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                # Validation reports cycles.
                if name in open_ or name not in fragments:
                    continue
                if name not in measured:
                    inner = fragments[name].selection_set
                    measured[name] = measure(inner, open_ | {name}, level + 1)
                size = measured[name]
                if level + size.height > _MAX_SELECTION_SETS:
                    raise document_too_large(
                        "The document is nested too deeply", "MAX_DEPTH", MAX_DEPTH
                    )
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
        # Measure unused fragments too: validation traverses them before it reports them.
        if name not in measured:
            measured[name] = measure(fragment.selection_set, frozenset({name}), 1)
    fields = 0
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = measure(definition.selection_set, frozenset(), 1)
            if size.depth > MAX_DEPTH:
                raise document_too_large(
                    f"The operation is {size.depth} fields deep", "MAX_DEPTH", MAX_DEPTH
                )
            if size.aliases > MAX_ALIASES:
                raise document_too_large(
                    f"The operation has {size.aliases} aliases", "MAX_ALIASES", MAX_ALIASES
                )
            fields += size.fields + 1
    # The sum over all operations: each is validated together with the fragments it spreads.
    if fields > MAX_FIELDS:
        raise document_too_large(f"The document has {fields} fields", "MAX_FIELDS", MAX_FIELDS)


def document_too_large(subject: str, name: str, limit: int) -> RequestError:
    """Make the error OPERATION_TOO_LARGE; `subject` begins its message, `name` is the limit's."""
    return RequestError(
        f"{subject}; the limit is {limit} ({name}).",
        code="OPERATION_TOO_LARGE",
        extensions={"limit": name},
    )
