"""Output for people: bars, durations, and text without control characters."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowflare.cli.render.bars import Axis, Cell, Stretch, sparkline
from flowflare.cli.render.output import STATUS_STYLES, Output
from flowflare.cli.render.text import ago, error_text, plain, span
from flowflare.cli.render.timeline import axis_of, show_instance, show_run, stretches_of
from flowflare.client import (
    GetRunsInstance,
    InstanceStatus,
    StepStatus,
    WorkflowError,
    WorkflowInstance,
)

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 25, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0ms"),
        (0.999, "999ms"),
        (1, "1.0s"),
        (59.949, "59.9s"),
        (59.96, "1m 00s"),
        (61, "1m 01s"),
        (3_599, "59m 59s"),
        (3_600, "1h 00m"),
        (86_399, "23h 59m"),
        (86_400, "1d 0h"),
        (90 * 86_400 + 7_200, "90d 2h"),
        (-1, "-1.0s"),
    ],
)
def test_lengths_of_time(seconds: float, shown: str) -> None:
    assert span(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "now"), (12, "12s ago"), (60, "1m ago"), (7_300, "2h ago"), (-90, "in 1m")],
)
def test_times_since_an_instant(seconds: float, shown: str) -> None:
    assert ago(at(0), at(seconds)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("\x1b[2J\x07\x9b", "\ufffd[2J\ufffd\ufffd"),
        ("safe\u202eexe", "safe\ufffdexe"),
        ("\ud800", "\ufffd"),
        ("größe 漢字", "größe 漢字"),
    ],
)
def test_control_characters_are_replaced(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("", "Oops"),
        ("one\ntwo", "Oops: one"),
        (
            "Error: Traceback (most recent call last):\n  File x\nValueError: no\n",
            "Oops: ValueError: no",
        ),
        ("x" * 400, f"Oops: {'x' * 299}…"),
    ],
)
def test_an_error_is_one_line(message: str, shown: str) -> None:
    assert error_text(WorkflowError(name="Oops", message=message, stack=None)) == shown


# --- bars


def test_a_bar_covers_its_stretches() -> None:
    axis = Axis(at(0), at(10))
    bar = axis.bar(
        [
            Stretch(at(0), at(10), Cell.WAIT),
            Stretch(at(0), at(2), Cell.FAILED),
            Stretch(at(8), at(10), Cell.DONE),
        ],
        10,
    )
    assert "".join(cell.character(ascii_only=True) for cell in bar) == "xx......##"


def test_a_stretch_without_duration_is_visible() -> None:
    axis = Axis(at(0), at(1000))
    bar = axis.bar([Stretch(at(1000), at(1000), Cell.DONE)], 10)
    assert bar == [Cell.EMPTY] * 9 + [Cell.DONE]
    assert Axis(at(0), at(0)).bar([Stretch(at(0), at(0), Cell.DONE)], 3).count(Cell.DONE) == 1


@given(
    length=st.floats(0, 1e6),
    stretches=st.lists(st.tuples(st.floats(-1e3, 1e6), st.floats(0, 1e6)), max_size=5),
    width=st.integers(1, 80),
)
def test_any_bar_has_its_width_and_shows_its_last_stretch(
    length: float, stretches: list[tuple[float, float]], width: int
) -> None:
    axis = Axis(at(0), at(length))
    bar = axis.bar([Stretch(at(a), at(a + b), Cell.DONE) for a, b in stretches], width)
    assert len(bar) == width
    assert (Cell.DONE in bar) == bool(stretches)


@given(st.lists(st.integers(0, 10**6), max_size=60))
def test_a_sparkline_is_blank_for_zero_only(values: list[int]) -> None:
    line = sparkline(values)
    assert len(line) == len(values)
    assert [character == " " for character in line] == [value == 0 for value in values]
    if any(values):
        assert line[values.index(max(values))] == "█"


def test_every_status_has_a_style() -> None:
    assert set(STATUS_STYLES) == {
        status.value for vocabulary in (InstanceStatus, StepStatus) for status in vocabulary
    }


# --- an instance


def tracked(**changes: Any) -> WorkflowInstance:
    """A running instance with one step that was tried and is to be tried again."""
    attempt = {
        "number": 1,
        "status": "FAILED",
        "error": {"name": "Busy", "message": "later", "stack": None},
        "startedAt": at(1),
        "endedAt": at(2),
        "retryAt": at(62),
    }
    step = {
        "id": "s",
        "run": 1,
        "occurrence": 1,
        "name": "call\x1b[0m",
        "index": 1,
        "kind": "TASK",
        "status": "RETRYING",
        "output": None,
        "outputKind": None,
        "error": attempt["error"],
        "retryPolicy": {"limit": 3, "delay": 60_000, "backoff": "CONSTANT"},
        "attempts": [attempt],
        "attemptCount": 1,
        "nextRetryAt": datetime.now(UTC) + timedelta(minutes=5, seconds=5),
        "startedAt": at(1),
        "completedAt": None,
        "duration": None,
    }
    instance = {
        "id": "i",
        "instanceId": "order-1",
        "run": 1,
        "bound": True,
        "following": "NOT_FOLLOWED",
        "status": "RUNNING",
        "workflow": {"id": "w", "name": "ship"},
        "reference": None,
        "error": None,
        "createdAt": at(0),
        "startedAt": at(0),
        "updatedAt": at(2),
        "completedAt": None,
        "sleepUntil": None,
        "duration": None,
        "canPause": True,
        "canResume": False,
        "canTerminate": True,
        "canRestart": True,
        "input": None,
        "output": None,
        "outputKind": None,
        "metadata": None,
        "steps": [step],
    }
    return WorkflowInstance.model_validate({**instance, **changes})


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The output for an instance, without colours."""

    def show(instance: WorkflowInstance | GetRunsInstance, *, columns: int = 100) -> str:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            patch.setenv("COLUMNS", str(columns))
            output = Output(as_json=False, color=False)
            if isinstance(instance, WorkflowInstance):
                show_instance(output, instance)
            else:
                show_run(output, instance)
        stream.seek(0)
        return stream.read()

    return show


def test_an_unfinished_instance_lasts_until_now(shown: Callable[..., str]) -> None:
    instance = tracked()
    axis = axis_of(instance, at(100))
    assert axis == Axis(at(0), at(100))
    assert list(stretches_of(instance.steps[0], axis.end)) == [
        Stretch(at(1), at(100), Cell.WAIT),
        Stretch(at(1), at(2), Cell.FAILED),
    ]
    printed = shown(instance)
    assert "next try in 5m" in printed
    assert "at most 4 tries, constant delay of 1m 00s" in printed
    assert "tried again after 1m 00s" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("following", "line"),
    [
        ("FOLLOWED", "following its history in the engine\n"),
        ("BEHIND", "following behind: its history cannot be read at present\n"),
    ],
)
def test_a_followed_instance_says_so(shown: Callable[..., str], following: str, line: str) -> None:
    assert line in shown(tracked(following=following))
    assert "following" not in shown(tracked())


def test_steps_that_an_end_has_cancelled_do_not_go_on(shown: Callable[..., str]) -> None:
    [retrying] = tracked().model_dump(by_alias=True)["steps"]
    waiting = {**retrying, "status": "CANCELLED", "nextRetryAt": None, "completedAt": at(5)}
    attempt = {"number": 1, "status": "CANCELLED", "error": None, "retryAt": None}
    attempt |= {"startedAt": at(3), "endedAt": at(5)}
    running = {**waiting, "name": "work", "index": 2, "error": None, "attempts": [attempt]}
    sleeping = {**running, "name": "nap", "index": 3, "kind": "SLEEP", "attempts": []}
    steps = [waiting, running, sleeping]
    instance = tracked(status="COMPLETED", completedAt=at(5), steps=steps)
    assert [list(stretches_of(step, at(9)))[-1] for step in instance.steps] == [
        Stretch(at(1), at(2), Cell.FAILED),
        Stretch(at(3), at(5), Cell.CANCELLED),
        Stretch(at(1), at(5), Cell.CANCELLED),
    ]
    printed = shown(instance)
    assert printed.count("CANCELLED") == 3
    assert "next try" not in printed
    assert "tried again" not in printed


def test_the_run_is_shown_if_it_is_not_the_first(shown: Callable[..., str]) -> None:
    assert "run  " not in shown(tracked())
    assert "run       2  earlier ones: --run 1\n" in shown(tracked(run=2))
    assert "run       12  earlier ones: --run 1 to 11\n" in shown(tracked(run=12))


def test_a_run_is_shown_with_its_own_steps_and_output(shown: Callable[..., str]) -> None:
    document = tracked(run=3).model_dump(by_alias=True)
    run = {
        "number": 1,
        "status": "ERRORED",
        "output": {"parcels": 1},
        "outputKind": "JSON",
        "error": {"name": "Busy", "message": "later", "stack": "at line 1"},
        "startedAt": at(0),
        "completedAt": at(90),
        "duration": 90_000,
        "steps": [{**document["steps"][0], "name": "old"}],
    }
    printed = shown(GetRunsInstance.model_validate({**document, "runs": [run]}))
    lines = printed.splitlines()
    assert lines[:3] == ["order-1  ERRORED", "workflow  ship", "run       1 of 3"]
    assert "took      1m 30s" in lines
    assert 'output    {"parcels":1}' in lines
    assert "error     Busy: later" in lines
    assert "1 old " in printed


def test_only_a_queued_instance_waits_for_a_binding(shown: Callable[..., str]) -> None:
    says = "unbound   no Workflow is bound, so it waits for reports of what runs it\n"
    assert says in shown(tracked(status="QUEUED", bound=False))
    assert says not in shown(tracked(status="QUEUED", bound=True))
    assert says not in shown(tracked(status="RUNNING", bound=False))


def test_the_second_occurrence_of_a_step_is_numbered(shown: Callable[..., str]) -> None:
    [step] = tracked().model_dump(by_alias=True)["steps"]
    steps = [{**step, "name": "load", "occurrence": n, "index": n} for n in (1, 2)]
    printed = shown(tracked(steps=steps))
    assert printed.count("\n1 load ") == 2
    assert printed.count("\n2 load #2 ") == 2


@pytest.mark.parametrize(
    ("kind", "output", "line"),
    [
        ("JSON", [1], "output    [1]"),
        ("JSON", None, "output    null"),
        ("UNDEFINED", None, "output    (undefined)"),
        ("REDACTED", None, "output    (redacted)"),
        ("CONVERTED", "1", 'output    (converted) "1"'),
        ("TRUNCATED", {"truncated": True}, 'output    (truncated) {"truncated":true}'),
        (None, None, None),
    ],
)
def test_what_is_not_the_result_itself_is_marked(
    shown: Callable[..., str], kind: str | None, output: object, line: str | None
) -> None:
    lines = shown(tracked(output=output, outputKind=kind)).splitlines()
    assert [found for found in lines if found.startswith("output")] == ([line] if line else [])


def test_an_instance_without_steps_has_no_table(shown: Callable[..., str]) -> None:
    instance = tracked(steps=[])
    assert axis_of(instance, at(1)) is None
    assert "Step" not in shown(instance)


def test_long_values_are_cut_to_the_width(shown: Callable[..., str]) -> None:
    printed = shown(tracked(input={"text": "x" * 500}), columns=60)
    [line] = [line for line in printed.splitlines() if line.startswith("input")]
    assert len(line) == 60
    assert line.endswith("…")


# --- JSON


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_document_is_json_whatever_the_stream_takes(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))
    value = {"text": "größe 漢字 \ud800 \x00"}
    Output(as_json=True, color=False).document(value)
    assert json.loads(buffer.getvalue().decode(encoding)) == value
