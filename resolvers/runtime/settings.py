"""Rules and patterns that JavaScript needs: they stand once, in Python, and cross as data."""

from resolvers.base.foreign_errors import INSTANCE_EXISTS, NO_INSTANCE, OF_READ, TOO_BIG_MESSAGE
from resolvers.base.limits import D1_MAX_STRING_BYTES
from resolvers.base.transitions import TERMINAL
from resolvers.ports.engine import STATUSES
from resolvers.ports.sql import HEAD

SETTINGS = {
    "batches": {"textBytes": D1_MAX_STRING_BYTES, "tooBig": TOO_BIG_MESSAGE},
    "notifications": {"head": HEAD, "ofRead": OF_READ.pattern},
    "engine": {
        "finished": [word for word, status in STATUSES.items() if status in TERMINAL],
        # The status that an action leads to, if the engine takes a moment for it.
        "leadsTo": {"pause": "paused", "terminate": "terminated"},
        "noInstance": NO_INSTANCE.pattern,
        "exists": INSTANCE_EXISTS.pattern,
    },
}
