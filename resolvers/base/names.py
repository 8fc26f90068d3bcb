"""Rules for names and ids: their length and characters, in reads as in writes."""

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
step_name = _bounded(MAX_STEP_NAME)
ref_type = _bounded(MAX_REF_TYPE)
ref_id = _bounded(MAX_REF_ID)
