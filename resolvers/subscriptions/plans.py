"""Subscription plans: the SQL that renders a subscription's results from windows of the log.

`workflowEvents` selects the events of a window as a page; `instance` and `reference` select the
object as it is now, if an event of the window is about it. Subscribers with the same document,
variables and restrictions share a plan, so it is read and rendered once for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphql import (
    NonNullTypeNode,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails

from resolvers.access.principals import Principal
from resolvers.base.errors import ArgumentError
from resolvers.base.limits import D1_MAX_STRING_BYTES, MAX_NODES, MAX_POLL_EVENTS
from resolvers.compiling.binding import Binding, Site
from resolvers.compiling.compiled import Compiled, refuse_over_cost
from resolvers.compiling.planners.events import parse_cursor
from resolvers.ports.database import Statement

# The root field that selects events; the others select an object.
EVENTS_FIELD = "workflowEvents"
ORIGIN = "0" * 16  # the cursor in front of the first event

# Placeholders for the values that each window gives.
_AFTER, _TO, _INITIAL, _MAX_BYTES = object(), object(), object(), object()
_PLACEHOLDERS: Any = {"after": _AFTER, "to": _TO, "initial": _INITIAL}


@dataclass(frozen=True, slots=True)
class CompiledSubscription:
    """A compiled subscription, for all variables of one shape."""

    key: str
    site: Site
    compiled: Compiled
    selects_events: bool
    # The variable with the cursor to begin after, if it is used for nothing else.
    resumed_by: VariableDefinitionNode | None


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """A compiled subscription with its variables and the caller's restrictions.

    It is kept as long as it has subscribers, so it refers to nothing of the document.
    """

    key: str
    sql: str
    # True if it selects events; otherwise it begins with the current object.
    selects_events: bool
    principal: Principal
    arguments: Mapping[str, Any]
    # The position to begin after, as given; None to begin at the head.
    after: int | None
    # The number of events that one statement may render, and of objects rendered for one event.
    window: int
    nodes: int
    # Without the cursor, which differs between subscribers that can share the plan.
    variables: Mapping[str, Any]
    # The parameters of every statement, with placeholders for those of its window.
    _parameters: tuple[Any, ...]

    def statement(
        self,
        after: int,
        to: int,
        *,
        initial: bool = False,
        max_bytes: int = D1_MAX_STRING_BYTES,
    ) -> Statement:
        """The SELECT for the events after one position of the log, up to another.

        Its value is text: the cursor of the result in 16 characters, blank if it has none, then the
        result. It gives no row, or NULL, if there is no result, and the size of a result of more
        than `max_bytes`. `initial` renders the object whether or not it has changed.
        """
        values = {_AFTER: after, _TO: to, _INITIAL: int(initial), _MAX_BYTES: max_bytes}
        parameters = tuple([values.get(value, value) for value in self._parameters])
        return Statement(self.sql, parameters, opaque=True)

    def template(self, max_bytes: int) -> tuple[str, list[Any], list[int], list[int]]:
        """The same statement for windows that JavaScript fills in: SQL, parameters, and the indexes
        of those that are the window's beginning and end. A beginning of null is the head that a
        write has stored."""
        statement = self.statement(0, 0, max_bytes=max_bytes)
        after, to = (
            [n for n, value in enumerate(self._parameters) if value is placeholder]
            for placeholder in (_AFTER, _TO)
        )
        return statement.sql, list(statement.parameters), after, to

    def concerns(self, touched: "Touched") -> bool:
        """True if events about these instances may be for the plan; false if none of them is."""
        wanted = self.arguments.get("filter") or {} if self.selects_events else self.arguments
        reference = wanted.get("reference") or wanted
        # A filter has a list, the field `instance` one name.
        workflows = wanted.get("workflow")
        if isinstance(workflows, str):
            workflows = [workflows]
        restrictions = self.principal.restrictions
        ref_type, ref_id = restrictions.reference or (None, None)
        return all(
            asked is None or asked in found
            for asked, found in (
                (wanted.get("instanceId"), touched.instances),
                (restrictions.instance_id, touched.instances),
                (reference.get("refType"), touched.ref_types),
                (ref_type, touched.ref_types),
                (reference.get("refId"), touched.ref_ids),
                (ref_id, touched.ref_ids),
            )
        ) and all(
            asked is None or not touched.workflows.isdisjoint(asked)
            for asked in (workflows, restrictions.workflows)
        )


class Touched:
    """The instances that the events of a window are about, from rows of [instanceId, workflow,
    refType, refId]."""

    def __init__(self, rows: Sequence[Sequence[str | None]]) -> None:
        columns = [frozenset(column) for column in zip(*rows, strict=True)] or [frozenset()] * 4
        self.instances, self.workflows, self.ref_types, self.ref_ids = columns

    @staticmethod
    def statement(after: int, to: int) -> Statement:
        """Read the rows for the events after one position, up to another. An instance that left a
        reference also has a row with that reference."""
        window = "FROM events WHERE id>CAST(?1 AS INTEGER) AND id<=CAST(?2 AS INTEGER)"
        return Statement(
            "SELECT json_group_array(json_array(i.instance_id,i.workflow,e.ref_type,e.ref_id)) FROM"
            f" (SELECT e.instance,i.ref_type,i.ref_id FROM (SELECT DISTINCT instance {window}) e"
            "  JOIN instances i ON i.id=e.instance"
            " UNION SELECT instance,moved_from->>0,moved_from->>1"
            f" {window} AND moved_from IS NOT NULL) e JOIN instances i ON i.id=e.instance",
            (after, to),
        )


def bind_subscription(
    subscription: CompiledSubscription,
    binding: Binding,
    variables: Mapping[str, Any],
    resume: object,
) -> SubscriptionPlan:
    """Make the plan for variables; ArgumentError or RequestError if a value is out of bounds.

    `resume` is the cursor in the request's extensions, which takes precedence over the argument.
    """
    after = None
    if subscription.selects_events:
        after = binding.arguments(subscription.site).get("after")
        if resume is not None:
            try:
                after = parse_cursor(resume)
            except ValueError as error:
                raise ArgumentError(
                    f"extensions.after: {error}", argument="extensions.after"
                ) from error
    if subscription.resumed_by is not None:
        # Subscribers share a plan wherever they begin, with or without a cursor.
        name = subscription.resumed_by.variable.name.value
        variables = {key: value for key, value in variables.items() if key != name}
        if isinstance(subscription.resumed_by.type, NonNullTypeNode):
            variables[name] = ORIGIN
    window, nodes = _size(subscription.compiled, binding)
    binding.values, binding.max_bytes = _PLACEHOLDERS, _MAX_BYTES
    parameters = subscription.compiled.bind(binding).parameters
    begin = None if after is None else int(after)
    return SubscriptionPlan(
        subscription.key,
        subscription.compiled.sql,
        subscription.selects_events,
        binding.principal,
        binding.arguments(subscription.site),
        begin,
        window,
        nodes,
        variables,
        parameters,
    )


def _size(compiled: Compiled, binding: Binding) -> tuple[int, int]:
    """The number of events that may be rendered at once, with MAX_NODES objects at most, and the
    number of objects rendered for one event."""
    binding.values = {"window": 1}
    one = compiled.cost(binding)
    refuse_over_cost(one)
    binding.values = {"window": 2}
    each = compiled.cost(binding) - one
    if each == 0:
        return MAX_POLL_EVENTS, one
    return max(1, min(MAX_POLL_EVENTS, 1 + (MAX_NODES - one) // each)), one


Fragments: TypeAlias = Mapping[str, FragmentDetails]


def resuming_variable(
    details: FieldDetails, operation: OperationDefinitionNode, fragments: Fragments
) -> VariableDefinitionNode | None:
    """The variable that is the root field's `after`, if it is used nowhere else."""
    given = {argument.name.value: argument.value for argument in details.node.arguments or ()}
    value = given.get("after")
    if not isinstance(value, VariableNode):
        return None
    name = value.name.value
    count = _Count(name)
    for node in (operation, *(fragment.definition for fragment in fragments.values())):
        visit(node, count)
    if count.found != 2:  # its definition, and here
        return None
    definitions = operation.variable_definitions or ()
    return next(node for node in definitions if node.variable.name.value == name)


class _Count(Visitor):
    """Counts the uses of a variable, and its definition."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.found = 0

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Called by graphql-core at each variable."""
        self.found += node.name.value == self._name
