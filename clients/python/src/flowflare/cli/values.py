"""Values on the command line: durations, instants, JSON.

Each parser raises ValueError with a message that says what it accepts.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS_MS = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_PART = re.compile(r"(\d{1,16}(?:\.\d{1,9})?)(ms|[wdhms])", re.ASCII)
_LONGEST_MS = 9_007_199_254_740_991
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_TAKES_DURATION = "write it as 90s, 1h30m or 7d (units: w d h m s ms)"
_TAKES_INSTANT = (
    "write it as 2026-11-25T10:00:00Z (RFC 3339), or as the time since then: 90s, 1h30m, 7d"
)


def parse_duration(text: str) -> timedelta:
    """Parse `90s`, `1h30m`, `1.5h` or `7d`; units go from the longest to the shortest."""
    compact = text.strip().lower()
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; {_TAKES_DURATION}")
    ranks = [list(_UNITS_MS).index(unit) for _, unit in parts]
    if ranks != sorted(set(ranks)):
        raise ValueError(f"{text!r} is not a duration; give each unit once, the longest first")
    milliseconds = sum(round(float(number) * _UNITS_MS[unit]) for number, unit in parts)
    if milliseconds > _LONGEST_MS:
        raise ValueError(f"{text!r} is too long a duration")
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None


def parse_instant(text: str, *, now: Callable[[], datetime] | None = None) -> datetime:
    """Parse an RFC 3339 timestamp, or the duration since then; return the instant in UTC."""
    given = text.strip()
    if _PART.match(given.lower()):
        moment = now() if now else datetime.now(UTC)
        try:
            return moment - parse_duration(given)
        except OverflowError:
            raise ValueError(f"{text!r} is too long ago") from None
    if not _INSTANT.fullmatch(given):
        raise ValueError(f"{text!r} is not an instant; {_TAKES_INSTANT}")
    try:
        return datetime.fromisoformat(given.upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not an instant; there is no such date or time") from None


def parse_json(text: str) -> Any:
    """Parse JSON. NaN and infinities are refused."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(
            f"it is not valid JSON ({error.msg} at {where}); strings need quotes: '\"text\"'"
        ) from None
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def read_json(source: str) -> Any:
    """Read JSON from an argument: the text itself, `@file`, or `-` for standard input."""
    if source == "-":
        content = sys.stdin.buffer.read()
        if not content:
            raise ValueError("standard input is empty, or has been read already")
        return parse_json(_decoded(content, "standard input"))
    if not source.startswith("@"):
        return parse_json(source)
    path = Path(source[1:]).expanduser()
    try:
        return parse_json(_decoded(path.read_bytes(), str(path)))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{source} is not UTF-8") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it is not valid JSON: {name} is not a JSON value")
