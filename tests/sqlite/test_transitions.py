"""Which change of an instance is legal, and that each makes exactly one event."""

from itertools import product

import pytest

from resolvers.transitions import INSTANCE_TRANSITIONS
from tests.support.engines import RecordingEngine
from tests.support.reference import STATUSES
from tests.support.writing import Writer

_FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")


def is_legal(source: str, target: str) -> bool:
    """The rules in words: the end is the end; nothing is queued again but what was unknown; what
    is paused does not wait for its pause."""
    if source in _FINISHED:
        return False
    if target == "QUEUED":
        return source == "UNKNOWN"
    return (source, target) != ("PAUSED", "WAITING_FOR_PAUSE")


def event_of(source: str, target: str) -> str:
    """The event of a legal change."""
    if target in ("WAITING_FOR_PAUSE", "UNKNOWN"):
        return "INSTANCE_UPDATED"
    if target == "RUNNING":
        return "INSTANCE_STARTED" if source in ("QUEUED", "UNKNOWN") else "INSTANCE_RESUMED"
    return f"INSTANCE_{target}"


_PAIRS = [(source, target) for source, target in product(STATUSES, STATUSES) if source != target]


def test_the_table_says_what_the_rules_say() -> None:
    table = {(str(s), str(t)) for s, targets in INSTANCE_TRANSITIONS.items() for t in targets}
    assert {pair for pair in table if pair[0] != pair[1]} == {p for p in _PAIRS if is_legal(*p)}


@pytest.mark.parametrize(("source", "target"), [pair for pair in _PAIRS if is_legal(*pair)])
def test_a_legal_change_sets_the_status_and_writes_its_one_event(source: str, target: str) -> None:
    writer = Writer()
    writer.create(source)
    before = writer.head()
    result = writer.update(status=target)
    assert result["instance"]["status"] == target
    assert writer.events(before) == [(event_of(source, target), target, None, None)]
    assert (result["instance"]["completedAt"] is not None) == (target in _FINISHED)


@pytest.mark.parametrize(("source", "target"), [pair for pair in _PAIRS if not is_legal(*pair)])
def test_an_illegal_change_is_refused_and_changes_nothing(source: str, target: str) -> None:
    writer = Writer()
    writer.create(source)
    state, head = writer.state(), writer.head()
    result = writer.update(status=target, output={"a": 1}, metadata={"b": 2})
    assert result["__typename"] == "IllegalTransition"
    assert (result["code"], result["from"], result["to"]) == ("ILLEGAL_TRANSITION", source, target)
    assert (result["stepFrom"], result["stepTo"]) == (None, None)
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("status", STATUSES)
def test_a_repeated_status_is_answered_and_not_applied_twice(status: str) -> None:
    writer = Writer()
    writer.create(status)
    state, head = writer.state(), writer.head()
    result = writer.update(status=status)
    assert result["instance"]["status"] == status
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("status", STATUSES)
def test_an_instance_may_be_first_seen_in_any_status(status: str) -> None:
    writer = Writer()
    instance = writer.create(status)
    first = {
        "RUNNING": "INSTANCE_STARTED",
        "WAITING_FOR_PAUSE": "INSTANCE_UPDATED",
        "UNKNOWN": "INSTANCE_UPDATED",
    }
    assert writer.events() == [(first.get(status, f"INSTANCE_{status}"), status, None, None)]
    assert (instance["startedAt"] is None) == (status in ("QUEUED", "UNKNOWN"))
    assert (instance["completedAt"] is not None) == (status in _FINISHED)


_ACTIONS = {
    "pause": ({"QUEUED", "RUNNING", "SLEEPING", "WAITING"}, "PAUSED", "INSTANCE_PAUSED"),
    "resume": ({"PAUSED", "WAITING_FOR_PAUSE"}, "RUNNING", "INSTANCE_RESUMED"),
    "terminate": (set(STATUSES) - set(_FINISHED), "TERMINATED", "INSTANCE_TERMINATED"),
    "restart": (set(STATUSES) - {"QUEUED"}, "QUEUED", "INSTANCE_RESTARTED"),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", _ACTIONS)
def test_an_action_is_taken_from_exactly_the_statuses_that_allow_it(
    action: str, status: str
) -> None:
    allowed, target, event = _ACTIONS[action]
    engine = RecordingEngine("w")
    writer = Writer(engine=engine)
    writer.create("RUNNING")
    if status != "RUNNING":
        # UNKNOWN leads to QUEUED too.
        writer.update(status="UNKNOWN")
        writer.update(status=status)
    can = f"can{action.capitalize()}"
    query = f'{{ instance(instanceId: "i") {{ {can} }} }}'
    assert writer.client(query) == {"instance": {can: status in allowed}}
    state, head = writer.state(), writer.head()
    result = writer.act(action)
    if status in allowed:
        assert result["instance"]["status"] == target
        assert writer.events(head) == [(event, target, None, None)]
        assert engine.calls == [(action, "w", "i")]
    else:
        assert result == {
            "__typename": "IllegalTransition",
            "code": "ILLEGAL_TRANSITION",
            "from": status,
            "to": target,
        }
        assert (writer.state(), writer.head(), engine.calls) == (state, head, [])


@pytest.mark.parametrize("action", [name for name in _ACTIONS if name != "restart"])
def test_what_the_engine_refuses_leaves_no_trace(action: str) -> None:
    engine = RecordingEngine("w", failure="instance is busy")
    writer = Writer(engine=engine)
    writer.create("PAUSED" if action == "resume" else "RUNNING")
    state, head = writer.state(), writer.head()
    result = writer.act(action)
    assert result["code"] == "ENGINE_UNAVAILABLE"
    assert "instance is busy" in result["message"]
    assert (writer.state(), writer.head()) == (state, head)


def test_an_action_on_what_is_only_tracked_says_that_no_engine_runs_it() -> None:
    writer = Writer()
    writer.create("RUNNING")
    assert writer.act("pause")["code"] == "ENGINE_UNAVAILABLE"
    assert writer.act("pause", "absent") == {"__typename": "NotFound", "code": "NOT_FOUND"}


def test_a_restart_forgets_the_last_run_and_the_log_keeps_it() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING", input={"a": 1}, metadata={"b": 2})
    writer.step("RETRYING", "retries", error={"message": "x"})
    writer.step("COMPLETED", "done", output=1)
    writer.update(status="ERRORED", error={"message": "boom"}, output={"c": 3})
    head = writer.head()
    instance = writer.act("restart")["instance"]
    assert instance["status"] == "QUEUED"
    assert (instance["input"], instance["metadata"]) == ({"a": 1}, {"b": 2})
    assert [instance[name] for name in ("output", "error", "startedAt", "completedAt")] == [
        None
    ] * 4
    assert writer.state()["steps"] == writer.state()["attempts"] == []
    assert writer.database.rows("SELECT retrying_steps FROM instances") == [(0,)]
    assert writer.types(head) == ["INSTANCE_RESTARTED"]
    assert len(writer.types()) == head + 1


def test_a_restart_of_what_was_never_seen_to_start_is_logged_as_one() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("UNKNOWN")
    assert writer.act("restart")["instance"]["startedAt"] is None
    assert writer.types() == ["INSTANCE_UPDATED", "INSTANCE_RESTARTED"]


def test_a_restart_that_the_engine_refuses_ends_in_an_error() -> None:
    writer = Writer(engine=RecordingEngine("w", failure="no such instance"))
    writer.create("COMPLETED")
    head = writer.head()
    assert writer.act("restart")["code"] == "ENGINE_UNAVAILABLE"
    instance = writer.read()
    assert instance["status"] == "ERRORED"
    assert "no such instance" in instance["error"]["message"]
    assert writer.types(head) == ["INSTANCE_RESTARTED", "INSTANCE_ERRORED"]
