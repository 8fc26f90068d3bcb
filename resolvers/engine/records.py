"""Writes that record actions of the engine, and the SELECT of the instance to act on.

Example:

    mutation { pauseWorkflow(input: { instanceId: "i-1" }) { __typename } }

becomes

    SELECT json_array(i.id,i.workflow,i.status,i.updated_at) FROM instances i
    WHERE i.instance_id=?1;
    UPDATE instances SET status=?1,updated_at=…,completed_at=NULL,sleep_until=NULL
    WHERE instance_id=?2 AND status IN ('QUEUED','RUNNING','SLEEPING','WAITING')
"""

from resolvers.access.principals import Principal
from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports.database import Statement
from resolvers.ports.sql import NOW, in_list
from resolvers.writing.inputs import ErrorInput
from resolvers.writing.statements import Parameters


def engine_unavailable(message: str) -> str:
    """Make the JSON of the error of an instance that the engine did not run."""
    return ErrorInput(name="EngineUnavailable", message=message).as_json


def select_instance(instance_id: str, principal: Principal) -> Statement:
    """Select an instance as a JSON array of its row's id, workflow, status and last change.

    There is no row if the caller may not see it.
    """
    bound = Parameters(principal)
    return bound.statement(
        "SELECT json_array(i.id,i.workflow,i.status,i.updated_at) FROM instances i"
        f" WHERE i.instance_id={bound.bind(instance_id)}{bound.within('i')}"
    )


def move(instance_id: str, to: InstanceStatus, sources: frozenset[InstanceStatus]) -> Statement:
    """Change an instance's status to `to`, unless it is no longer in one of `sources`."""
    bound = Parameters()
    completed = NOW if to in TERMINAL else "NULL"
    return bound.statement(
        f"UPDATE instances SET status={bound.bind(to)},updated_at={NOW},completed_at={completed},"
        "sleep_until=NULL"
        f" WHERE instance_id={bound.bind(instance_id)} AND status IN {in_list(sorted(sources))}"
    )


def event_sent(instance_id: str, event_type: str, *, refused: str | None = None) -> list[Statement]:
    """Record that an event is sent to the engine, or that the engine refused it.

    Its payload is not recorded: only the workflow gets it.
    """
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
    """Remove the steps and results of the last run, and queue the instance again.

    The log keeps the events of the last run.
    """
    bound = Parameters()
    by_id = bound.bind(instance_id)
    where = f"instance_id={by_id} AND status IN {in_list(sorted(sources))}"
    return [
        bound.statement(
            f"DELETE FROM steps WHERE instance=(SELECT id FROM instances WHERE {where})"
        ),
        # The log recognises a restart by `started_at` becoming null, so UNKNOWN instances get one.
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
    """Track a queued instance as ERRORED because the engine refused to run it."""
    bound = Parameters()
    error = bound.bind(engine_unavailable(message))
    return bound.statement(
        f"UPDATE instances SET status='ERRORED',error={error},completed_at={NOW},updated_at={NOW}"
        f" WHERE instance_id={bound.bind(instance_id)} AND status='QUEUED'"
    )
