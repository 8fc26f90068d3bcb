"""Retries, results and errors as the tracking records them: plain values."""

from __future__ import annotations

import dataclasses
import enum
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest

from flowflare import NonRetryableError, Retries
from flowflare.errors import is_retryable
from flowflare.recording import described, json_text
from flowflare.retries import milliseconds, retries_of
from resolvers.base.limits import MAX_ERROR_STACK, MAX_JSON_BYTES, MAX_JSON_DEPTH
from resolvers.writing.inputs import ErrorInput
from resolvers.writing.inputs import json_text as stored

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 2, 3, 4]),
        ("exponential", [1, 2, 4, 8]),
    ],
)
def test_the_pauses_between_attempts_are_the_engines(backoff: Any, pauses: list[int]) -> None:
    retries = Retries(limit=4, delay=SECOND, backoff=backoff)
    found = [retries.delay_after(attempt) for attempt in range(1, 6)]
    assert found == [*(SECOND * pause for pause in pauses), None]


def test_a_delay_that_overflows_is_the_longest_timedelta() -> None:
    assert Retries(limit=2_000, delay=SECOND).delay_after(1_999) == timedelta.max


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"delay": timedelta(seconds=-1)}, {"backoff": "random"}]
)
def test_invalid_retries_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retries(**wrong)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (timedelta(seconds=1.5), 1_500),
        (250, 250),
        ("5 seconds", 5_000),
        ("1 minute", 60_000),
        ("2 hours", 7_200_000),
        ("1.5 days", 129_600_000),
    ],
)
def test_time_spans_are_read_as_cloudflare_writes_them(span: Any, expected: int) -> None:
    assert milliseconds(span) == expected


@pytest.mark.parametrize("span", ["soon", "5", "5 parsecs", ""])
def test_an_invalid_time_span_is_refused(span: str) -> None:
    with pytest.raises(ValueError, match="not a time span"):
        milliseconds(span)


def test_retries_are_read_from_the_engines_config() -> None:
    config = {"retries": {"limit": 3, "delay": "2 seconds", "backoff": "linear"}}
    assert retries_of(config) == Retries(3, SECOND * 2, "linear")
    for unknown in ({}, {"retries": None}, {"retries": {"limit": 1, "delay": "<function>"}}):
        assert retries_of(unknown) is None


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: Any
    y: int


class Model(pydantic.BaseModel):
    at: date


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no text either")


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (None, None),
        ({"a": [1, "é", True]}, {"a": [1, "é", True]}),
        ((1, 2), [1, 2]),
        ({1: "one"}, {"1": "one"}),
        (datetime(2026, 11, 25, tzinfo=UTC), "2026-11-25T00:00:00.000Z"),
        (timedelta(seconds=2), 2_000),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))),
        (Decimal("1.10"), "1.10"),
        (Colour.RED, "red"),
        ({3}, [3]),
        (b"abc", {"bytes": 3}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Model(at=date(2026, 1, 2)), {"at": "2026-01-02"}),
        (ValueError("no"), {"name": "ValueError", "message": "no"}),
        ([Opaque()], [{"unserializable": f"{__name__}.Opaque", "preview": "<opaque>"}]),
        ([Broken()], [{"unserializable": f"{__name__}.Broken", "preview": ""}]),
    ],
)
def test_results_are_converted_to_json(value: object, recorded: object) -> None:
    text = json_text(value)
    assert json.loads(text) == recorded
    # The service takes it as it is.
    assert stored(json.loads(text))


def test_a_large_result_is_recorded_by_its_size_and_a_preview() -> None:
    fits = "x" * (MAX_JSON_BYTES - 2)
    assert json_text(fits) == f'"{fits}"'
    assert stored(fits)
    recorded = json.loads(json_text(fits + "é"))
    assert recorded["truncated"] is True
    assert recorded["bytes"] == MAX_JSON_BYTES + 2
    assert recorded["preview"] == '"' + "x" * 999


def chained(links: int) -> object:
    value: Any = None
    for _ in range(links):
        value = Point(value, 0)
    return value


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_a_deep_or_circular_result_does_not_end_the_process() -> None:
    assert json.loads(json_text(nested(MAX_JSON_DEPTH))) == nested(MAX_JSON_DEPTH)
    assert stored(nested(MAX_JSON_DEPTH))
    circular: list[Any] = []
    circular.append(circular)
    for value in (nested(MAX_JSON_DEPTH + 1), nested(100_000), chained(1_000)):
        assert json.loads(json_text(value))["truncated"] is True
    assert json.loads(json_text(circular)) == {
        "unserializable": "builtins.list",
        "preview": "[[...]]",
    }


def test_a_value_with_deep_keys_or_attributes_does_not_end_the_process() -> None:
    # A chain of dataclasses, and what only `repr` would go down into.
    simple = SimpleNamespace()
    for _ in range(100_000):
        simple = SimpleNamespace(inner=simple)
    for value in (simple, [simple]):
        assert '"preview":""' in json_text(value)
    assert json_text(chained(MAX_JSON_DEPTH)).count('"x"') == MAX_JSON_DEPTH


def test_a_value_with_many_references_to_another_does_not_end_the_process() -> None:
    doubled: list[Any] = []
    for _ in range(100):
        doubled = [doubled, doubled]
    circular: list[Any] = []
    circular += [circular, circular]
    assert json.loads(json_text(doubled))["truncated"] is True
    assert json.loads(json_text(circular))["unserializable"] == "builtins.list"
    few = [[1]] * 3
    assert json.loads(json_text([few, few])) == [few, few]


def test_an_error_about_a_deep_value_is_described_without_it() -> None:
    cause = ValueError(nested(100_000))
    try:
        raise RuntimeError("outer") from cause
    except RuntimeError as error:
        found, inner = described(error), described(cause)
    assert (found["name"], found["message"]) == ("RuntimeError", "outer")
    assert (inner["name"], inner["message"]) == ("ValueError", "")
    assert "test_tracking_values.py" in found["stack"]


def test_the_engines_own_error_has_its_own_name() -> None:
    text = "Traceback (most recent call last):\npyodide.ffi.JsException: DataCloneError: no proxy\n"
    found = described(RuntimeError(text))
    assert (found["name"], found["message"]) == ("DataCloneError", "no proxy")


def test_a_lone_surrogate_in_a_result_can_be_sent() -> None:
    text = json_text({"name": "\ud800"})
    assert text.encode()
    assert stored(json.loads(text)) == '{"name":"\\ud800"}'


def test_an_error_is_described_by_name_message_and_stack() -> None:
    class Declined(Exception):
        pass

    try:
        raise Declined("no funds")
    except Declined as error:
        found = described(error)
    assert (found["name"], found["message"]) == ("Declined", "no funds")
    assert found["stack"].startswith("Traceback")
    assert 'raise Declined("no funds")' in found["stack"]


def test_an_error_from_the_engine_is_parsed_from_its_text() -> None:
    text = 'Traceback (most recent call last):\n  File "w.py"\nworker.Declined: no funds\n'
    found = described(RuntimeError(text))
    assert found == {"name": "Declined", "message": "no funds", "stack": text}
    prefixed = described(ValueError("ValueError: no items"))
    assert (prefixed["name"], prefixed["message"]) == ("ValueError", "no items")


def test_an_error_or_result_whose_own_methods_fail_is_recorded() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Dumps:
        def model_dump(self, mode: str) -> object:
            raise LookupError(mode)

    assert described(Silent())["name"] == "Silent"
    assert described(Silent())["message"] == ""
    assert "Dumps" in json.loads(json_text(Dumps()))["unserializable"]


def test_the_end_of_a_long_stack_is_kept() -> None:
    found = described(RuntimeError("x" * 2 * MAX_ERROR_STACK))
    assert len(found["stack"]) == MAX_ERROR_STACK
    stack = ErrorInput(**found).stack
    assert stack == found["stack"]
    assert stack.startswith("…x")


def test_an_error_with_a_non_retryable_base_is_not_retried() -> None:
    class Gone(NonRetryableError):
        pass

    class Foreign(Exception):
        pass

    Foreign.__name__ = "NonRetryableError"  # as Cloudflare's, which is another class
    assert not is_retryable(Gone())
    assert not is_retryable(Foreign())
    assert is_retryable(ValueError())
