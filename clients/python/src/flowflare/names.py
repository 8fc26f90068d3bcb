"""Names of steps in the service's record."""

from __future__ import annotations

import hashlib
import re

MAX_STEP_NAME = 256
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CHECKSUM = 8


def recorded_name(name: str) -> str:
    """Return the name under which the service records a step.

    The engine takes every text as a name. The service replaces one that is empty, too long or has
    control characters by a readable form with a checksum.

    "load" → "load", "load\\nrows" → "load rows~0f7df41e", "" → "unnamed~e3b0c442"
    """
    if 1 <= len(name) <= MAX_STEP_NAME and not _UNPRINTABLE.search(name):
        return name
    checksum = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_CHECKSUM]
    readable = _UNPRINTABLE.sub(" ", name)[: MAX_STEP_NAME - 1 - _CHECKSUM].strip()
    return f"{readable or 'unnamed'}~{checksum}"
