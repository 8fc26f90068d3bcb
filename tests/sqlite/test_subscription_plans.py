"""Subscription plans render a window as Query.events and Query.instance render it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.access.principals import Principal, Restrictions, principal
from resolvers.base.vocabulary import Scope
from tests.support.client import ADMIN, Client
from tests.support.seeded import DATABASE, POOL
from tests.support.subscribing import INSTANCE, REFERENCE, events_plan, plan_of, read_window
from tests.support.windows import (
    ANY_CALLER,
    ANY_FILTER,
    ANY_POSITION,
    CALLERS,
    FILTER_EXAMPLES,
    HEAD,
    PROPERTY,
    RESTRICTIONS,
    SOME_INSTANCES,
    expected,
)
from tests.support.writing import Writer


def assert_equal(after: int, to: int, caller: Principal, **members: Any) -> int:
    """Compare a window with the query; how many events it holds."""
    page = read_window(DATABASE, events_plan(caller, **members), after, to)
    events = expected(after, to, caller, **members)
    if not events:
        assert page is None
        return 0
    assert page == {
        "events": events,
        # A caller with restrictions does not learn how far the log has come.
        "cursor": events[-1]["cursor"] if caller.is_restricted else f"{min(to, HEAD):016}",
        "hasMore": bool(expected(min(to, HEAD), 2**53 - 1, caller, **members)),
    }
    return len(events)


# --- events


@pytest.mark.parametrize("limits", RESTRICTIONS)
def test_windows_tell_what_the_query_tells(limits: str) -> None:
    told_of = 0
    for members in FILTER_EXAMPLES:
        for after, to in ((0, 2**53 - 1), (100, 300), (300, 301), (HEAD - 3, HEAD)):
            told_of += assert_equal(after, to, CALLERS[limits], **members)
    assert bool(told_of) == (limits != "no workflow")


@PROPERTY
@given(ANY_FILTER, ANY_CALLER, ANY_POSITION, ANY_POSITION)
def test_any_window_tells_what_the_query_tells(
    members: dict[str, Any], caller: Principal, after: int, to: int
) -> None:
    assert_equal(after, to, caller, **members)


def test_windows_that_follow_one_another_tell_every_event_once() -> None:
    plan = events_plan()
    for size in (1, 7, 100):
        pages = [read_window(DATABASE, plan, after, after + size) for after in range(0, HEAD, size)]
        events = [event for page in pages if page is not None for event in page["events"]]
        assert events == expected(0, HEAD, ADMIN)


def test_a_window_that_is_empty_or_beyond_the_log_tells_nothing() -> None:
    for after, to in ((5, 5), (6, 5), (HEAD, HEAD + 9), (HEAD + 1, 2**53 - 1)):
        assert read_window(DATABASE, events_plan(), after, to) is None


def test_a_selection_of_the_cursor_alone_is_told_only_of_what_is_selected() -> None:
    plan = plan_of(
        'subscription { workflowEvents(filter: {instanceId: "i-004"}) { cursor hasMore } }'
    )
    [*_, last] = expected(0, HEAD, ADMIN, instanceId="i-004")
    position = int(last["cursor"])
    page = {"cursor": f"{position:016}", "hasMore": False}
    assert read_window(DATABASE, plan, position - 1, position) == page
    assert read_window(DATABASE, plan, 0, position - 1)["hasMore"] is True
    assert read_window(DATABASE, plan, position, HEAD) is None


# Selections of the same in other words, with the key of the page.
_SPELLINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "aliases": (
        "subscription { workflowEvents { es: events { c: cursor t: type } at: cursor } }",
        {},
    ),
    "an aliased root": ("subscription { es: workflowEvents { events { cursor type } } }", {}),
    "a named fragment": (
        "subscription { workflowEvents { ...P } } fragment P on WorkflowEventPage {"
        " events { ...E } } fragment E on WorkflowEvent { cursor type }",
        {},
    ),
    "a fragment of the root": (
        "subscription { ... on Subscription { workflowEvents { events { type cursor } } } }",
        {},
    ),
    "fields that are merged": (
        "subscription { workflowEvents { events { cursor } events { cursor type } } }",
        {},
    ),
    "directives": (
        "subscription ($yes: Boolean!, $no: Boolean!) { workflowEvents { events {"
        " cursor @include(if: $yes) type @skip(if: $no) at @include(if: $no) } } }",
        {"yes": True, "no": False},
    ),
    "variables inside a filter": (
        "subscription ($w: [String!], $t: EventType!) { workflowEvents(filter:"
        " {workflow: $w, type: [$t], reference: null}) { events { cursor type } } }",
        {"w": ["order", "billing"], "t": "STEP_STARTED"},
    ),
    "a default": (
        "subscription ($f: EventFilter = {type: [STEP_STARTED]}) { workflowEvents(filter: $f)"
        " { events { cursor type } } }",
        {},
    ),
    "typenames": (
        "subscription { workflowEvents { __typename events { __typename cursor type } } }",
        {},
    ),
}
_SHORT = "query ($f: EventFilter) { events(filter: $f, first: 1000) { events { cursor type } } }"
_FILTERED = {
    "variables inside a filter": {"workflow": ["order", "billing"], "type": ["STEP_STARTED"]},
    "a default": {"type": ["STEP_STARTED"]},
}


@pytest.mark.parametrize("name", _SPELLINGS)
def test_a_selection_may_be_spelled_in_any_way(name: str) -> None:
    query, variables = _SPELLINGS[name]
    plan = plan_of(query, **variables)
    assert plan.key == ("es" if name == "an aliased root" else "workflowEvents")
    page = read_window(DATABASE, plan, 0)
    events = page["es" if name == "aliases" else "events"]
    plain = Client(DATABASE)(_SHORT, f=_FILTERED.get(name))["events"]["events"]
    names = ("c", "t") if name == "aliases" else ("cursor", "type")
    assert [tuple(event[n] for n in names) for event in events] == [
        (event["cursor"], event["type"]) for event in plain
    ]
    assert {len(event) for event in events} == {3 if name == "typenames" else 2}


def test_what_lies_under_an_event_is_limited_as_anywhere() -> None:
    caller = principal(Scope.READ, restrictions=Restrictions(reference=("order", "1")))
    deep = """events { instance { reference { refId } workflow { latestInstance { instanceId }
      instances(first: 100) { nodes { instanceId } } } } }"""
    subscription = f"subscription {{ workflowEvents {{ {deep} }} }}"
    query = f"{{ events(first: 100) {{ {deep} }} }}"
    page = read_window(DATABASE, plan_of(subscription, caller=caller), 0)
    shown = Client(DATABASE, caller)(query)["events"]
    assert page["events"][:100] == shown["events"]
    assert {event["instance"]["reference"]["refId"] for event in page["events"]} == {"1"}


# --- objects


def test_an_instance_is_told_as_it_is_and_where_it_has_changed() -> None:
    writer = Writer()
    plan = plan_of(INSTANCE, id="i")
    database = writer.database
    assert not plan.selects_events
    assert read_window(database, plan, 0, initial=True) is None
    assert read_window(database, plan, 0) is None
    writer.create("RUNNING")
    one = {"instanceId": "i", "status": "RUNNING", "output": None}
    assert read_window(database, plan, 0) == one
    before = writer.head()
    writer.create("RUNNING", "j")
    assert read_window(database, plan, before) is None
    assert read_window(database, plan, before, initial=True) == one
    writer.step("RUNNING")
    assert read_window(database, plan, before) == one
    before = writer.head()
    writer.update(output=5)
    # The object is rendered as it is now, whichever window it changed in.
    assert (
        read_window(database, plan, 0, 1)
        == read_window(database, plan, before)
        == {**one, "output": 5}
    )


def test_an_instance_that_is_not_tracked_is_told_as_null() -> None:
    writer = Writer()
    plan = plan_of(INSTANCE, id="i")
    [outcome] = writer.database.rows(
        "SELECT * FROM (" + plan.statement(0, 9, initial=True).sql + ")",
        *plan.statement(0, 9, initial=True).parameters,
    )
    assert outcome == ("0" * 16 + "null",)
    [silent] = writer.database.rows(plan.statement(0, 9).sql, *plan.statement(0, 9).parameters)
    assert silent == (None,)


def test_a_reference_is_told_as_it_is_and_where_one_of_its_instances_has_changed() -> None:
    writer = Writer()
    plan = plan_of(REFERENCE, t="t", id="1")
    nothing = {"refType": "t", "refId": "1", "statusCounts": [], "instances": {"nodes": []}}
    assert read_window(writer.database, plan, 0, initial=True) == nothing
    assert read_window(writer.database, plan, 0) is None
    for name, ref_id in (("a", "1"), ("b", "2"), ("c", "1")):
        before = writer.head()
        writer.create("RUNNING", name, reference={"refType": "t", "refId": ref_id})
        shown = read_window(writer.database, plan, before)
        assert (shown is not None) == (ref_id == "1")
    assert read_window(writer.database, plan, 0)["statusCounts"] == [
        {"status": "RUNNING", "count": 2}
    ]
    before = writer.head()
    writer.step("FAILED", "s", "c", error={"message": "x"})
    names = [
        node["instanceId"]
        for node in read_window(writer.database, plan, before)["instances"]["nodes"]
    ]
    assert sorted(names) == ["a", "c"]
    before = writer.head()
    writer.update("b", output=1)
    assert read_window(writer.database, plan, before) is None


@PROPERTY
@given(
    SOME_INSTANCES, st.sampled_from(POOL.references), ANY_CALLER, ANY_POSITION, st.integers(0, 60)
)
def test_an_object_is_told_where_a_visible_event_of_the_window_is_about_it(
    instance: dict[str, str],
    reference: tuple[str, str],
    caller: Principal,
    after: int,
    size: int,
) -> None:
    workflow = [instance["workflow"]] if "workflow" in instance else None
    about = expected(after, after + size, caller, instanceId=instance["id"], workflow=workflow)
    referring = expected(
        after, after + size, caller, reference={"refType": reference[0], "refId": reference[1]}
    )
    live = plan_of(INSTANCE, caller=caller, **instance)
    whole = read_window(DATABASE, live, 0, 0, initial=True)
    shown = read_window(DATABASE, live, after, after + size)
    assert shown == (whole if about else None)
    query = INSTANCE.replace("subscription", "query")
    assert Client(DATABASE, caller)(query, **instance)["instance"] == whole
    live = plan_of(REFERENCE, caller=caller, t=reference[0], id=reference[1])
    whole = read_window(DATABASE, live, 0, 0, initial=True)
    assert read_window(DATABASE, live, after, after + size) == (whole if referring else None)
    query = REFERENCE.replace("subscription", "query")
    assert Client(DATABASE, caller)(query, t=reference[0], id=reference[1])["reference"] == whole


def test_what_a_caller_may_not_see_does_not_tell_when_it_changes() -> None:
    writer = Writer()
    writer.create("RUNNING", reference={"refType": "t", "refId": "1"})
    for limits in (
        Restrictions(reference=("t", "2")),
        Restrictions(workflows=("v",)),
        Restrictions(instance_id="j"),
    ):
        caller = principal(Scope.READ, restrictions=limits)
        for plan in (
            plan_of(INSTANCE, caller=caller, id="i"),
            plan_of(REFERENCE, caller=caller, t="t", id="1"),
            events_plan(caller),
        ):
            assert read_window(writer.database, plan, 0) is None
        hidden = plan_of(INSTANCE, caller=caller, id="i")
        assert read_window(writer.database, hidden, 0, initial=True) is None
