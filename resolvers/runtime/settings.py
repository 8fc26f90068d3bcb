"""Rules and patterns that JavaScript needs. They are defined once, in Python, and cross as data."""

from resolvers.base.foreign_errors import (
    INSTANCE_EXISTS,
    NO_INSTANCE,
    READ_FAILED,
    TOO_BIG_MESSAGE,
)
from resolvers.base.limits import (
    D1_MAX_STRING_BYTES,
    MAX_BIGINT_BITS,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_PREFETCH_CHARACTERS,
    MAX_PREFETCH_WRITE_STATEMENTS,
    MAX_WRITTEN_CHARACTERS,
    MAX_WRITTEN_LEVELS,
    PREVIEW_CHARACTERS,
)
from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports.engine import STATUSES
from resolvers.ports.sql import HEAD

_WORDS = {status: word for word, status in STATUSES.items()}

# The limits of values that the engine tells (see values.mjs).
VALUES = {
    "bytes": MAX_JSON_BYTES,
    "depth": MAX_JSON_DEPTH,
    "previewCharacters": PREVIEW_CHARACTERS,
    "writtenCharacters": MAX_WRITTEN_CHARACTERS,
    "writtenLevels": MAX_WRITTEN_LEVELS,
    "bigintBits": MAX_BIGINT_BITS,
}

SETTINGS = {
    "batches": {"textBytes": D1_MAX_STRING_BYTES, "tooBig": TOO_BIG_MESSAGE},
    "notifications": {
        # The head before a write, from which its prefetch reads (HEAD_BEFORE_WRITE in events.py).
        "storeHead": f"UPDATE trackers SET marked={HEAD}",
        # The shards that have subscribers, with the head before and after the write.
        "selectShards": f"SELECT json_group_array(json_array(shard,marked,{HEAD})) FROM trackers",
        "readFailed": READ_FAILED.pattern,
        "writeStatements": MAX_PREFETCH_WRITE_STATEMENTS,
        "characters": MAX_PREFETCH_CHARACTERS,
    },
    "engine": {
        "finished": [word for word, status in STATUSES.items() if status in TERMINAL],
        "hasOutput": _WORDS[InstanceStatus.COMPLETED],
        "hasError": _WORDS[InstanceStatus.ERRORED],
        # The status that an action leads to, if the engine takes a moment to reach it.
        "leadsTo": {
            "pause": _WORDS[InstanceStatus.PAUSED],
            "terminate": _WORDS[InstanceStatus.TERMINATED],
        },
        "noInstance": NO_INSTANCE.pattern,
        "exists": INSTANCE_EXISTS.pattern,
        "values": VALUES,
    },
}
