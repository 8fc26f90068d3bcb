"""Names of steps in the service's record."""

from __future__ import annotations

import binascii
import re

MAX_STEP_NAME = 256
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CHECKSUM_DIGITS = 8


def recorded_name(name: str) -> str:
    """Return the name under which the service records a step.

    The engine accepts any text as a name. The service replaces a name that is empty, too long or
    has control characters by a readable form that ends in a checksum.

    "load" → "load", "load\\nrows" → "load_rows~e30ba439", "" → "unnamed~00000000"
    """
    if 1 <= len(name) <= MAX_STEP_NAME and not _UNPRINTABLE.search(name):
        return name
    checksum = binascii.crc32(name.encode("utf-16-le", "surrogatepass"))
    readable = _UNPRINTABLE.sub("_", name)[: MAX_STEP_NAME - 1 - _CHECKSUM_DIGITS]
    return f"{readable or 'unnamed'}~{checksum:0{_CHECKSUM_DIGITS}x}"
