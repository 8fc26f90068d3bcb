"""Small texts: durations, instants, JSON in one line, and untrusted text made harmless."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowflare.scalars import serialize_datetime

if TYPE_CHECKING:
    from flowflare.client import StepSummary, WorkflowError

_LONGEST_ERROR = 300
_SPANS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))


def span(length: timedelta) -> str:
    """A duration in at most two units: `12ms`, `1.5s`, `2m 05s`, `3d 4h`."""
    milliseconds = length // timedelta(milliseconds=1)
    if milliseconds < 0:
        return f"-{span(-length)}"
    if milliseconds < 1_000:
        return f"{milliseconds}ms"
    seconds = milliseconds // 1_000
    if seconds < 60:
        return f"{milliseconds / 1_000:.1f}s" if milliseconds < 59_950 else "1m 00s"
    for size, unit, smaller, smaller_unit in _SPANS:
        if seconds >= size:
            count, rest = divmod(seconds, size)
            return f"{count}{unit} {rest // smaller:0{1 if size == 86_400 else 2}}{smaller_unit}"
    raise AssertionError("every duration from a minute has a unit")


def ago(instant: datetime, now: datetime) -> str:
    """The time since an instant in one unit: `now`, `12s ago`, `3h ago`, `in 5m`."""
    seconds = (now - instant).total_seconds()
    whole = int(abs(seconds))
    if whole < 1:
        return "now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        if whole >= size:
            count = f"{whole // size}{unit}"
            return f"in {count}" if seconds < 0 else f"{count} ago"
    raise AssertionError("every duration from a second has a unit")


def wire(instant: datetime | None) -> str:
    """An instant as the API writes it; empty for None."""
    return "" if instant is None else serialize_datetime(instant)


def local(instant: datetime) -> str:
    """An instant in the local time zone."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def compact(value: Any) -> str:
    """Compact JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain(text: str) -> str:
    """Untrusted text in one line, without control characters that a terminal would obey."""
    return "".join(
        " "
        if character in "\n\t\r"
        else "\N{REPLACEMENT CHARACTER}"
        if _acts(character)
        else character
        for character in text
    )


def step_text(step: StepSummary) -> str:
    """A step by its name, with its occurrence from the second on: `load`, `load #3`."""
    return step.name if step.occurrence == 1 else f"{step.name} #{step.occurrence}"


def error_text(error: WorkflowError) -> str:
    """An error in one line: the first line of its message, or the last of a traceback."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    if not lines:
        return plain(error.name)
    chosen = lines[-1] if "Traceback (most recent call last)" in error.message else lines[0]
    if len(chosen) > _LONGEST_ERROR:
        chosen = chosen[: _LONGEST_ERROR - 1] + "…"
    return plain(f"{error.name}: {chosen}")


def _acts(character: str) -> bool:
    # Control characters, and those that change the direction of writing.
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
