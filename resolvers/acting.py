"""The mutations that act on an instance of the engine, and record what came of it.

What the engine refuses is answered in its own words and leaves no trace, unless it says by the way
that the instance has moved on: then the tracked state is brought to that first.
"""

import json

from resolvers import transitions
from resolvers.database import DatabaseError
from resolvers.drift import Tracked
from resolvers.engine import EngineError, Seen
from resolvers.errors import Refusal, RequestError
from resolvers.mutations import Call, Pieces
from resolvers.reconcile import repair_now
from resolvers.transitions import TERMINAL
from resolvers.vocabulary import ErrorCode, InstanceStatus
from resolvers.writes import actions, inputs, repairs
from resolvers.writes.refusals import illegal, not_found, unavailable


async def pause_workflow(call: Call) -> Pieces:
    """`pauseWorkflow`: the engine finishes a step that runs first."""
    return await _act(call, "pause", transitions.PAUSABLE, InstanceStatus.PAUSED)


async def resume_workflow(call: Call) -> Pieces:
    """`resumeWorkflow`."""
    return await _act(call, "resume", transitions.RESUMABLE, InstanceStatus.RUNNING)


async def terminate_workflow(call: Call) -> Pieces:
    """`terminateWorkflow`."""
    return await _act(call, "terminate", transitions.TERMINABLE, InstanceStatus.TERMINATED)


async def restart_workflow(call: Call) -> Pieces:
    """`restartWorkflow`: recorded first, because the new run reports at once."""
    action = inputs.parse(inputs.InstanceAction, call.arguments["input"])
    instance_id = action.instance_id
    allowed = transitions.RESTARTABLE
    instance = await _look(call, instance_id, allowed, InstanceStatus.QUEUED)
    database, engine = call.services.database, call.services.engine
    # What the engine will refuse in any case must not cost the last run's steps.
    await _known(call, instance, "restart it")
    payload = call.select("InstancePayload", instance_id=instance_id)
    outcomes = await database.batch([*actions.begin_again(instance_id, allowed), payload])
    try:
        await engine.act(instance.workflow, instance_id, "restart")
    except EngineError as error:
        await _undo_restart(call, instance_id, error)
        raise unavailable(f"The engine did not restart it: {error}.") from error
    return [outcomes[-1].text]


async def send_workflow_event(call: Call) -> Pieces:
    """`sendWorkflowEvent`: recorded first, so that the log has it before what it leads to."""
    event = inputs.parse(inputs.SendEvent, call.arguments["input"])
    instance_id = event.instance_id
    instance = await _look(call, instance_id, transitions.RECEIVES_EVENTS, None)
    database, engine = call.services.database, call.services.engine
    seen = await _known(call, instance, "take the event")
    if seen.status in TERMINAL:
        await repair_now(database, instance, seen)
        raise _over(instance_id, seen, f"it takes no event {event.type!r} any more", None)
    payload = call.select("InstancePayload", instance_id=instance_id)
    sent = actions.event_sent(instance_id, event.type)
    outcomes = await database.batch([*sent, payload])
    try:
        await engine.send_event(instance.workflow, instance_id, event.type, event.payload or "null")
    except EngineError as error:
        await database.batch(actions.event_sent(instance_id, event.type, refused=str(error)))
        raise await _refused(call, instance, error, "take the event", None) from error
    return [outcomes[-1].text]


async def _act(
    call: Call, action: str, allowed: frozenset[InstanceStatus], to: InstanceStatus
) -> Pieces:
    """Ask the engine, then record what it made of it."""
    instance_id = inputs.parse(inputs.InstanceAction, call.arguments["input"]).instance_id
    instance = await _look(call, instance_id, allowed, to)
    try:
        seen = await call.services.engine.act(instance.workflow, instance_id, action)
    except EngineError as error:
        raise await _refused(call, instance, error, f"{action} it", to) from error
    recorded = actions.move(instance_id, _reached(to, seen), allowed)
    if seen.status in TERMINAL and seen.status is not to:
        recorded = repairs.repair(instance, seen)
    payload = call.select("InstancePayload", instance_id=instance_id)
    try:
        outcomes = await call.services.database.batch([recorded, payload])
    except DatabaseError as error:
        if not error.is_too_big:
            raise
        await call.services.database.batch([recorded])
        raise RequestError(
            f"The engine was asked to {action} {instance_id!r}, and that is recorded; but the"
            " selected result is too large (MAX_RESULT_BYTES). Read it with a query.",
            code=ErrorCode.RESULT_TOO_LARGE,
        ) from error
    # What is resumed may end at once; what was to be paused or terminated should not have.
    if seen.status in TERMINAL - {to} and to is not InstanceStatus.RUNNING:
        raise _over(instance_id, seen, "it had ended before", to)
    return [outcomes[-1].text]


def _reached(to: InstanceStatus, seen: Seen) -> InstanceStatus:
    """What is tracked once the engine has agreed: before a pause, a step that runs is finished."""
    pausing = to is InstanceStatus.PAUSED and seen.status is not InstanceStatus.PAUSED
    return InstanceStatus.WAITING_FOR_PAUSE if pausing else to


async def _look(
    call: Call,
    instance_id: str,
    allowed: frozenset[InstanceStatus],
    to: InstanceStatus | None,
) -> Tracked:
    """The instance, if it allows the action and the engine runs it."""
    [outcome] = await call.services.database.batch([actions.look(instance_id, call.principal)])
    if outcome.text is None:
        raise not_found(instance_id)
    number, workflow, status, updated_at = json.loads(outcome.text)
    if status not in allowed:
        raise illegal(
            status, to or status, f"{instance_id!r} is {status}, which does not allow this."
        )
    engine = call.services.engine
    if workflow not in engine.workflows:
        raise unavailable(engine.unbound(workflow))
    return Tracked(number, workflow, instance_id, InstanceStatus(status), updated_at)


async def _known(call: Call, instance: Tracked, what: str) -> Seen:
    """What the engine says of the instance; Refusal where it has none or does not answer."""
    [seen] = await call.services.engine.look([(instance.workflow, instance.instance_id)])
    if isinstance(seen, EngineError):
        raise unavailable(f"The engine did not {what}: {seen}.")
    if seen.status is None:
        words = "instance.not_found, it has no instance of this id"
        raise unavailable(f"The engine did not {what}: {words}.")
    return seen


async def _refused(
    call: Call, instance: Tracked, error: EngineError, what: str, to: InstanceStatus | None
) -> Refusal:
    """The answer to what the engine refused."""
    repaired = await repair_now(call.services.database, instance, error.seen)
    if repaired and error.seen is not None and error.seen.status in TERMINAL:
        return _over(instance.instance_id, error.seen, str(error), to)
    return unavailable(f"The engine did not {what}: {error}.")


def _over(instance_id: str, seen: Seen, words: str, to: InstanceStatus | None) -> Refusal:
    """IllegalTransition for an instance that has ended unseen."""
    assert seen.status is not None
    message = f"{instance_id!r} is {seen.status}, says the engine: {words}."
    return illegal(seen.status, to or seen.status, message)


async def _undo_restart(call: Call, instance_id: str, error: EngineError) -> None:
    """Nothing runs again: track what the engine has, or that it failed."""
    database = call.services.database
    [outcome] = await database.batch([actions.look(instance_id, call.principal)])
    number, workflow, status, updated_at = json.loads(outcome.text)
    if error.seen is None or error.seen.status is None:
        await database.batch([actions.engine_failed(instance_id, str(error))])
    elif status == InstanceStatus.QUEUED:
        queued = Tracked(number, workflow, instance_id, InstanceStatus.QUEUED, updated_at)
        await repair_now(database, queued, error.seen)
