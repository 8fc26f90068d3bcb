"""Writes that record what was asked of the engine, and the look at an instance before it."""

import json

from resolvers.access.principals import Principal
from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports.database import Statement
from resolvers.ports.sql import NOW, in_list
from resolvers.writing.statements import Parameters


def select_instance(instance_id: str, principal: Principal) -> Statement:
    """The instance's id, workflow, status and time of its last change as a JSON array; no row
    where it is not visible."""
    bound = Parameters(principal)
    return bound.statement(
        "SELECT json_array(i.id,i.workflow,i.status,i.updated_at) FROM instances i"
        f" WHERE i.instance_id={bound.bind(instance_id)}{bound.within('i')}"
    )


def move(instance_id: str, to: InstanceStatus, sources: frozenset[InstanceStatus]) -> Statement:
    """Bring an instance from one of `sources` to `to`; it may have moved on meanwhile."""
    bound = Parameters()
    completed = NOW if to in TERMINAL else "NULL"
    return bound.statement(
        f"UPDATE instances SET status={bound.bind(to)},updated_at={NOW},completed_at={completed},"
        "sleep_until=NULL"
        f" WHERE instance_id={bound.bind(instance_id)} AND status IN {in_list(sorted(sources))}"
    )


def event_sent(instance_id: str, event_type: str, *, refused: str | None = None) -> list[Statement]:
    """Record that an event goes to the engine, or that it was refused; what it holds is for the
    workflow alone."""
    bound = Parameters()
    sent = f"json_object('sentEvent',{bound.bind(event_type)})"
    if refused is not None:
        sent = f"json_set({sent},'$.refused',{bound.bind(refused)})"
    by_id = bound.bind(instance_id)
    return [
        bound.statement(
            "INSERT INTO events (at,type,instance,status,data)"
            f" SELECT {NOW},'INSTANCE_UPDATED',id,status,{sent}"
            f" FROM instances WHERE instance_id={by_id}"
        ),
        Statement(f"UPDATE instances SET updated_at={NOW} WHERE instance_id=?1", (instance_id,)),
    ]


def begin_again(instance_id: str, sources: frozenset[InstanceStatus]) -> list[Statement]:
    """Forget what the last run did and queue the instance again; the log keeps it."""
    bound = Parameters()
    by_id = bound.bind(instance_id)
    where = f"instance_id={by_id} AND status IN {in_list(sorted(sources))}"
    return [
        bound.statement(
            f"DELETE FROM steps WHERE instance=(SELECT id FROM instances WHERE {where})"
        ),
        # The log knows a restart by `started_at` becoming null; who knows what UNKNOWN did.
        bound.statement(
            f"UPDATE instances SET started_at={NOW}"
            f" WHERE instance_id={by_id} AND status='UNKNOWN' AND started_at IS NULL"
        ),
        bound.statement(
            "UPDATE instances SET status='QUEUED',output=NULL,error=NULL,started_at=NULL,"
            f"completed_at=NULL,sleep_until=NULL,updated_at={NOW} WHERE {where}"
        ),
    ]


def engine_failed(instance_id: str, message: str) -> Statement:
    """An instance that was queued for the engine, which then would not take it."""
    bound = Parameters()
    error = bound.bind(json.dumps({"name": "EngineUnavailable", "message": message, "stack": None}))
    return bound.statement(
        f"UPDATE instances SET status='ERRORED',error={error},completed_at={NOW},updated_at={NOW}"
        f" WHERE instance_id={bound.bind(instance_id)} AND status='QUEUED'"
    )
