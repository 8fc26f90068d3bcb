"""The reports of a run, decided without clock or network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowflare import Retries
from flowflare.runs import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowflare.outbox import Update

WHEN = datetime(2026, 11, 25, 10, tzinfo=UTC)
ERROR = {"name": "Declined", "message": "no funds", "stack": ""}


def fresh() -> Run:
    return Run("i-1", "send-invoice", ',"input":{"a":1}')


def reported(updates: Sequence[Update]) -> list[tuple[str, ...]]:
    """Each update in short: the instance's status, or a step's name, status and attempt."""
    short: list[tuple[str, ...]] = []
    for update in updates:
        [(kind, given)] = json.loads(update.text).items()
        assert given.pop("instanceId") == "i-1"
        if kind == "instance":
            short.append((given["status"], given.get("sleepUntil", "")))
        else:
            short.append((given["name"], given["status"], str(given.get("attempt", ""))))
    return short


def members(update: Update) -> Any:
    [given] = json.loads(update.text).values()
    return given


def test_the_first_update_creates_the_instance() -> None:
    run = fresh()
    step = run.step("total", "TASK")
    step.retries = Retries(2, timedelta(seconds=1), "linear")
    first, second = run.attempt_begins(step, 1)
    assert first.creates
    assert members(first) == {
        "instanceId": "i-1",
        "workflow": "send-invoice",
        "status": "RUNNING",
        "input": {"a": 1},
    }
    assert members(second) == {
        "instanceId": "i-1",
        "name": "total",
        "index": 1,
        "kind": "TASK",
        "status": "RUNNING",
        "attempt": 1,
        "retryPolicy": {"limit": 2, "delay": 1_000, "backoff": "LINEAR"},
    }
    [end] = run.step_completes(step, '{"b":2}')
    assert end.ends_step
    assert members(end)["output"] == {"b": 2}
    [last] = run.completes("3")
    assert members(last) == {"instanceId": "i-1", "status": "COMPLETED", "output": 3}


def test_a_failed_attempt_is_followed_by_the_next_or_by_the_end() -> None:
    run = fresh()
    step = run.step("charge", "TASK")
    run.attempt_begins(step, 1)
    [failed] = run.attempt_fails(step, ERROR, retry_at=WHEN)
    assert members(failed)["retryAt"] == "2026-11-25T10:00:00.000Z"
    assert members(failed)["error"] == ERROR
    assert reported([failed]) == [("charge", "RETRYING", "1")]
    assert reported(run.attempt_begins(step, 2)) == [("charge", "RUNNING", "2")]
    assert reported(run.step_fails(step, ERROR)) == [("charge", "FAILED", "2")]
    # The caller of the step gets the error too; it is not reported twice.
    assert run.step_fails(step, ERROR) == []
    assert reported(run.fails(ERROR)) == [("ERRORED", "")]


def test_an_interrupted_attempt_has_failed() -> None:
    run = fresh()
    step = run.step("charge", "TASK")
    run.attempt_begins(step, 1)
    updates = run.attempt_begins(step, 2)
    assert reported(updates) == [("charge", "RETRYING", "1"), ("charge", "RUNNING", "2")]
    assert members(updates[0])["error"]["name"] == "AttemptInterrupted"


def test_an_attempt_interrupted_by_a_crash_has_failed() -> None:
    run = fresh()
    run.recall({"status": "RUNNING", "steps": [{"name": "charge", "status": "RUNNING"}]})
    step = run.step("charge", "TASK")
    updates = run.attempt_begins(step, 3)
    assert reported(updates) == [("charge", "RETRYING", "2"), ("charge", "RUNNING", "3")]
    assert members(updates[0])["error"]["name"] == "AttemptInterrupted"


def test_steps_with_the_same_name_are_numbered_in_their_order() -> None:
    run = fresh()
    steps = [run.step(name, "TASK") for name in ("load", "store", "load", "load")]
    assert [(step.name, step.index) for step in steps] == [
        ("load", 1),
        ("store", 2),
        ("load (2)", 3),
        ("load (3)", 4),
    ]


def test_the_instance_sleeps_and_waits_with_its_steps() -> None:
    run = fresh()
    hold = run.step("hold", "SLEEP")
    assert reported(run.sleep_begins(hold, WHEN)) == [
        ("RUNNING", ""),
        ("hold", "RUNNING", ""),
        ("SLEEPING", "2026-11-25T10:00:00.000Z"),
    ]
    assert reported(run.step_completes(hold)) == [("hold", "COMPLETED", ""), ("RUNNING", "")]
    wait = run.step("approval", "WAIT_FOR_EVENT")
    assert reported(run.wait_begins(wait)) == [("approval", "RUNNING", ""), ("WAITING", "")]
    assert reported(run.step_fails(wait, ERROR)) == [("approval", "FAILED", ""), ("RUNNING", "")]


def test_an_instance_runs_as_long_as_one_of_its_parallel_steps_does() -> None:
    run = fresh()
    work, hold, wait = (
        run.step("work", "TASK"),
        run.step("hold", "SLEEP"),
        run.step("wait", "WAIT_FOR_EVENT"),
    )
    run.attempt_begins(work, 1)
    assert reported(run.sleep_begins(hold, WHEN)) == [("hold", "RUNNING", "")]
    assert reported(run.wait_begins(wait)) == [("wait", "RUNNING", "")]
    assert reported(run.step_completes(work, "1")) == [("work", "COMPLETED", "1"), ("WAITING", "")]
    assert reported(run.step_completes(wait, "1"))[-1] == ("SLEEPING", "2026-11-25T10:00:00.000Z")
    assert reported(run.step_completes(hold))[-1] == ("RUNNING", "")


def replay(status: str, **steps: str) -> Run:
    run = fresh()
    known = [{"name": name, "status": told_status} for name, told_status in steps.items()]
    run.recall({"status": status, "steps": known})
    return run


def test_a_replay_repeats_nothing_that_the_service_has() -> None:
    run = replay("SLEEPING", total="COMPLETED", hold="RUNNING")
    total, hold = run.step("total", "TASK"), run.step("hold", "SLEEP")
    assert run.step_completes(total, "25") == []
    # Nor is the end of the sleep, which the first run has reported more precisely.
    assert run.sleep_begins(hold, WHEN) == []
    assert reported(run.step_completes(hold)) == [("hold", "COMPLETED", ""), ("RUNNING", "")]


def test_a_replay_reports_what_was_lost() -> None:
    run = replay("RUNNING", total="RUNNING")
    total, charge = run.step("total", "TASK"), run.step("charge", "TASK")
    # Without an attempt: the service knows which one it was.
    assert reported(run.step_completes(total, "25")) == [("total", "COMPLETED", "")]
    assert reported(run.step_fails(charge, ERROR)) == [("charge", "FAILED", "")]


def test_a_replay_of_an_instance_that_the_service_does_not_know_creates_it() -> None:
    run = fresh()
    run.recall(None)
    updates = run.step_completes(run.step("total", "TASK"), "25")
    assert reported(updates) == [("RUNNING", ""), ("total", "COMPLETED", "")]


def test_an_instance_that_is_queued_or_paused_runs_again() -> None:
    for status in ("QUEUED", "PAUSED", "UNKNOWN"):
        run = replay(status)
        updates = reported(run.attempt_begins(run.step("total", "TASK"), 1))
        assert sorted(updates) == [("RUNNING", ""), ("total", "RUNNING", "1")]


def test_a_finished_instance_is_not_reported_as_running() -> None:
    run = replay("COMPLETED", total="COMPLETED")
    total, hold = run.step("total", "TASK"), run.step("hold", "SLEEP")
    assert run.step_completes(total, "25") == []
    assert reported(run.sleep_begins(hold, WHEN)) == [("hold", "RUNNING", "")]
    assert reported(run.completes("1")) == [("COMPLETED", "")]
