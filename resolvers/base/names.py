"""Names and ids: how long they may be and of which characters, in reads as in writes."""

import re
from collections.abc import Callable

from resolvers.base.limits import (
    MAX_INSTANCE_ID,
    MAX_REF_ID,
    MAX_REF_TYPE,
    MAX_STEP_NAME,
    MAX_WORKFLOW_NAME,
)

# Control characters, and halves of surrogate pairs, which no text in D1 can hold.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def _bounded(limit: int) -> Callable[[object], str]:
    """A function that returns a name, and raises ValueError for one that nothing can have."""

    def name(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= limit:
            raise ValueError(f"must have 1 to {limit} characters")
        if UNPRINTABLE.search(value):
            raise ValueError("must not contain control characters")
        return value

    return name


workflow_name = _bounded(MAX_WORKFLOW_NAME)
instance_id = _bounded(MAX_INSTANCE_ID)
step_name = _bounded(MAX_STEP_NAME)
ref_type = _bounded(MAX_REF_TYPE)
ref_id = _bounded(MAX_REF_ID)
