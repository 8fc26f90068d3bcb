"""Selection of the plans that a window concerns, and the cost of reading a window."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.access.principals import Principal, Restrictions, principal
from resolvers.base.errors import RequestError
from resolvers.base.limits import MAX_NODES, MAX_POLL_EVENTS
from resolvers.base.vocabulary import Scope
from resolvers.subscriptions import plans
from resolvers.subscriptions.plans import SubscriptionPlan, Touched
from tests.support.plans import TABLES, steps_of
from tests.support.seeded import DATABASE, POOL
from tests.support.subscribing import INSTANCE, REFERENCE, events_plan, plan_of, read_window, run
from tests.support.windows import (
    ANY_CALLER,
    ANY_FILTER,
    ANY_POSITION,
    CALLERS,
    FILTER_EXAMPLES,
    PROPERTY,
    RESTRICTIONS,
    SOME_INSTANCES,
)

# --- which plans a window concerns


def touched(after: int, to: int) -> Touched:
    """The instances that a window is about, as a round asks for them."""
    return Touched(run(DATABASE, Touched.statement(after, to)))


@PROPERTY
@given(
    ANY_FILTER,
    ANY_CALLER,
    ANY_POSITION,
    st.integers(0, 40),
    SOME_INSTANCES,
    st.sampled_from(POOL.references),
)
def test_a_plan_that_has_something_to_tell_is_concerned(
    members: dict[str, Any],
    caller: Principal,
    after: int,
    size: int,
    instance: dict[str, str],
    reference: tuple[str, str],
) -> None:
    about = touched(after, after + size)
    for plan in (
        events_plan(caller, **members),
        plan_of(INSTANCE, caller=caller, **instance),
        plan_of(REFERENCE, caller=caller, t=reference[0], id=reference[1]),
    ):
        if read_window(DATABASE, plan, after, after + size) is not None:
            assert plan.concerns(about), members


_ROWS: list[list[str | None]] = [["i", "w", "t", "1"], ["j", "v", None, None]]
_CONCERNS: list[tuple[SubscriptionPlan, bool]] = [
    (events_plan(), True),
    (events_plan(reference=None, workflow=None, instanceId=None), True),
    (events_plan(instanceId="j"), True),
    (events_plan(instanceId="k"), False),
    (events_plan(workflow=["x", "v"]), True),
    (events_plan(workflow=["x"]), False),
    (events_plan(workflow=[]), False),
    (events_plan(reference={"refType": "t"}), True),
    (events_plan(reference={"refType": "u"}), False),
    (events_plan(reference={"refId": "2"}), False),
    (plan_of(INSTANCE, id="i"), True),
    (plan_of(INSTANCE, id="k"), False),
    (plan_of(INSTANCE, id="i", workflow="w"), True),
    (plan_of(INSTANCE, id="i", workflow="wv"), False),
    (plan_of(REFERENCE, t="t", id="1"), True),
    (plan_of(REFERENCE, t="t", id="2"), False),
    (plan_of(REFERENCE, t="u", id="1"), False),
    *(
        (events_plan(principal(Scope.READ, restrictions=limits)), wanted)
        for limits, wanted in (
            (Restrictions(reference=("t", "1")), True),
            (Restrictions(reference=("t", "2")), False),
            (Restrictions(workflows=("v",)), True),
            (Restrictions(workflows=()), False),
            (Restrictions(instance_id="i"), True),
            (Restrictions(instance_id="k"), False),
        )
    ),
    (
        plan_of(
            INSTANCE,
            caller=principal(Scope.READ, restrictions=Restrictions(workflows=("x",))),
            id="i",
        ),
        False,
    ),
]


@pytest.mark.parametrize("number", range(len(_CONCERNS)))
def test_a_plan_about_others_is_not_concerned(number: int) -> None:
    plan, concerned = _CONCERNS[number]
    assert plan.concerns(Touched(_ROWS)) == concerned


def test_no_plan_about_some_is_concerned_by_nothing() -> None:
    for plan, concerned in _CONCERNS[2:]:
        assert not plan.concerns(Touched([])), concerned


# --- costs


def test_a_window_holds_as_many_objects_as_a_query_may_and_no_more() -> None:
    assert events_plan().window == MAX_POLL_EVENTS
    assert plan_of(INSTANCE, id="i").window == MAX_POLL_EVENTS
    # For each event: itself, the instance, a page of instances with what is selected of each.
    selection = "subscription ($n: Int) { workflowEvents { cursor events { instance { reference {"
    selection += " instances(first: $n) { nodes { id } } } } } } }"
    for n in (1, 20, 70, 100):
        plan = plan_of(selection, n=n)
        # The event, its instance, the reference, and the instances of the page.
        each = 3 + n
        assert plan.nodes == each
        assert plan.window * each <= MAX_NODES
        assert plan.window == MAX_POLL_EVENTS or (plan.window + 1) * each > MAX_NODES
    assert 1 < plan_of(selection, n=100).window < MAX_POLL_EVENTS


def test_a_selection_of_which_not_even_one_event_may_be_told_is_refused() -> None:
    selection = "subscription ($n: Int) { workflowEvents { events { instance { reference {"
    selection += " instances(first: $n) { nodes { events(first: 1000) { events { type } } } }"
    selection += " } } } } }"
    assert plan_of(selection, n=19).window == 1
    with pytest.raises(RequestError) as refusal:
        plan_of(selection, n=20)
    assert refusal.value.extensions["limit"] == "MAX_NODES"
    wide = """subscription ($n: Int) { instance(instanceId: "i") { reference {
      instances(first: $n) { nodes { events(first: 1000) { events { type } } } } } } }"""
    assert plan_of(wide, n=19).window == MAX_POLL_EVENTS
    with pytest.raises(RequestError):
        plan_of(wide, n=20)


# The ways in which a window and its objects may be read. A bare SEARCH reads the head of the log.
_SEARCHES = {
    "SEARCH events",
    "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)",
    "SEARCH events USING INDEX events_by_instance (instance=? AND id>? AND id<?)",
    "SEARCH events USING COVERING INDEX events_by_instance (instance=? AND id>? AND id<?)",
}


@pytest.mark.parametrize("limits", RESTRICTIONS)
def test_a_window_is_read_by_the_numbers_of_its_events_and_no_table_as_a_whole(
    limits: str,
) -> None:
    caller = CALLERS[limits]
    live = (
        plan_of(INSTANCE, caller=caller, id="i-004"),
        plan_of(REFERENCE, caller=caller, t="order", id="1"),
    )
    for plan in (*(events_plan(caller, **members) for members in FILTER_EXAMPLES), *live):
        steps = steps_of(DATABASE, plan.statement(100, 200))
        assert not [step for step in steps if re.match(rf"SCAN ({TABLES})\b", step)], steps
        searches = {step for step in steps if step.startswith("SEARCH events")}
        assert searches <= _SEARCHES, steps
        assert [step for step in searches if "<?" in step], steps
        # Only the events of instances with one id are sorted, by an index that found them.
        if plan.selects_events and "instanceId" not in plan.arguments["filter"]:
            assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_which_instances_a_window_is_about_is_read_by_the_numbers_of_its_events() -> None:
    steps = steps_of(DATABASE, Touched.statement(100, 200))
    assert not [step for step in steps if re.match(rf"SCAN ({TABLES})\b", step)], steps
    searches = {step for step in steps if step.startswith("SEARCH events")}
    assert searches == {"SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}, steps


def test_a_cursor_is_taken_from_the_argument_or_the_extensions() -> None:
    given = "subscription ($a: EventCursor) { workflowEvents(after: $a) { cursor } }"
    assert plan_of(given).after is None
    assert plan_of(given, a="0000000000000007").after == 7
    assert plan_of(given, a="0000000000000007", after="0000000000000009").after == 9
    assert plan_of(given, after=plans.ORIGIN).after == 0
    assert plan_of(INSTANCE, after="0000000000000009", id="i").after is None
