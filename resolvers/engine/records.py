"""Writes that record actions of the engine on an instance, which is given by its Key.

Example:

    mutation { pauseWorkflow(input: { instanceId: "i-1" }) { __typename } }

becomes

    UPDATE instances SET status=?1,updated_at=…,completed_at=NULL,sleep_until=NULL
    WHERE instances.instance_id=?2 AND instances.workflow=?3 AND run=CAST(?4 AS INTEGER)
    AND status IN ('QUEUED','RUNNING','SLEEPING','WAITING')
"""

from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import InstanceStatus
from resolvers.engine.drift import Tracked
from resolvers.ports.database import Statement
from resolvers.ports.engine import Key
from resolvers.ports.sql import NOW, in_list
from resolvers.writing.inputs import ErrorInput
from resolvers.writing.instances import NEXT_RUN
from resolvers.writing.statements import Parameters


def engine_unavailable(message: str) -> str:
    """Make the JSON of the error of an instance that the engine did not run."""
    return ErrorInput(name="EngineUnavailable", message=message).as_json


def move(instance: Tracked, to: InstanceStatus, sources: frozenset[InstanceStatus]) -> Statement:
    """Change an instance's status to `to`, unless it has left its run or all of `sources`."""
    bound = Parameters()
    completed = NOW if to in TERMINAL else "NULL"
    return bound.statement(
        f"UPDATE instances SET status={bound.bind(to)},updated_at={NOW},completed_at={completed},"
        f"sleep_until=NULL WHERE {_identified(instance.key, bound)}"
        f" AND run={bound.bind_integer(instance.run)} AND status IN {in_list(sorted(sources))}"
    )


def event_sent(key: Key, event_type: str, *, refused: str | None = None) -> list[Statement]:
    """Record that an event is sent to the engine, or that the engine refused it.

    Its payload is not recorded: only the workflow gets it.
    """
    bound = Parameters()
    sent = f"json_object('sentEvent',{bound.bind(event_type)})"
    if refused is not None:
        sent = f"json_set({sent},'$.refused',{bound.bind(refused)})"
    changed = Parameters()
    return [
        bound.statement(
            "INSERT INTO events (at,type,instance,run,status,data)"
            f" SELECT {NOW},'INSTANCE_UPDATED',id,run,status,{sent}"
            f" FROM instances WHERE {_identified(key, bound)}"
        ),
        changed.statement(
            f"UPDATE instances SET updated_at={NOW} WHERE {_identified(key, changed)}"
        ),
    ]


def begin_again(key: Key, sources: frozenset[InstanceStatus]) -> Statement:
    """Begin the next run of an instance, in QUEUED; the triggers keep the record of the last."""
    bound = Parameters()
    return bound.statement(
        # The history of the next run begins at another time.
        f"UPDATE instances SET {NEXT_RUN},updated_at={NOW},"
        "followed=iif(followed IS NULL,NULL,json_array(0,0,'',followed->3))"
        f" WHERE {_identified(key, bound)} AND status IN {in_list(sorted(sources))}"
    )


def engine_failed(key: Key, message: str) -> Statement:
    """Track a queued instance as ERRORED because the engine refused to run it."""
    bound = Parameters()
    error = bound.bind(engine_unavailable(message))
    return bound.statement(
        f"UPDATE instances SET status='ERRORED',error={error},completed_at={NOW},updated_at={NOW}"
        f" WHERE {_identified(key, bound)} AND status='QUEUED'"
    )


def _identified(key: Key, bound: Parameters) -> str:
    workflow, instance_id = key
    return bound.instance("instances", instance_id, workflow)
