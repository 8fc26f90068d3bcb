"""Ends: an instance that has ended has no open steps, and its attempts are complete, in whatever
order reports arrive."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from resolvers.base.limits import MAX_FILLED_ATTEMPTS
from resolvers.base.vocabulary import InstanceStatus
from resolvers.engine.drift import Tracked
from resolvers.engine.repairs import give_up, repair
from resolvers.ports.database import Statement
from resolvers.ports.engine import EngineState
from resolvers.ports.sql import NOW
from scripts.project import ROOT
from tests.support.engines import RecordingEngine
from tests.support.reference import STATUSES
from tests.support.writing import Writer, failure

_ENDS = ("COMPLETED", "ERRORED", "TERMINATED")
_RETRY_AT = "2030-01-01T00:00:00.000Z"
_ERROR = {"name": "E", "message": "no", "stack": None}


def open_steps() -> Writer:
    """A writer whose running instance has one step in every open status, and two that ended."""
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING")
    writer.step("PENDING", "pending")
    writer.step("RUNNING", "running", retryPolicy={"limit": 3, "delay": 5})
    writer.step("RETRYING", "retrying", error=_ERROR, retryAt=_RETRY_AT)
    writer.step("RUNNING", "sleeping", kind="SLEEP")
    writer.step("COMPLETED", "completed", output=1)
    writer.step("FAILED", "failed", error=_ERROR)
    return writer


def steps(writer: Writer) -> dict[str, Any]:
    """The steps of the instance by their names."""
    found = writer.client("""{ instance(instanceId: "i") { completedAt steps {
      name status attemptCount nextRetryAt startedAt completedAt error { message }
      attempts { number status error { message } startedAt endedAt retryAt } } } }""")["instance"]
    return {step["name"]: step for step in found["steps"]} | {"": found["completedAt"]}


def attempts(step: dict[str, Any]) -> list[tuple[int, str]]:
    """Number and status of each attempt of a step."""
    return [(attempt["number"], attempt["status"]) for attempt in step["attempts"]]


def stored(writer: Writer) -> Tracked:
    """The instance as reconciliation reads it."""
    [row] = writer.database.rows("SELECT id,workflow,instance_id,status,updated_at FROM instances")
    number, workflow, instance_id, status, updated_at = row
    return Tracked(
        id=number,
        workflow=workflow,
        instance_id=instance_id,
        status=InstanceStatus(status),
        updated_at=updated_at,
        recent=False,
        silent=False,
        overslept=False,
    )


def run(writer: Writer, statement: Statement) -> None:
    """Run one statement."""
    asyncio.run(writer.database.batch([statement]))


_BATCH = {"instance": {"instanceId": "i", "status": "COMPLETED"}}
_FAILED = EngineState(InstanceStatus.ERRORED, error=("E", "no"))
_BY_HAND = f"UPDATE instances SET status='TERMINATED',completed_at={NOW},updated_at={NOW}"
# The status after each way to end an instance.
_BY: dict[str, tuple[str, Callable[[Writer], object]]] = {
    "COMPLETED": ("COMPLETED", lambda w: w.update(status="COMPLETED")),
    "ERRORED": ("ERRORED", lambda w: w.update(status="ERRORED")),
    "TERMINATED": ("TERMINATED", lambda w: w.update(status="TERMINATED")),
    "a batch": ("COMPLETED", lambda w: w.track(_BATCH)),
    "an action": ("TERMINATED", lambda w: w.act("terminate")),
    "a repair": ("ERRORED", lambda w: run(w, repair(stored(w), _FAILED))),
    "giving up": ("ERRORED", lambda w: run(w, give_up(stored(w), "gone"))),
    "an operator": ("TERMINATED", lambda w: run(w, Statement(_BY_HAND, ()))),
}


@pytest.mark.parametrize("by", _BY)
def test_an_end_cancels_the_open_steps_before_its_own_event(by: str) -> None:
    writer = open_steps()
    before, head = steps(writer), writer.head()
    status, act = _BY[by]
    act(writer)
    assert writer.read()["status"] == status
    after = steps(writer)
    for name, number in (("pending", 0), ("running", 1), ("retrying", 1), ("sleeping", 0)):
        step = after[name]
        assert (step["status"], step["nextRetryAt"]) == ("CANCELLED", None)
        assert (step["completedAt"], step["attemptCount"]) == (after[""], number)
        assert step["startedAt"] == before[name]["startedAt"]
    assert attempts(after["running"]) == [(1, "CANCELLED")]
    assert after["running"]["attempts"][0]["endedAt"] == after[""]
    # The attempt had failed before; only the step waited for the next.
    assert after["retrying"]["attempts"] == before["retrying"]["attempts"]
    assert [after[name] for name in ("completed", "failed")] == [
        before[name] for name in ("completed", "failed")
    ]
    assert writer.events(head) == [
        ("STEP_CANCELLED", "RUNNING", "pending", None),
        ("STEP_CANCELLED", "RUNNING", "running", 1),
        ("STEP_CANCELLED", "RUNNING", "retrying", 1),
        ("STEP_CANCELLED", "RUNNING", "sleeping", None),
        (f"INSTANCE_{status}", status, None, None),
    ]


@pytest.mark.parametrize("status", _ENDS)
def test_no_ended_instance_is_retrying_or_stalled_or_can_be_paused(status: str) -> None:
    writer = open_steps()
    query = """{ instances(filter: { retrying: true }) { totalCount }
      stalled: instances(filter: { stalledFor: 0 }) { totalCount }
      instance(instanceId: "i") { canPause canResume canTerminate } }"""
    before = writer.client(query)
    assert before["instances"]["totalCount"] == before["stalled"]["totalCount"] == 1
    writer.update(status=status)
    after = writer.client(query)
    assert after["instances"]["totalCount"] == after["stalled"]["totalCount"] == 0
    assert set(after["instance"].values()) == {False}
    assert writer.database.rows("SELECT retrying_steps FROM instances") == [(0,)]


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in (*_ENDS, "QUEUED")])
def test_a_status_that_ends_nothing_leaves_the_steps(status: str) -> None:
    writer = open_steps()
    before = steps(writer)
    writer.update(status=status)
    assert steps(writer) == before


def test_a_further_update_of_an_ended_instance_cancels_nothing_again() -> None:
    writer = open_steps()
    writer.update(status="COMPLETED")
    head = writer.head()
    writer.update(status="COMPLETED", output=2)
    assert writer.types(head) == ["INSTANCE_UPDATED"]


def test_a_race_leaves_no_step_that_retries() -> None:
    writer = Writer()
    writer.create("RUNNING")
    for name in ("slow", "fast"):
        writer.step("RUNNING", name, attempt=1)
    writer.step("RETRYING", "slow", attempt=1, error=_ERROR, retryAt=_RETRY_AT)
    writer.step("COMPLETED", "fast", attempt=1)
    writer.update(status="COMPLETED", output="fast")
    slow = steps(writer)["slow"]
    assert (slow["status"], slow["nextRetryAt"]) == ("CANCELLED", None)
    assert attempts(slow) == [(1, "FAILED")]


# --- late reports


_BEGIN = ["STEP_STARTED", "ATTEMPT_STARTED"]
# By the step when the instance ended and its late report: the events and the attempts after it.
_LATE = {
    ("PENDING", "COMPLETED"): ([*_BEGIN, "STEP_COMPLETED"], [(1, "COMPLETED")]),
    ("PENDING", "FAILED"): ([*_BEGIN, "ATTEMPT_FAILED", "STEP_FAILED"], [(1, "FAILED")]),
    ("RUNNING", "COMPLETED"): (["STEP_COMPLETED"], [(1, "COMPLETED")]),
    ("RUNNING", "FAILED"): (["ATTEMPT_FAILED", "STEP_FAILED"], [(1, "FAILED")]),
    ("RETRYING", "COMPLETED"): (
        ["ATTEMPT_STARTED", "STEP_COMPLETED"],
        [(1, "FAILED"), (2, "COMPLETED")],
    ),
    ("RETRYING", "FAILED"): (["STEP_FAILED"], [(1, "FAILED")]),
}


@pytest.mark.parametrize(("source", "target"), _LATE)
def test_a_late_end_of_a_cancelled_step_is_taken(source: str, target: str) -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step(source)
    writer.update(status="COMPLETED")
    head = writer.head()
    batches = len(writer.database.batches)
    step = writer.step(target, error=_ERROR if target == "FAILED" else None)["step"]
    assert len(writer.database.batches) == batches + 1
    events, expected = _LATE[source, target]
    assert writer.types(head) == events
    assert (step["status"], attempts(step)) == (target, expected)
    assert {row[1] for row in writer.events(head)} == {"COMPLETED"}
    state, head = writer.state(), writer.head()
    assert writer.step(target)["step"]["status"] == target
    assert (writer.state(), writer.head()) == (state, head)


def test_the_failed_attempt_of_a_cancelled_step_cannot_complete_it() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("RETRYING", attempt=1)
    writer.update(status="COMPLETED")
    refused = writer.step("COMPLETED", attempt=1)
    assert (refused["stepFrom"], refused["stepTo"]) == ("CANCELLED", "COMPLETED")
    assert attempts(writer.step("COMPLETED", attempt=2)["step"]) == [
        (1, "FAILED"),
        (2, "COMPLETED"),
    ]


def test_a_later_attempt_overtakes_the_cancelled_one() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("RUNNING", attempt=1)
    writer.update(status="COMPLETED")
    head = writer.head()
    step = writer.step("COMPLETED", attempt=2)["step"]
    assert attempts(step) == [(1, "FAILED"), (2, "COMPLETED")]
    assert writer.types(head) == ["ATTEMPT_FAILED", "ATTEMPT_STARTED", "STEP_COMPLETED"]


@pytest.mark.parametrize("given", [{}, {"attempt": 1}, {"attempt": 2}])
@pytest.mark.parametrize("source", ["PENDING", "RUNNING", "RETRYING"])
@pytest.mark.parametrize("target", ["PENDING", "RUNNING", "RETRYING"])
def test_a_cancelled_step_does_not_go_on(source: str, target: str, given: dict[str, Any]) -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step(source)
    writer.update(status="TERMINATED")
    state, head = writer.state(), writer.head()
    refused = writer.step(target, **given)
    assert (refused["__typename"], refused["stepFrom"]) == ("IllegalTransition", "CANCELLED")
    assert (refused["from"], refused["stepTo"]) == ("TERMINATED", target)
    assert (writer.state(), writer.head()) == (state, head)


def test_cancelled_cannot_be_reported() -> None:
    writer = Writer()
    writer.create("RUNNING")
    state = writer.state()
    refused = writer.step("CANCELLED")
    assert failure(refused) == ("INVALID_INPUT", "input.status")
    assert "Flowflare sets it" in refused["message"]
    step = {"instanceId": "i", "name": "s", "status": "CANCELLED"}
    assert failure(writer.track({"step": step})) == ("INVALID_INPUT", "updates.0.step.status")
    assert writer.state() == state


# --- attempts that were not reported


@pytest.mark.parametrize("status", ["RUNNING", "RETRYING", "COMPLETED", "FAILED"])
@pytest.mark.parametrize("first", [None, "PENDING", "RUNNING"])
def test_the_attempts_before_the_reported_one_are_filled_in(first: str | None, status: str) -> None:
    writer = Writer()
    writer.create("RUNNING")
    if first is not None:
        writer.step(first)
    step = writer.step(status, attempt=4)["step"]
    assert [number for number, _ in attempts(step)] == [1, 2, 3, 4]
    for attempt in step["attempts"][1 if first == "RUNNING" else 0 : 3]:
        assert attempt["status"] == "FAILED"
        assert (attempt["startedAt"], attempt["endedAt"], attempt["error"]) == (None, None, None)
    assert {row[3] for row in writer.events() if row[0].startswith("ATTEMPT")} <= {1, 4}


@pytest.mark.parametrize("first", [None, "RUNNING"])
def test_of_a_long_gap_the_last_attempts_are_filled_in(first: str | None) -> None:
    writer = Writer()
    writer.create("RUNNING")
    if first is not None:
        writer.step(first, attempt=1)
    step = writer.step("COMPLETED", attempt=1_000)["step"]
    numbers = [number for number, _ in attempts(step)]
    filled = list(range(1_000 - MAX_FILLED_ATTEMPTS, 1_001))
    assert numbers == ([1, *filled] if first else filled)


def test_the_triggers_repeat_the_limit_of_a_gap() -> None:
    triggers = (ROOT / "migrations" / "0005_triggers.sql").read_text()
    assert re.findall(r"zeroblob\(min\(.*?, (\d+)\)\)", triggers) == [str(MAX_FILLED_ATTEMPTS)] * 2


# --- failures that arrive after the next attempt began


def overtaken(*first: tuple[str, int], last: str = "RUNNING") -> Writer:
    """A writer with a step of which attempt 2 has begun."""
    writer = Writer()
    writer.create("RUNNING")
    for status, attempt in first:
        writer.step(status, attempt=attempt)
    writer.step(
        last, attempt=2, error={"message": "second"} if last in ("RETRYING", "FAILED") else None
    )
    return writer


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("status", ["RETRYING", "FAILED"])
@pytest.mark.parametrize("last", ["RUNNING", "RETRYING", "COMPLETED", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("first", [(), (("RUNNING", 1),)])
def test_a_late_failure_gives_its_attempt_the_error(
    first: tuple[tuple[str, int], ...], last: str, status: str, *, in_batch: bool
) -> None:
    writer = overtaken(*first, last="RUNNING" if last == "CANCELLED" else last)
    if last == "CANCELLED":
        writer.update(status="COMPLETED")
    before, head = steps(writer)["s"], writer.head()
    report: dict[str, Any] = {"attempt": 1, "error": _ERROR, "retryAt": _RETRY_AT}

    def send() -> None:
        if in_batch:
            step = {"instanceId": "i", "name": "s", "status": status, **report}
            assert writer.track({"step": step})["__typename"] == "TrackPayload"
        else:
            assert writer.step(status, **report)["step"]["status"] == last

    send()
    after = steps(writer)["s"]
    attempt = after["attempts"][0]
    assert (attempt["status"], attempt["error"]) == ("FAILED", {"message": "no"})
    assert attempt["endedAt"] is not None
    assert attempt["retryAt"] == (_RETRY_AT if status == "RETRYING" else None)
    if first:
        assert attempt["endedAt"] == before["attempts"][0]["endedAt"]
    assert {**after, "attempts": after["attempts"][1:]} == {
        **before,
        "attempts": before["attempts"][1:],
    }
    assert writer.types(head) == ["ATTEMPT_FAILED"]
    [(data, number)] = writer.database.rows("SELECT data,attempt FROM events WHERE id>?1", head)
    assert (json.loads(data)["error"], number) == ({"name": "E", "message": "no"}, 1)
    [(at,)] = writer.database.rows("SELECT at FROM events WHERE id>?1", head)
    assert writer.read()["updatedAt"] == at
    state, head = writer.state(), writer.head()
    send()
    assert (writer.state(), writer.head()) == (state, head)


def test_a_late_failure_does_not_replace_an_error() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("RETRYING", attempt=1, error={"message": "first"})
    writer.step("RUNNING", attempt=2)
    state, head = writer.state(), writer.head()
    step = writer.step("RETRYING", attempt=1, error=_ERROR, retryAt=_RETRY_AT)["step"]
    assert step["attempts"][0]["error"] == {"message": "first"}
    assert (writer.state(), writer.head()) == (state, head)


def test_a_batch_counts_a_late_failure_as_applied_once() -> None:
    writer = overtaken(("RUNNING", 1))
    step = {"instanceId": "i", "name": "s", "status": "RETRYING", "attempt": 1, "error": _ERROR}
    assert [writer.track({"step": step})["applied"] for _ in range(2)] == [1, 0]


def test_failures_in_order_take_one_round_trip_each() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("RUNNING", attempt=1)
    batches = len(writer.database.batches)
    writer.step("RETRYING", attempt=1, error=_ERROR, retryAt=_RETRY_AT)
    writer.step("RUNNING", attempt=2)
    writer.step("FAILED", attempt=2, error=_ERROR)
    sizes = [len(batch) for batch in writer.database.batches[batches:]]
    assert sizes == [2, 2, 2]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (2, 1, 3)])
def test_the_attempts_do_not_depend_on_the_order_of_reports(order: tuple[int, ...]) -> None:
    writer = Writer()
    writer.create("RUNNING")
    reports: dict[int, dict[str, Any]] = {
        n: {"attempt": n, "error": {"message": f"no {n}"}, "retryAt": f"2030-01-0{n}T00:00:00.000Z"}
        for n in (1, 2, 3)
    }
    for number in order:
        writer.step("RETRYING", **reports[number])
    found = [
        (a["number"], a["status"], a["error"]["message"], a["retryAt"])
        for a in steps(writer)["s"]["attempts"]
    ]
    assert found == [(n, "FAILED", f"no {n}", f"2030-01-0{n}T00:00:00.000Z") for n in (1, 2, 3)]
