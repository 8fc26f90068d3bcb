"""Writes that bring the tracked state to what the engine says, and what they are decided on.

Each is a compare-and-set on the instance as it was read: whoever changed it meanwhile knew more.
"""

import json
from collections.abc import Sequence

from resolvers.base.json_text import encode_value, nested_deeper
from resolvers.base.limits import (
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    RECONCILE_AFTER_SECONDS,
    RECONCILE_GIVE_UP_SECONDS,
    RECONCILE_PAGE,
)
from resolvers.base.transitions import TERMINAL, UNFINISHED
from resolvers.base.vocabulary import InstanceStatus
from resolvers.engine.drift import Remedy, Tracked, remedy
from resolvers.ports.database import Database, Statement
from resolvers.ports.engine import EngineState
from resolvers.ports.sql import NOW, in_list, now_shifted
from resolvers.writing.inputs import ErrorInput
from resolvers.writing.statements import Parameters

# The instances a run compares, in two lanes: a start that was lost must not wait for all others.
LANES = {
    "QUEUED": [InstanceStatus.QUEUED],
    "STARTED": sorted(UNFINISHED - {InstanceStatus.QUEUED}),
}
START = '["",0]'
_PREVIEW = 1_000
# The engine has one word for a sleep and for waiting for an event.
_WAITS = (
    "iif(EXISTS (SELECT 1 FROM steps WHERE steps.instance=instances.id AND kind='SLEEP'"
    " AND steps.status='RUNNING'),'SLEEPING','WAITING')"
)


def page(lane: str, workflows: Sequence[str]) -> Statement:
    """The next unfinished instances of these workflows, oldest first, as a JSON array of arrays:
    what `tracked` takes, behind the instance's place.

    One seek of an index for each workflow and status, so finished instances and those of other
    workflows are not read.
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
        f",coalesce(sleep_until<{settled},0)"
    )
    beyond = f"(created_at,id)>({after}->>0,CAST({after}->>1 AS INTEGER))"
    return bound.statement(
        "SELECT json_group_array(json(row)) FROM (SELECT e.value AS row FROM ("
        f"SELECT (SELECT json_group_array(json_array({columns})) FROM (SELECT * FROM instances"
        f" WHERE workflow=w.value AND status=s.value AND {beyond}"
        f" ORDER BY created_at,id LIMIT {size})) AS found"
        f" FROM json_each({named}) w, json_each('{json.dumps(LANES[lane])}') s) f,"
        f" json_each(f.found) e ORDER BY e.value->>0,e.value->>1 LIMIT {size})"
    )


def tracked(row: Sequence[object]) -> Tracked:
    """An instance of a page."""
    _, number, workflow, instance_id, status, updated_at, recent, silent, overslept = row
    return Tracked(
        int(str(number)),
        str(workflow),
        str(instance_id),
        InstanceStatus(str(status)),
        str(updated_at),
        bool(recent),
        bool(silent),
        bool(overslept),
    )


def keep_place(lane: str, place: str) -> Statement:
    """Where the next page of a lane begins; the start is not worth a row."""
    bound = Parameters()
    return bound.statement(
        f"INSERT INTO reconciliations (lane,place) VALUES ({bound.bind(lane)},{bound.bind(place)})"
        " ON CONFLICT (lane) DO UPDATE SET place=excluded.place WHERE place<>excluded.place"
    )


def awaiting(instance: Tracked) -> Statement:
    """The input of an instance that is still as it was read."""
    bound = Parameters()
    return bound.statement(
        f"SELECT coalesce(input,'null') FROM instances WHERE {_unchanged(bound, instance)}"
    )


def repair(instance: Tracked, state: EngineState) -> Statement:
    """Give the instance the engine's status, output and error."""
    to = state.status
    assert to is not None
    bound = Parameters()
    status = _WAITS if to is InstanceStatus.WAITING else bound.bind(to)
    changes = {"status": status, "sleep_until": "NULL"}
    if to not in {InstanceStatus.QUEUED, InstanceStatus.UNKNOWN}:
        changes["started_at"] = f"coalesce(started_at,{NOW})"
    if to in TERMINAL:
        changes["completed_at"] = NOW
    if to is InstanceStatus.COMPLETED:
        changes["output"] = f"coalesce(nullif({bound.bind(_stored(state.output))},'null'),output)"
    if to is InstanceStatus.ERRORED:
        changes["error"] = bound.bind(
            _error(*(state.error or ("Error", "the engine says nothing")))
        )
    return _change(bound, instance, changes)


def give_up(instance: Tracked, message: str) -> Statement:
    """End an instance that the engine has not and will not have."""
    bound = Parameters()
    error = _error("EngineUnavailable", message)
    changes = {"status": "'ERRORED'", "error": bound.bind(error), "completed_at": NOW}
    return _change(bound, instance, {**changes, "sleep_until": "NULL"})


async def repair_now(database: Database, instance: Tracked, state: EngineState | None) -> bool:
    """Bring one instance to what the engine has just said of it; whether that was needed."""
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


def _stored(output: str | None) -> str:
    """The output as it can be stored: the engine takes more than a JSON column here."""
    text = output if output is not None else "null"
    size = len(text.encode())
    if size <= MAX_JSON_BYTES and not nested_deeper(text, MAX_JSON_DEPTH):
        return text
    return encode_value({"truncated": True, "bytes": size, "preview": text[:_PREVIEW]})


def _error(name: str, message: str) -> str:
    return ErrorInput.model_validate({"name": name, "message": message}).as_json
