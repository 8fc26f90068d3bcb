"""Rules for names and ids: their length and characters, in reads as in writes."""

import binascii
import re
from collections.abc import Callable

from resolvers.base.limits import (
    MAX_INSTANCE_ID,
    MAX_REF_ID,
    MAX_REF_TYPE,
    MAX_STEP_NAME,
    MAX_WORKFLOW_NAME,
)

# Control characters, and halves of surrogate pairs, which D1 cannot store.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
UNPRINTABLE_MESSAGE = "must not contain control characters"
_CHECKSUM_DIGITS = 8


def _bounded(limit: int) -> Callable[[object], str]:
    """Make a function that returns a name as it is, or raises ValueError if it breaks the rules."""

    def name(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= limit:
            raise ValueError(f"must have 1 to {limit} characters")
        if UNPRINTABLE.search(value):
            raise ValueError(UNPRINTABLE_MESSAGE)
        return value

    return name


workflow_name = _bounded(MAX_WORKFLOW_NAME)
instance_id = _bounded(MAX_INSTANCE_ID)
ref_type = _bounded(MAX_REF_TYPE)
ref_id = _bounded(MAX_REF_ID)


def step_name(value: object) -> str:
    """Return the stored form of a step's name, which may be any text.

    The engine accepts any text. A name that is empty, too long or has control characters becomes a
    readable text that ends in a checksum of the name, which keeps such names apart. The client
    libraries repeat this rule to find their steps in the record. Raises ValueError if the value is
    not a text.

    "load\\nrows" → "load_rows~e30ba439", "" → "unnamed~00000000"
    """
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004  # the callers expect it
    if 1 <= len(value) <= MAX_STEP_NAME and not UNPRINTABLE.search(value):
        return value
    checksum = binascii.crc32(value.encode("utf-16-le", "surrogatepass"))
    readable = UNPRINTABLE.sub("_", value)[: MAX_STEP_NAME - 1 - _CHECKSUM_DIGITS]
    return f"{readable or 'unnamed'}~{checksum:0{_CHECKSUM_DIGITS}x}"
