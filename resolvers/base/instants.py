"""Instants: read as RFC 3339, stored and returned as UTC text with milliseconds."""

import re
from datetime import UTC, datetime

# Section 5.6 of RFC 3339. Python's parser accepts more of ISO 8601: weeks, 24:00, no seconds.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_MESSAGE = "must be an RFC 3339 instant such as 2026-11-22T10:00:00.000Z"


def parse_instant(value: object) -> str:
    """Return the canonical text of an instant.

    Raises ValueError if the value is not an RFC 3339 instant from year 0001 to 9999.
    """
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError(_MESSAGE)
    try:
        return format_instant(datetime.fromisoformat(value.upper()))
    except (ValueError, OverflowError) as error:
        raise ValueError(_MESSAGE) from error


def format_instant(instant: datetime) -> str:
    """Return the canonical text of an aware datetime."""
    utc = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return utc.removesuffix("+00:00") + "Z"
