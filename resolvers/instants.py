"""Instants: RFC 3339 in, UTC text with milliseconds out, the form D1 stores and answers."""

from datetime import UTC, datetime

_MESSAGE = "must be an RFC 3339 instant such as 2026-11-22T10:00:00.000Z"


def parse_instant(value: object) -> str:
    """Canonical text of an instant; ValueError where it is none or lies outside 0001..9999."""
    if not isinstance(value, str) or len(value) > 40 or "T" not in value.upper():
        raise ValueError(_MESSAGE)
    try:
        parsed = datetime.fromisoformat(value.upper())
        if parsed.tzinfo is None:
            raise ValueError("no offset")
        return format_instant(parsed)
    except (ValueError, OverflowError) as error:
        raise ValueError(_MESSAGE) from error


def format_instant(instant: datetime) -> str:
    """Canonical text of an aware datetime."""
    utc = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return utc.removesuffix("+00:00") + "Z"
