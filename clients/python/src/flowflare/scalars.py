"""The API's scalars in Python: instants with their zone, spans of time as timedelta."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MILLISECOND = timedelta(milliseconds=1)


def serialize_datetime(value: datetime) -> str:
    """An instant in UTC with milliseconds, as the API writes it; ValueError without a time zone."""
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; use datetime.now(UTC), for instance.")
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def serialize_duration(value: timedelta) -> int:
    """Whole milliseconds; less than one is cut off."""
    return value // MILLISECOND


def parse_duration(value: object) -> object:
    """Milliseconds as timedelta; anything else is left for validation to judge."""
    return timedelta(milliseconds=value) if isinstance(value, int) else value
