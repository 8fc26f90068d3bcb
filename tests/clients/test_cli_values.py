"""Parsers of the command line: values, or an error that says what is accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowflare.cli.values import parse_duration, parse_instant, parse_json, read_json
from flowflare.scalars import serialize_duration

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("1.5h", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1m1ms", timedelta(minutes=1, milliseconds=1)),
        ("0s", timedelta()),
        (" 1H ", timedelta(hours=1)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "s",
        "1y",
        "1h-30m",
        "-1h",
        "30m1h",
        "1h1h",
        "1h 30m",
        "1e3s",
        "\u0661s",
        "9" * 400 + "w",
    ],
)
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|too long"):
        parse_duration(text)


@given(st.lists(st.integers(0, 50), min_size=6, max_size=6))
def test_a_duration_is_the_sum_of_its_parts(counts: list[int]) -> None:
    units = ["w", "d", "h", "m", "s", "ms"]
    sizes = [604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1]
    text = "".join(f"{count}{unit}" for count, unit in zip(counts, units, strict=True))
    expected = sum(count * size for count, size in zip(counts, sizes, strict=True))
    assert serialize_duration(parse_duration(text)) == expected


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert parse_duration(text) >= timedelta()
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25T10:00:00Z", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25t10:00:00z", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25 11:00:00+01:00", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T10:00:00.250Z", datetime(2026, 11, 25, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("1h", NOW - timedelta(hours=1)),
        ("1d12h", NOW - timedelta(hours=36)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    assert parse_instant(text, now=lambda: NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-25",
        "2026-11-25T10:00:00",
        "2026-02-30T10:00:00Z",
        "2026-11-25T25:00:00Z",
        "1 hour",
        "99999w99999d",
        "0001-01-01T00:00:00+23:00",
    ],
)
def test_an_invalid_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an instant|not a duration|too long"):
        parse_instant(text, now=lambda: NOW)


@pytest.mark.parametrize(
    ("text", "expected"), [("null", None), ('{"a": [1, "ä"]}', {"a": [1, "ä"]}), ('"x"', "x")]
)
def test_json(text: str, expected: Any) -> None:
    assert parse_json(text) == expected


@pytest.mark.parametrize("text", ["", "x", "{", "NaN", "[Infinity]", "{'a': 1}", "[" * 100_000])
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        parse_json(text)


def test_json_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa4"}')
    assert read_json(f"@{path}") == {"a": "ä"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.json cannot be read: No such file"):
        read_json(f"@{tmp_path}/none.json")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_json(f"@{path}")
