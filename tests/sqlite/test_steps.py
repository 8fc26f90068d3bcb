"""Every change of a step, its attempts and its events."""

from typing import Any

import pytest

from resolvers.base.limits import MAX_ATTEMPT, MAX_STEP_INDEX
from tests.support.writing import Writer, failure

_STATUSES = ("PENDING", "RUNNING", "RETRYING", "COMPLETED", "FAILED")
_BEGIN = ["STEP_STARTED", "ATTEMPT_STARTED"]
# The events that each change of a step writes, and the current attempt after it. Other changes are
# refused; a repeated status is answered and changes nothing.
_CHANGES: dict[tuple[str, str], tuple[list[str], int]] = {
    ("PENDING", "RUNNING"): (_BEGIN, 1),
    ("PENDING", "RETRYING"): ([*_BEGIN, "ATTEMPT_FAILED"], 1),
    ("PENDING", "COMPLETED"): ([*_BEGIN, "STEP_COMPLETED"], 1),
    ("PENDING", "FAILED"): ([*_BEGIN, "ATTEMPT_FAILED", "STEP_FAILED"], 1),
    ("RUNNING", "RETRYING"): (["ATTEMPT_FAILED"], 1),
    ("RUNNING", "COMPLETED"): (["STEP_COMPLETED"], 1),
    ("RUNNING", "FAILED"): (["ATTEMPT_FAILED", "STEP_FAILED"], 1),
    ("RETRYING", "RUNNING"): (["ATTEMPT_STARTED"], 2),
    ("RETRYING", "COMPLETED"): (["ATTEMPT_STARTED", "STEP_COMPLETED"], 2),
    ("RETRYING", "FAILED"): (["STEP_FAILED"], 1),
}
_CREATED = {
    "PENDING": ["INSTANCE_UPDATED"],
    "RUNNING": _BEGIN,
    "RETRYING": [*_BEGIN, "ATTEMPT_FAILED"],
    "COMPLETED": [*_BEGIN, "STEP_COMPLETED"],
    "FAILED": [*_BEGIN, "ATTEMPT_FAILED", "STEP_FAILED"],
}
_LAST_ATTEMPT = {
    "RUNNING": "RUNNING",
    "RETRYING": "FAILED",
    "COMPLETED": "COMPLETED",
    "FAILED": "FAILED",
}
# The statuses of steps as statuses of instances, in IllegalTransition.
_MEANS = {
    "PENDING": "QUEUED",
    "RUNNING": "RUNNING",
    "RETRYING": "RUNNING",
    "COMPLETED": "COMPLETED",
    "FAILED": "ERRORED",
}
_ILLEGAL = [(s, t) for s in _STATUSES for t in _STATUSES if s != t and (s, t) not in _CHANGES]


def running() -> Writer:
    """A writer with a running instance, whose first event is at position 1."""
    writer = Writer()
    writer.create("RUNNING")
    return writer


def numbers(step: dict[str, Any]) -> list[tuple[int, str]]:
    """Number and status of each attempt of a step."""
    return [(attempt["number"], attempt["status"]) for attempt in step["attempts"]]


@pytest.mark.parametrize("status", _STATUSES)
def test_the_first_report_of_a_step_may_have_any_status(status: str) -> None:
    writer = running()
    step = writer.step(status)["step"]
    assert (step["status"], step["index"], step["kind"]) == (status, 1, "TASK")
    assert writer.types(1) == _CREATED[status]
    assert numbers(step) == ([(1, _LAST_ATTEMPT[status])] if status != "PENDING" else [])
    assert (step["startedAt"] is None) == (status == "PENDING")
    assert (step["completedAt"] is not None) == (status in ("COMPLETED", "FAILED"))


@pytest.mark.parametrize(("source", "target"), _CHANGES)
def test_a_legal_change_moves_the_step_and_writes_its_events(source: str, target: str) -> None:
    writer = running()
    writer.step(source)
    head = writer.head()
    step = writer.step(target)["step"]
    events, attempt = _CHANGES[source, target]
    assert (step["status"], step["attemptCount"]) == (target, attempt)
    assert writer.types(head) == events
    before = [(1, "FAILED")] if attempt == 2 else []
    assert numbers(step) == [*before, (attempt, _LAST_ATTEMPT[target])]
    assert {row[1:3] for row in writer.events(head)} == {("RUNNING", "s")}


@pytest.mark.parametrize(("source", "target"), _ILLEGAL)
def test_an_illegal_change_of_a_step_is_refused_and_changes_nothing(
    source: str, target: str
) -> None:
    writer = running()
    writer.step(source)
    state, head = writer.state(), writer.head()
    result = writer.step(target, output=1)
    assert result["__typename"] == "IllegalTransition"
    assert (result["stepFrom"], result["stepTo"]) == (source, target)
    assert (result["from"], result["to"]) == (_MEANS[source], _MEANS[target])
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("status", _STATUSES)
def test_a_repeated_status_of_a_step_changes_nothing(status: str) -> None:
    writer = running()
    writer.step(status, index=3, output=1 if status == "COMPLETED" else None)
    state, head = writer.state(), writer.head()
    assert writer.step(status, index=3)["step"]["status"] == status
    assert (writer.state(), writer.head()) == (state, head)


def test_failed_attempts_are_kept_until_the_step_completes() -> None:
    writer = running()
    writer.step("RUNNING", retryPolicy={"limit": 3, "delay": 500})
    for number in (1, 2):
        retry_at = f"2030-01-01T00:00:0{number}.000Z"
        step = writer.step("RETRYING", error={"message": f"no {number}"}, retryAt=retry_at)["step"]
        assert step["nextRetryAt"] == retry_at
        step = writer.step("RUNNING")["step"]
        assert (step["nextRetryAt"], step["attemptCount"]) == (None, number + 1)
    step = writer.step("COMPLETED", output={"ok": True})["step"]
    assert numbers(step) == [(1, "FAILED"), (2, "FAILED"), (3, "COMPLETED")]
    assert [a["error"] and a["error"]["message"] for a in step["attempts"]] == [
        "no 1",
        "no 2",
        None,
    ]
    assert [a["retryAt"] for a in step["attempts"]][2] is None
    assert step["error"] is None
    assert step["output"] == {"ok": True}
    assert step["retryPolicy"] == {"limit": 3, "delay": 500, "backoff": "EXPONENTIAL"}
    assert writer.events(1) == [
        ("STEP_STARTED", "RUNNING", "s", None),
        ("ATTEMPT_STARTED", "RUNNING", "s", 1),
        ("ATTEMPT_FAILED", "RUNNING", "s", 1),
        ("ATTEMPT_STARTED", "RUNNING", "s", 2),
        ("ATTEMPT_FAILED", "RUNNING", "s", 2),
        ("ATTEMPT_STARTED", "RUNNING", "s", 3),
        ("STEP_COMPLETED", "RUNNING", "s", 3),
    ]


@pytest.mark.parametrize(("status", "attempt"), [("RUNNING", 1), ("RETRYING", 1), ("RUNNING", 2)])
def test_a_late_report_of_an_attempt_changes_nothing(status: str, attempt: int) -> None:
    writer = running()
    for now, number in (("RUNNING", 1), ("RETRYING", 1), ("RUNNING", 2)):
        writer.step(now, attempt=number)
    state, head = writer.state(), writer.head()
    step = writer.step(status, attempt=attempt)["step"]
    assert (step["status"], step["attemptCount"]) == ("RUNNING", 2)
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_the_end_of_an_earlier_attempt_is_refused(status: str) -> None:
    writer = running()
    writer.step("RUNNING", attempt=2)
    state = writer.state()
    result = writer.step(status, attempt=1)
    assert (result["__typename"], result["stepFrom"]) == ("IllegalTransition", "RUNNING")
    assert "with attempt 1" in result["message"]
    assert writer.state() == state


def test_an_attempt_that_has_failed_cannot_complete_the_step() -> None:
    writer = running()
    writer.step("RETRYING", attempt=2)
    state = writer.state()
    result = writer.step("COMPLETED", attempt=2)
    assert (result["stepFrom"], result["stepTo"]) == ("RETRYING", "COMPLETED")
    assert writer.state() == state
    assert writer.step("COMPLETED", attempt=3)["step"]["attemptCount"] == 3


def test_a_new_attempt_marks_the_running_one_as_failed() -> None:
    writer = running()
    writer.step("RUNNING", attempt=1)
    head = writer.head()
    step = writer.step("RUNNING", attempt=2)["step"]
    assert numbers(step) == [(1, "FAILED"), (2, "RUNNING")]
    assert step["attempts"][0]["endedAt"] is not None
    assert [row[::3] for row in writer.events(head)] == [
        ("ATTEMPT_FAILED", 1),
        ("ATTEMPT_STARTED", 2),
    ]
    assert numbers(writer.step("COMPLETED", attempt=3)["step"]) == [
        (1, "FAILED"),
        (2, "FAILED"),
        (3, "COMPLETED"),
    ]


@pytest.mark.parametrize("kind", ["SLEEP", "WAIT_FOR_EVENT"])
def test_a_sleep_or_a_wait_has_no_attempts(kind: str) -> None:
    writer = running()
    step = writer.step("RUNNING", kind=kind)["step"]
    assert (step["kind"], step["attemptCount"], step["attempts"]) == (kind, 0, [])
    step = writer.step("COMPLETED", output="event")["step"]
    assert (step["kind"], step["attemptCount"], step["output"]) == (kind, 0, "event")
    assert writer.events(1) == [
        ("STEP_STARTED", "RUNNING", "s", None),
        ("STEP_COMPLETED", "RUNNING", "s", None),
    ]


def test_a_pending_step_has_no_attempts() -> None:
    writer = running()
    step = writer.step("PENDING", attempt=1)["step"]
    assert (step["attemptCount"], step["attempts"]) == (0, [])
    writer.step("RUNNING", attempt=1)
    assert writer.step("PENDING", attempt=2)["__typename"] == "IllegalTransition"


@pytest.mark.parametrize("first", ["PENDING", "RUNNING", "RETRYING"])
def test_a_retried_wait_has_attempts(first: str) -> None:
    writer = running()
    writer.step(first, kind="WAIT_FOR_EVENT")
    assert numbers(writer.step("RETRYING")["step"]) == [(1, "FAILED")]
    assert writer.types()[-1] == "ATTEMPT_FAILED"
    assert numbers(writer.step("COMPLETED")["step"]) == [(1, "FAILED"), (2, "COMPLETED")]


def test_steps_are_numbered_in_the_order_of_their_first_reports() -> None:
    writer = running()
    for name in ("a", "b"):
        writer.step("RUNNING", name)
    assert writer.step("RUNNING", "c", index=7)["step"]["index"] == 7
    assert writer.step("RUNNING", "d")["step"]["index"] == 8


def test_the_index_of_another_step_is_refused() -> None:
    writer = running()
    writer.step("RUNNING", "a", index=1)
    state = writer.state()
    assert failure(writer.step("RUNNING", "b", index=1)) == ("INVALID_INPUT", "input.index")
    assert writer.state() == state


def test_a_step_may_repeat_its_own_index() -> None:
    writer = running()
    writer.step("RUNNING", "a", index=1)
    writer.step("RUNNING", "b", index=2)
    for name, index in (("a", 1), ("b", 2)):
        step = writer.step("COMPLETED", name, index=index)["step"]
        assert (step["status"], step["index"]) == ("COMPLETED", index)


@pytest.mark.parametrize("status", ["COMPLETED", "ERRORED", "TERMINATED"])
def test_a_finished_instance_accepts_the_end_of_a_step_but_no_start(status: str) -> None:
    writer = running()
    for name in ("completes", "fails", "goes on"):
        writer.step("RUNNING", name)
    writer.update(status=status)
    assert writer.step("COMPLETED", "completes")["step"]["status"] == "COMPLETED"
    assert writer.step("FAILED", "fails", error={"message": "x"})["step"]["status"] == "FAILED"
    assert writer.step("COMPLETED", "reported late")["step"]["status"] == "COMPLETED"
    state, head = writer.state(), writer.head()
    for name, target, source in (("goes on", "RETRYING", "CANCELLED"), ("new", "RUNNING", None)):
        result = writer.step(target, name)
        assert (result["__typename"], result["stepFrom"]) == ("IllegalTransition", source)
        assert result["from"] == (status if source is None else "TERMINATED")
    assert (writer.state(), writer.head()) == (state, head)


def test_a_step_of_an_instance_that_is_not_tracked_is_not_found() -> None:
    writer = running()
    assert writer.step("RUNNING", instance_id="absent")["code"] == "NOT_FOUND"


def test_the_error_of_an_attempt_stays_until_the_step_succeeds() -> None:
    writer = running()
    writer.step("RETRYING", error={"message": "first", "name": "E", "stack": "here"})
    kept = {"name": "E", "message": "first", "stack": "here"}
    assert writer.step("RUNNING")["step"]["error"] == kept
    assert writer.step("COMPLETED")["step"]["error"] is None
    [data] = writer.database.rows("SELECT data FROM events WHERE type='ATTEMPT_FAILED'")
    assert data == ('{"error":{"name":"E","message":"first"},"retryAt":null}',)


def test_a_step_whose_first_report_completes_it_has_no_error() -> None:
    step = running().step("COMPLETED", output=1, error={"message": "x"})["step"]
    assert (step["error"], step["output"]) == (None, 1)


def test_numbers_out_of_bounds_are_refused_with_their_fields() -> None:
    writer = running()
    for given, field in (
        ({"index": 0}, "index"),
        ({"attempt": 0}, "attempt"),
        ({"retryPolicy": {"limit": -1, "delay": 0}}, "retryPolicy.limit"),
    ):
        assert failure(writer.step("RUNNING", **given)) == ("INVALID_INPUT", f"input.{field}")
    assert writer.state()["steps"] == []


def test_after_the_largest_index_a_new_step_must_name_its_index() -> None:
    writer = running()
    writer.step("RUNNING", "last", index=MAX_STEP_INDEX)
    for status in _STATUSES:
        refused = writer.step(status, f"new-{status}")
        assert failure(refused) == ("INVALID_INPUT", "input.index")
        assert str(MAX_STEP_INDEX) in refused["message"]
    # Existing steps can still change, with or without their index.
    assert writer.step("RETRYING", "last")["step"]["status"] == "RETRYING"
    assert writer.step("RUNNING", "last", index=MAX_STEP_INDEX)["step"]["attemptCount"] == 2
    assert writer.step("RUNNING", "free", index=7)["step"]["index"] == 7
    assert writer.step("COMPLETED", "free", index=MAX_STEP_INDEX)["step"]["index"] == 7


def test_there_is_no_attempt_after_the_largest_number() -> None:
    writer = running()
    writer.step("RETRYING", attempt=MAX_ATTEMPT)
    for status in ("RUNNING", "COMPLETED"):
        refused = writer.step(status)
        assert failure(refused) == ("INVALID_INPUT", "input.attempt")
        assert "MAX_ATTEMPT" in refused["message"]
    assert writer.step("FAILED")["step"]["attemptCount"] == MAX_ATTEMPT


def test_a_finished_instance_accepts_no_new_running_step() -> None:
    writer = running()
    writer.step("RUNNING", "a", index=1)
    writer.update(status="COMPLETED")
    assert writer.step("RUNNING", "b", index=1)["__typename"] == "IllegalTransition"
    assert failure(writer.step("COMPLETED", "b", index=1)) == ("INVALID_INPUT", "input.index")
