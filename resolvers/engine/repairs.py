"""Writes that repair tracked instances, and the SELECT of the instances to compare.

Each write is a compare-and-set on the instance as it was read: a change made meanwhile is newer.

Example:

    mutation { pauseWorkflow(input: { instanceId: "i-1" }) { __typename } }

becomes, if the engine reports that the instance is complete,

    UPDATE instances SET status=?1,sleep_until=NULL,started_at=…,completed_at=…,
    output=iif((?2 IS NULL AND output_kind IS NOT NULL),output,?2),output_kind=…,updated_at=…,
    reconciled_at=… WHERE id=CAST(?4 AS INTEGER) AND status=?5 AND updated_at=?6
    AND status IN ('PAUSED','QUEUED','RUNNING',…)
"""

import json
from collections.abc import Sequence

from resolvers.base.limits import (
    RECONCILE_AFTER_SECONDS,
    RECONCILE_GIVE_UP_SECONDS,
    RECONCILE_PAGE,
)
from resolvers.base.transitions import TERMINAL, UNFINISHED, UNSTARTED
from resolvers.base.vocabulary import InstanceStatus
from resolvers.engine.drift import Remedy, Tracked, remedy
from resolvers.engine.records import engine_unavailable
from resolvers.ports.database import Database, Statement
from resolvers.ports.engine import EngineState
from resolvers.ports.sql import NOW, in_list, is_followed, now_shifted
from resolvers.writing.inputs import ErrorInput
from resolvers.writing.instances import ENGINE_INPUT
from resolvers.writing.statements import Parameters

# The instances that a run compares, in two lanes, so that a lost start does not wait for others.
LANES = {
    "QUEUED": [InstanceStatus.QUEUED],
    "STARTED": sorted(UNFINISHED - {InstanceStatus.QUEUED}),
}
# The position before the first instance of a lane, as JSON of (created_at, id).
START = '["",0]'
# The engine has one status for sleeping and for waiting for an event.
_WAITS = (
    "iif(EXISTS (SELECT 1 FROM steps WHERE steps.instance=instances.id"
    " AND steps.run=instances.run AND kind='SLEEP' AND steps.status='RUNNING'),"
    "'SLEEPING','WAITING')"
)


def page(lane: str, workflows: Sequence[str]) -> Statement:
    """Select the next RECONCILE_PAGE unfinished instances of these workflows, oldest first.

    The text is a JSON array of the rows that `tracked` parses. The SELECT seeks an index for each
    workflow and status, so finished instances and those of other workflows are not read.
    """
    bound = Parameters()
    named, size = bound.bind(json.dumps(sorted(workflows))), bound.bind(RECONCILE_PAGE)
    by_lane, start = bound.bind(lane), bound.bind(START)
    after = f"(SELECT coalesce((SELECT place FROM reconciliations WHERE lane={by_lane}),{start}))"
    settled = now_shifted(f"'-{RECONCILE_AFTER_SECONDS} seconds'")
    silent = now_shifted(f"'-{RECONCILE_GIVE_UP_SECONDS} seconds'")
    columns = (
        "created_at,id,workflow,instance_id,status,updated_at"
        f",updated_at>={settled},max(updated_at,coalesce(sleep_until,''))<{silent}"
        f",coalesce(sleep_until<{settled},0),{is_followed('i')},behind_since IS NOT NULL"
    )
    beyond = f"(created_at,id)>({after}->>0,CAST({after}->>1 AS INTEGER))"
    return bound.statement(
        "SELECT json_group_array(json(row)) FROM (SELECT e.value AS row FROM ("
        f"SELECT (SELECT json_group_array(json_array({columns})) FROM (SELECT * FROM instances"
        f" WHERE workflow=w.value AND status=s.value AND {beyond}"
        f" ORDER BY created_at,id LIMIT {size}) i) AS found"
        f" FROM json_each({named}) w, json_each('{json.dumps(LANES[lane])}') s) f,"
        f" json_each(f.found) e ORDER BY e.value->>0,e.value->>1 LIMIT {size})"
    )


def tracked(row: Sequence[object]) -> Tracked:
    """Parse a row of a page."""
    _, number, workflow, instance_id, status, updated_at, *flags = row
    recent, silent, overslept, followed, behind = map(bool, flags)
    return Tracked(
        id=int(str(number)),
        workflow=str(workflow),
        instance_id=str(instance_id),
        status=InstanceStatus(str(status)),
        updated_at=str(updated_at),
        recent=recent,
        silent=silent,
        overslept=overslept,
        followed=followed,
        behind=behind,
    )


def store_position(lane: str, position: str) -> Statement:
    """Store the position after which the next page of a lane begins, JSON of (created_at, id)."""
    bound = Parameters()
    values = f"{bound.bind(lane)},{bound.bind(position)}"
    return bound.statement(
        f"INSERT INTO reconciliations (lane,place) VALUES ({values})"
        " ON CONFLICT (lane) DO UPDATE SET place=excluded.place WHERE place<>excluded.place"
    )


def awaiting(instance: Tracked) -> Statement:
    """Select the input for the engine of an instance, if it is still as it was read."""
    bound = Parameters()
    return bound.statement(
        f"SELECT {ENGINE_INPUT} FROM instances WHERE {_unchanged(bound, instance)}"
    )


def repair(instance: Tracked, state: EngineState) -> Statement:
    """Give the instance the engine's status, output and error."""
    to = state.status
    assert to is not None
    bound = Parameters()
    status = _WAITS if to is InstanceStatus.WAITING else bound.bind(to)
    changes = {"status": status, "sleep_until": "NULL"}
    if to not in UNSTARTED:
        changes["started_at"] = f"coalesce(started_at,{NOW})"
    if to in TERMINAL:
        changes["completed_at"] = NOW
    if to is InstanceStatus.COMPLETED:
        output, kind = state.output, state.output_kind
        # A reported output is kept if the engine has none.
        given = bound.bind(None if output == "null" else output)
        is_kept = f"({given} IS NULL AND output_kind IS NOT NULL)"
        changes["output"] = f"iif({is_kept},output,{given})"
        changes["output_kind"] = f"iif({is_kept},output_kind,{bound.bind(kind)})"
    if to is InstanceStatus.ERRORED:
        name, message = state.error or ("Error", "The engine gave no reason.")
        changes["error"] = bound.bind(ErrorInput(name=name, message=message).as_json)
    return _change(bound, instance, changes)


def fall_behind(instance: Tracked) -> Statement:
    """Record that the history of an instance has not told the engine's status of it."""
    bound = Parameters()
    return bound.statement(
        f"UPDATE instances SET behind_since={NOW} WHERE {_unchanged(bound, instance)}"
    )


def give_up(instance: Tracked, message: str) -> Statement:
    """Track an instance as ERRORED because the engine does not and will not have it."""
    bound = Parameters()
    error = bound.bind(engine_unavailable(message))
    changes = {"status": "'ERRORED'", "error": error, "completed_at": NOW}
    return _change(bound, instance, {**changes, "sleep_until": "NULL"})


async def repair_now(database: Database, instance: Tracked, state: EngineState | None) -> bool:
    """Repair one instance from the state that the engine has just reported.

    Returns True if a repair was needed.
    """
    if state is None or state.status is None or remedy(instance, state) is not Remedy.REPAIR:
        return False
    await database.batch([repair(instance, state)])
    return True


def _change(bound: Parameters, instance: Tracked, changes: dict[str, str]) -> Statement:
    assignments = [f"{column}={value}" for column, value in changes.items()]
    return bound.statement(
        f"UPDATE instances SET {','.join(assignments)},updated_at={NOW},reconciled_at={NOW}"
        f" WHERE {_unchanged(bound, instance)}"
    )


def _unchanged(bound: Parameters, instance: Tracked) -> str:
    return (
        f"id={bound.bind_integer(instance.id)} AND status={bound.bind(instance.status)}"
        f" AND updated_at={bound.bind(instance.updated_at)}"
        f" AND status IN {in_list(sorted(UNFINISHED))}"
    )
