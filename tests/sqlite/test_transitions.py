"""Legal changes of an instance, each of which writes exactly one event."""

import json
from itertools import product
from typing import Any

import pytest

from resolvers.base.transitions import INSTANCE_TRANSITIONS
from resolvers.base.vocabulary import InstanceStatus, OutputKind
from resolvers.ports.engine import EngineError, EngineState
from tests.support.engines import RecordingEngine
from tests.support.reference import STATUSES
from tests.support.writing import Writer

_FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")


def is_legal(source: str, target: str) -> bool:
    """The rules: a finished instance does not change; only an unknown one becomes queued; a paused
    one does not wait for its pause."""
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


def test_the_table_agrees_with_the_rules() -> None:
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
def test_a_repeated_status_changes_nothing(status: str) -> None:
    writer = Writer()
    writer.create(status)
    state, head = writer.state(), writer.head()
    result = writer.update(status=status)
    assert result["instance"]["status"] == status
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("status", STATUSES)
def test_the_first_report_of_an_instance_may_have_any_status(status: str) -> None:
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
def test_an_action_is_accepted_in_exactly_the_statuses_that_allow_it(
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
def test_an_action_that_the_engine_refuses_changes_nothing(action: str) -> None:
    engine = RecordingEngine("w", failure="instance is busy")
    writer = Writer(engine=engine)
    writer.create("PAUSED" if action == "resume" else "RUNNING")
    state, head = writer.state(), writer.head()
    result = writer.act(action)
    assert result["code"] == "ENGINE_UNAVAILABLE"
    assert "instance is busy" in result["message"]
    assert (writer.state(), writer.head()) == (state, head)


def test_an_action_on_an_unbound_workflow_is_engine_unavailable() -> None:
    writer = Writer()
    writer.create("RUNNING")
    assert writer.act("pause")["code"] == "ENGINE_UNAVAILABLE"
    assert writer.act("pause", "absent") == {"__typename": "NotFound", "code": "NOT_FOUND"}


def test_a_restart_begins_the_next_run_and_keeps_the_one_before() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING", input={"a": 1}, metadata={"b": 2})
    writer.step("RETRYING", "retries", error={"message": "x"})
    writer.step("COMPLETED", "done", output=1)
    writer.update(status="ERRORED", error={"message": "boom"}, output={"c": 3})
    head, before = writer.head(), writer.state()
    instance = writer.act("restart")["instance"]
    assert (instance["status"], instance["run"]) == ("QUEUED", 2)
    assert (instance["input"], instance["metadata"]) == ({"a": 1}, {"b": 2})
    assert [instance[name] for name in ("output", "error", "startedAt", "completedAt")] == [
        None
    ] * 4
    after = writer.state()
    assert (after["steps"], after["attempts"]) == (before["steps"], before["attempts"])
    [(*key, output, kind, error)] = after["runs"]
    assert (key, output, kind) == ([1, 1, "ERRORED"], '{"c":3}', "JSON")
    assert '"boom"' in error
    assert writer.database.rows("SELECT retrying_steps FROM instances") == [(0,)]
    assert writer.types(head) == ["INSTANCE_RESTARTED"]
    assert len(writer.types()) == head + 1


def test_a_restart_of_an_instance_that_never_started_writes_one_event() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("UNKNOWN")
    assert writer.act("restart")["instance"]["startedAt"] is None
    assert writer.types() == ["INSTANCE_UPDATED", "INSTANCE_RESTARTED"]


def restarted(
    seen: EngineState | EngineError | None, failure: str = "busy"
) -> tuple[Writer, Any, int]:
    """Restart a completed instance where the engine refuses it, and reports the status `seen`."""
    engine = RecordingEngine("w", failure=failure)
    writer = Writer(engine=engine)
    writer.create("RUNNING")
    writer.step("COMPLETED")
    writer.update(status="COMPLETED", output=1)
    if seen is not None:
        engine.states["i"] = seen
    head = writer.head()
    return writer, writer.act("restart"), head


@pytest.mark.parametrize("seen", [EngineState(None), EngineError("no answer")])
def test_a_restart_of_an_instance_unknown_to_the_engine_changes_nothing(
    seen: EngineState | EngineError,
) -> None:
    writer, result, head = restarted(seen)
    assert result["code"] == "ENGINE_UNAVAILABLE"
    assert ("no answer" in result["message"]) == isinstance(seen, EngineError)
    assert (writer.read()["status"], writer.read()["output"], writer.head()) == (
        "COMPLETED",
        1,
        head,
    )
    assert len(writer.state()["steps"]) == 1


def test_a_refused_restart_is_repaired_to_the_status_of_the_engine() -> None:
    writer, result, head = restarted(EngineState(InstanceStatus.COMPLETED, "2", OutputKind.JSON))
    assert result["code"] == "ENGINE_UNAVAILABLE"
    assert "busy" in result["message"]
    assert (writer.read()["status"], writer.read()["output"]) == ("COMPLETED", 2)
    assert writer.types(head) == ["INSTANCE_RESTARTED", "INSTANCE_COMPLETED"]


def test_a_restart_that_fails_without_a_status_of_the_engine_ends_in_an_error() -> None:
    writer, result, head = restarted(None, failure="no such binding")
    assert result["code"] == "ENGINE_UNAVAILABLE"
    instance = writer.read()
    assert instance["status"] == "ERRORED"
    assert "no such binding" in instance["error"]["message"]
    assert writer.types(head) == ["INSTANCE_RESTARTED", "INSTANCE_ERRORED"]


# --- drift that an action finds


_ENDS = {
    InstanceStatus.COMPLETED: EngineState(InstanceStatus.COMPLETED, "[1]", OutputKind.JSON),
    InstanceStatus.ERRORED: EngineState(InstanceStatus.ERRORED, error=("TypeError", "no")),
    InstanceStatus.TERMINATED: EngineState(InstanceStatus.TERMINATED),
}


@pytest.mark.parametrize(
    ("action", "end", "refused"),
    # A terminate that is accepted and ends in TERMINATED is a success.
    sorted(
        set(product(("pause", "terminate"), _ENDS, (True, False)))
        - {("terminate", InstanceStatus.TERMINATED, False)}
    ),
)
def test_an_action_on_an_instance_that_ended_unreported_is_illegal_and_repairs_it(
    action: str, end: InstanceStatus, refused: bool
) -> None:
    engine = RecordingEngine("w", failure="it is on a finite state" if refused else None)
    engine.states["i"] = _ENDS[end]
    writer = Writer(engine=engine)
    writer.create("RUNNING")
    head = writer.head()
    result = writer.act(action)
    assert (result["__typename"], result["from"]) == ("IllegalTransition", end)
    instance = writer.read()
    assert instance["status"] == end
    assert instance["output"] == ([1] if end == "COMPLETED" else None)
    assert writer.types(head) == [f"INSTANCE_{end}"]
    [(data,)] = writer.database.rows("SELECT data->>'reconciled' FROM events WHERE id>?1", head)
    assert data == 1


def test_the_message_of_the_engine_is_in_the_refusal_of_an_action() -> None:
    engine = RecordingEngine("w", failure="it is on a finite state")
    engine.states["i"] = _ENDS[InstanceStatus.COMPLETED]
    writer = Writer(engine=engine)
    writer.create("RUNNING")
    answer = writer.client(
        """mutation { terminateWorkflow(input: {instanceId: "i"}) { ... on Error { message } } }"""
    )
    message = answer["terminateWorkflow"]["message"]
    assert "COMPLETED" in message
    assert "it is on a finite state" in message


def test_a_resumed_instance_may_end_at_once() -> None:
    engine = RecordingEngine("w")
    engine.states["i"] = _ENDS[InstanceStatus.COMPLETED]
    writer = Writer(engine=engine)
    writer.create("PAUSED")
    instance = writer.act("resume")["instance"]
    assert (instance["status"], instance["output"]) == ("COMPLETED", [1])


@pytest.mark.parametrize("seen", [InstanceStatus.WAITING_FOR_PAUSE, InstanceStatus.RUNNING])
def test_a_pause_that_waits_for_a_step_is_waiting_for_pause(seen: InstanceStatus) -> None:
    engine = RecordingEngine("w")
    engine.states["i"] = EngineState(seen)
    writer = Writer(engine=engine)
    writer.create("RUNNING")
    assert writer.act("pause")["instance"]["status"] == "WAITING_FOR_PAUSE"
    del engine.states["i"]
    assert writer.act("resume")["instance"]["status"] == "RUNNING"


SEND = """mutation ($v: SendWorkflowEventInput!) { r: sendWorkflowEvent(input: $v) { __typename
  ... on InstancePayload { instance { status updatedAt } } ... on Error { code message } } }"""


def test_a_sent_event_is_recorded_without_its_payload() -> None:
    engine = RecordingEngine("w")
    writer = Writer(engine=engine)
    before = writer.create("WAITING")
    head = writer.head()
    given = {"instanceId": "i", "type": "approved", "payload": {"secret": 1}}
    result = writer.client(SEND, v=given)["r"]
    assert result["instance"]["status"] == "WAITING"
    assert result["instance"]["updatedAt"] >= before["updatedAt"]
    assert engine.calls == [("event", "w", "i", "approved", '{"secret":1}')]
    assert writer.events(head) == [("INSTANCE_UPDATED", "WAITING", None, None)]
    [(data,)] = writer.database.rows("SELECT data FROM events WHERE id>?1", head)
    assert json.loads(data) == {"sentEvent": "approved"}


@pytest.mark.parametrize("seen", [EngineState(None), EngineError("no answer")])
def test_an_event_for_an_instance_unknown_to_the_engine_is_not_recorded(
    seen: EngineState | EngineError,
) -> None:
    engine = RecordingEngine("w")
    engine.states["i"] = seen
    writer = Writer(engine=engine)
    writer.create("WAITING")
    state, head = writer.state(), writer.head()
    result = writer.client(SEND, v={"instanceId": "i", "type": "approved"})["r"]
    assert result["code"] == "ENGINE_UNAVAILABLE"
    assert (writer.state(), writer.head(), engine.calls) == (state, head, [])


def test_an_event_that_the_engine_refuses_is_recorded_as_refused() -> None:
    writer = Writer(engine=RecordingEngine("w", failure="too many events"))
    writer.create("WAITING")
    state, head = writer.state(), writer.head()
    result = writer.client(SEND, v={"instanceId": "i", "type": "approved"})["r"]
    assert result["code"] == "ENGINE_UNAVAILABLE"
    assert "too many events" in result["message"]
    assert writer.state() == state
    rows = writer.database.rows("SELECT type,data FROM events WHERE id>?1 ORDER BY id", head)
    assert [(type_, json.loads(data)) for type_, data in rows] == [
        ("INSTANCE_UPDATED", {"sentEvent": "approved"}),
        ("INSTANCE_UPDATED", {"sentEvent": "approved", "refused": "too many events"}),
    ]


def test_an_event_for_an_instance_that_ended_unreported_is_illegal() -> None:
    engine = RecordingEngine("w")
    engine.states["i"] = _ENDS[InstanceStatus.COMPLETED]
    writer = Writer(engine=engine)
    writer.create("WAITING")
    head = writer.head()
    result = writer.client(SEND, v={"instanceId": "i", "type": "approved"})["r"]
    assert (result["__typename"], result["code"]) == ("IllegalTransition", "ILLEGAL_TRANSITION")
    assert writer.types(head) == ["INSTANCE_COMPLETED"]
    assert engine.calls == []
