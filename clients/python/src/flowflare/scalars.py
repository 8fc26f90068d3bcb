"""The API's scalars: instants as aware datetimes, durations as timedeltas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MILLISECOND = timedelta(milliseconds=1)


def serialize_datetime(value: datetime) -> str:
    """An instant in UTC with milliseconds, as the API writes it; ValueError without a time zone."""
    if value.tzinfo is None:
        raise ValueError(
            f"{value!r} has no time zone; pass an aware datetime such as datetime.now(UTC)."
        )
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def serialize_duration(value: timedelta) -> int:
    """A duration in whole milliseconds, rounded down."""
    return value // MILLISECOND


def parse_duration(value: object) -> object:
    """Milliseconds as a timedelta; any other value is left to validation."""
    return timedelta(milliseconds=value) if isinstance(value, int) else value
