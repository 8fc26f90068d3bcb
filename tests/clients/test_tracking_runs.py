"""The reports of a run, decided without clock or network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowflare import Retries
from flowflare.names import recorded_name
from flowflare.recording import Recorded
from flowflare.runs import Run, Step
from resolvers.base.names import step_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowflare.outbox import Update

WHEN = datetime(2026, 11, 25, 10, tzinfo=UTC)
ERROR = {"name": "Declined", "message": "no funds", "stack": ""}


def fresh() -> Run:
    run = Run("i-1", "send-invoice", ',"input":{"a":1}')
    run.recall(None)
    return run


def reported(updates: Sequence[Update]) -> list[tuple[str, ...]]:
    """Each update in short: the instance's status, or a step's name, status and attempt."""
    short: list[tuple[str, ...]] = []
    for update in updates:
        given = members(update)
        if update.kind == "instance":
            short.append((given["status"], given.get("sleepUntil", "")))
        else:
            short.append((given["name"], given["status"], str(given.get("attempt", ""))))
    return short


def members(update: Update) -> Any:
    return json.loads(f"{{{update.members}}}")


def test_the_first_update_creates_the_instance() -> None:
    run = fresh()
    step = run.step("total", "TASK")
    step.retries = Retries(2, timedelta(seconds=1), "linear")
    first, second = run.attempt_begins(step, 1)
    assert first.creates
    assert members(first) == {"status": "RUNNING", "input": {"a": 1}}
    assert members(second) == {
        "name": "total",
        "occurrence": 1,
        "index": 1,
        "kind": "TASK",
        "status": "RUNNING",
        "attempt": 1,
        "retryPolicy": {"limit": 2, "delay": 1_000, "backoff": "LINEAR"},
    }
    [end] = run.step_completes(step, Recorded('{"b":2}', "JSON"))
    assert end.ends_step
    assert members(end)["output"] == {"b": 2}
    [last] = run.completes(Recorded("3", "JSON"))
    assert members(last) == {"status": "COMPLETED", "output": 3, "outputKind": "JSON"}


def test_every_update_names_the_workflow_the_instance_and_the_run() -> None:
    for found, number in ((None, 1), (record("RUNNING", run=3), 3)):
        run = fresh()
        run.recall(found)
        step = run.step("total", "TASK")
        updates = [
            *run.attempt_begins(step, 1),
            *run.step_completes(step, Recorded("1", "JSON")),
            *run.completes(Recorded("2", "JSON")),
        ]
        kinds = []
        for update in updates:
            [(kind, sent)] = json.loads(run.text_of(update)).items()
            kinds.append(kind)
            identity = {"instanceId": "i-1", "workflow": "send-invoice", "run": number}
            assert sent == {**identity, **members(update)}
        assert kinds == [*(["instance"] if found is None else []), "step", "step", "instance"]


def test_a_step_outside_a_workflow_takes_the_workflow_of_the_record() -> None:
    run = Run("i-1", None, begun=True, reported="COMPLETED")
    run.identify(record("RUNNING", run=2))
    [update] = run.attempt_begins(Step("load", None, "TASK", occurrence=3), 1)
    sent = json.loads(run.text_of(update))["step"]
    assert (sent["workflow"], sent["run"]) == ("send-invoice", 2)
    assert (sent["name"], sent["occurrence"], sent["index"]) == ("load", 3, None)


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
    run.recall(record("RUNNING", ("charge", 1, "RUNNING")))
    step = run.step("charge", "TASK")
    updates = run.attempt_begins(step, 3)
    assert reported(updates) == [("charge", "RETRYING", "2"), ("charge", "RUNNING", "3")]
    assert members(updates[0])["error"]["name"] == "AttemptInterrupted"


def test_a_step_is_identified_by_its_name_and_its_occurrence() -> None:
    run = fresh()
    steps = [run.step(name, "TASK") for name in ("load", "load (2)", "load", "load")]
    assert [(step.name, step.occurrence, step.index) for step in steps] == [
        ("load", 1, 1),
        ("load (2)", 1, 2),
        ("load", 2, 3),
        ("load", 3, 4),
    ]
    [_, update] = run.attempt_begins(steps[3], 1)
    assert (members(update)["name"], members(update)["occurrence"]) == ("load", 3)
    assert update.label == "step 'load' (occurrence 3) RUNNING"


NAMES = ["", "x" * 256, "y" * 300, "load\nrows", "\x00", "~", "\ud800", "\ud801", "Ω😀", '"\\']


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_the_name_of_a_step(name: str) -> None:
    run = fresh()
    [_, update] = run.attempt_begins(run.step(name, "TASK"), 1)
    text = run.text_of(update)
    assert text.encode("utf-8")
    assert json.loads(text)["step"]["name"] == name
    assert len(update.label) < 100
    # The record has the service's form of the name.
    recorded = step_name(name)
    run = fresh()
    run.recall(record("RUNNING", (recorded, 1, "COMPLETED"), (recorded, 2, "RUNNING")))
    assert run.step_completes(run.step(name, "TASK"), Recorded("1", "JSON")) == []
    assert len(run.step_completes(run.step(name, "TASK"), Recorded("1", "JSON"))) == 1


@given(st.text(st.characters()) | st.text(min_size=240, max_size=270))
def test_the_recorded_form_of_a_name_is_the_services(name: str) -> None:
    assert recorded_name(name) == step_name(name)


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
    assert reported(run.step_completes(work, Recorded("1", "JSON"))) == [
        ("work", "COMPLETED", "1"),
        ("WAITING", ""),
    ]
    assert reported(run.step_completes(wait, Recorded("1", "JSON")))[-1] == (
        "SLEEPING",
        "2026-11-25T10:00:00.000Z",
    )
    assert reported(run.step_completes(hold))[-1] == ("RUNNING", "")


def record(status: str, *steps: tuple[str, int, str], run: int = 1) -> dict[str, Any]:
    """The service's record of an instance: each step has a name, an occurrence and a status."""
    members = [
        {"name": name, "occurrence": occurrence, "status": status}
        for name, occurrence, status in steps
    ]
    return {
        "workflow": {"name": "send-invoice"},
        "reference": None,
        "status": status,
        "run": run,
        "steps": members,
    }


def replay(status: str, **steps: str) -> Run:
    run = fresh()
    run.recall(record(status, *((name, 1, reached) for name, reached in steps.items())))
    return run


def test_a_replay_repeats_nothing_that_the_service_has() -> None:
    run = replay("SLEEPING", total="COMPLETED", hold="RUNNING")
    total, hold = run.step("total", "TASK"), run.step("hold", "SLEEP")
    assert run.step_completes(total, Recorded("25", "JSON")) == []
    # Nor is the end of the sleep, which the first run has reported more precisely.
    assert run.sleep_begins(hold, WHEN) == []
    assert reported(run.step_completes(hold)) == [("hold", "COMPLETED", ""), ("RUNNING", "")]


def test_a_replay_reports_what_was_lost() -> None:
    run = replay("RUNNING", total="RUNNING")
    total, charge = run.step("total", "TASK"), run.step("charge", "TASK")
    # Without an attempt: the service knows which one it was.
    assert reported(run.step_completes(total, Recorded("25", "JSON"))) == [
        ("total", "COMPLETED", "")
    ]
    assert reported(run.step_fails(charge, ERROR)) == [("charge", "FAILED", "")]


def test_a_replay_distinguishes_the_occurrences_of_a_name() -> None:
    run = fresh()
    run.recall(record("RUNNING", ("load", 1, "COMPLETED"), ("load (2)", 1, "COMPLETED")))
    first, literal, second = (run.step(name, "TASK") for name in ("load", "load (2)", "load"))
    assert run.step_completes(first, Recorded("1", "JSON")) == []
    assert run.step_completes(literal, Recorded("1", "JSON")) == []
    assert reported(run.step_completes(second, Recorded("1", "JSON"))) == [
        ("load", "COMPLETED", "")
    ]


def test_a_record_without_its_steps_has_the_status_and_the_run() -> None:
    run = fresh()
    run.recall({**record("SLEEPING", run=2), "steps": None})
    assert (run.number, run.reported, run.begun) == (2, "SLEEPING", True)
    updates = run.step_completes(run.step("total", "TASK"), Recorded("25", "JSON"))
    assert reported(updates) == [("total", "COMPLETED", "")]


def test_a_replay_of_an_instance_that_the_service_does_not_know_creates_it() -> None:
    run = fresh()
    updates = run.step_completes(run.step("total", "TASK"), Recorded("25", "JSON"))
    assert reported(updates) == [("RUNNING", ""), ("total", "COMPLETED", "")]


def test_an_instance_that_is_queued_or_paused_runs_again() -> None:
    for status in ("QUEUED", "PAUSED", "UNKNOWN"):
        run = replay(status)
        updates = reported(run.attempt_begins(run.step("total", "TASK"), 1))
        assert sorted(updates) == [("RUNNING", ""), ("total", "RUNNING", "1")]


def test_the_first_report_of_a_queued_run_keeps_a_recorded_reference() -> None:
    for recorded in (None, {"refType": "order", "refId": "7"}):
        run = fresh()
        run.reference = ',"reference":{"refType":"user","refId":"1"}'
        run.recall({**record("QUEUED"), "reference": recorded})
        [first, _] = run.attempt_begins(run.step("total", "TASK"), 1)
        sent = members(first)
        assert (sent["status"], sent["input"]) == ("RUNNING", {"a": 1})
        assert sent.get("reference") == (None if recorded else {"refType": "user", "refId": "1"})


@pytest.mark.parametrize("following", ["FOLLOWED", "NOT_FOLLOWED"])
@pytest.mark.parametrize("steps", [[], [("total", 1, "COMPLETED")]])
def test_a_run_whose_beginning_is_in_the_history_reports_what_that_lacks(
    following: str, steps: list[tuple[str, int, str]]
) -> None:
    run = fresh()
    run.reference = ',"reference":{"refType":"user","refId":"1"}'
    run.recall({**record("RUNNING", *steps), "reference": None, "following": following})
    updates = run.attempt_begins(run.step("next", "TASK"), 1)
    needed = [update.is_needed for update in updates]
    assert needed == ([True, False] if following == "FOLLOWED" and not steps else [False])


def test_updates_with_a_stack_are_needed() -> None:
    bare = {"name": "E", "message": "no"}
    for error, is_needed in ((bare, False), ({**bare, "stack": "E: no"}, True)):
        run = fresh()
        step = run.step("total", "TASK")
        begun = run.attempt_begins(step, 1)
        ends = [
            *run.attempt_fails(step, error, retry_at=None),
            *run.step_fails(step, error),
            *run.fails(error),
        ]
        assert [update.is_needed for update in begun] == [False, False]
        assert [update.is_needed for update in ends] == [is_needed] * 3


def test_a_finished_instance_is_not_reported_as_running() -> None:
    run = replay("COMPLETED", total="COMPLETED")
    total, hold = run.step("total", "TASK"), run.step("hold", "SLEEP")
    assert run.step_completes(total, Recorded("25", "JSON")) == []
    assert reported(run.sleep_begins(hold, WHEN)) == [("hold", "RUNNING", "")]
    assert reported(run.completes(Recorded("1", "JSON"))) == [("COMPLETED", "")]
