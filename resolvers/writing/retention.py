"""Retention: removes finished instances that are older than their workflow's `retentionDays`."""

import logging
import time

from resolvers.base.limits import (
    RETENTION_BATCH,
    RETENTION_BATCHES,
    RETENTION_SECONDS,
    RETENTION_STEPS,
)
from resolvers.ports.database import Database, Statement
from resolvers.ports.sql import now_shifted

_log = logging.getLogger("flowflare")

# The rows that are removed with an instance grow with the steps of its runs. A run's greatest step
# index is read from an index, without counting the steps.
_STEPS = "(SELECT max(step_index) FROM steps WHERE steps.instance=i.id AND steps.run=r.run)"
_RUNS = "(SELECT i.run AS run UNION ALL SELECT run FROM runs WHERE instance=i.id)"
_OLD = (
    f"SELECT i.id,1+(SELECT sum(coalesce({_STEPS},0)) FROM {_RUNS} r) AS weight FROM workflows w"
    " JOIN instances i ON i.workflow=w.name AND i.completed_at<"
    + now_shifted("'-'||w.retention_days||' days'")
    + f" WHERE w.retention_days IS NOT NULL LIMIT {RETENTION_BATCH}"
)
EXPIRED = (
    "SELECT id FROM (SELECT id,sum(weight) OVER running AS total,"
    f"row_number() OVER running AS number FROM ({_OLD})"
    " WINDOW running AS (ROWS UNBOUNDED PRECEDING))"
    f" WHERE total<={RETENTION_STEPS} OR number=1"
)
REMOVE = Statement(f"DELETE FROM instances WHERE id IN ({EXPIRED})")


async def remove_expired(database: Database) -> int:
    """Remove the oldest expired instances of each workflow, with their steps, attempts and events.

    A transaction removes one instance, or up to RETENTION_BATCH that have RETENTION_STEPS steps
    together; a run makes up to RETENTION_BATCHES transactions. Returns the number of transactions
    that removed something.
    """
    deadline = time.monotonic() + RETENTION_SECONDS
    for number in range(RETENTION_BATCHES):
        [outcome] = await database.batch([REMOVE])
        if not outcome.changes or time.monotonic() > deadline:
            return number + bool(outcome.changes)
    _log.info("Retention has more instances to remove; the next run continues")
    return RETENTION_BATCHES
