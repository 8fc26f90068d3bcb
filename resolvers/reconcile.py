"""What the cron trigger repairs."""

import json
import logging

from resolvers.database import Database, Statement
from resolvers.engine import Engine, EngineError
from resolvers.limits import RECONCILE_AFTER_SECONDS, RECONCILE_BATCH, RECONCILE_INPUT_BYTES
from resolvers.planning.events import HEAD
from resolvers.sql import now_shifted

_log = logging.getLogger("flowflare")


async def look_again(database: Database) -> None:
    """Have the tracker look at the log, where it has grown since this was last asked for: what a
    lost poke left behind is found then.

    Writing to `trackers` is what pokes them, like any write; an idle log wakes no one.
    """
    await database.batch([Statement(f"UPDATE trackers SET checked={HEAD} WHERE checked<{HEAD}")])


async def start_queued(database: Database, engine: Engine) -> int:
    """Ask the engine again for instances that stayed QUEUED: their start was recorded, but the
    Worker ended before the engine had it. Returns how many the engine took or had already.

    At most RECONCILE_BATCH a call, oldest first, and RECONCILE_INPUT_BYTES of input; the next
    call goes on.
    """
    oldest = Statement(
        "SELECT json_group_array(json_array(workflow,instance_id,input)) FROM"
        " (SELECT workflow,instance_id,input,sum(octet_length(input)) OVER (ORDER BY id) AS total"
        " FROM (SELECT id,workflow,instance_id,coalesce(input,'null') AS input FROM instances"
        f" WHERE status='QUEUED' AND created_at<{now_shifted('?1')}"
        " AND workflow IN (SELECT value FROM json_each(?2)) ORDER BY created_at,id LIMIT ?3))"
        " WHERE total<=?4",
        (
            f"-{RECONCILE_AFTER_SECONDS} seconds",
            json.dumps(sorted(engine.workflows)),
            RECONCILE_BATCH,
            RECONCILE_INPUT_BYTES,
        ),
    )
    [outcome] = await database.batch([oldest])
    taken = 0
    for workflow, instance_id, params in json.loads(outcome.text):
        try:
            await engine.create(workflow, instance_id, params)
            taken += 1
        except EngineError as error:
            _log.warning("The engine did not take %s: %s", instance_id, error)
    return taken
