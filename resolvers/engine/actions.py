"""The mutations that act on an instance of the engine, and record the result.

If the engine refuses, its message is returned and nothing is recorded, except that an instance
whose reported status differs is repaired first.
"""

import json

from resolvers.base import transitions
from resolvers.base.errors import Refusal, RequestError
from resolvers.base.foreign_errors import NO_INSTANCE_MESSAGE
from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import ErrorCode, InstanceStatus
from resolvers.engine import records, repairs
from resolvers.engine.drift import Tracked
from resolvers.engine.repairs import repair_now
from resolvers.ports.database import DatabaseError
from resolvers.ports.engine import EngineError, EngineState
from resolvers.writing import inputs
from resolvers.writing.context import MutationContext, Pieces
from resolvers.writing.refusals import illegal, not_found, unavailable


async def pause_workflow(context: MutationContext) -> Pieces:
    """`pauseWorkflow`: the engine first finishes a running step."""
    return await _act(context, "pause", allowed=transitions.PAUSABLE, to=InstanceStatus.PAUSED)


async def resume_workflow(context: MutationContext) -> Pieces:
    """`resumeWorkflow`."""
    return await _act(context, "resume", allowed=transitions.RESUMABLE, to=InstanceStatus.RUNNING)


async def terminate_workflow(context: MutationContext) -> Pieces:
    """`terminateWorkflow`."""
    return await _act(
        context, "terminate", allowed=transitions.TERMINABLE, to=InstanceStatus.TERMINATED
    )


async def restart_workflow(context: MutationContext) -> Pieces:
    """`restartWorkflow`: recorded before the engine acts, because the new run reports at once."""
    action = inputs.parse(inputs.InstanceAction, context.arguments["input"])
    instance_id = action.instance_id
    allowed = transitions.RESTARTABLE
    instance = await _require_instance(
        context, instance_id, allowed=allowed, to=InstanceStatus.QUEUED
    )
    database, engine = context.services.database, context.services.engine
    # Check first, so that the steps of the last run are kept if the engine cannot restart it.
    await _get_state(context, instance, purpose="restart it")
    payload = context.select("InstancePayload", instance_id=instance_id)
    outcomes = await database.batch([*records.begin_again(instance_id, allowed), payload])
    try:
        await engine.act(instance.workflow, instance_id, action="restart")
    except EngineError as error:
        await _undo_restart(context, instance_id, error)
        raise unavailable(f"The engine did not restart it: {error}.") from error
    return [outcomes[-1].text]


async def send_workflow_event(context: MutationContext) -> Pieces:
    """`sendWorkflowEvent`: recorded before it is sent, so it precedes its effects in the log."""
    event = inputs.parse(inputs.SendEvent, context.arguments["input"])
    instance_id = event.instance_id
    instance = await _require_instance(
        context, instance_id, allowed=transitions.RECEIVES_EVENTS, to=None
    )
    database, engine = context.services.database, context.services.engine
    state = await _get_state(context, instance, purpose="accept the event")
    if state.status in TERMINAL:
        await repair_now(database, instance, state)
        raise _ended(instance_id, state, f"it no longer accepts event {event.type!r}", to=None)
    payload = context.select("InstancePayload", instance_id=instance_id)
    sent = records.event_sent(instance_id, event.type)
    outcomes = await database.batch([*sent, payload])
    try:
        await engine.send_event(
            instance.workflow, instance_id, event_type=event.type, payload=event.payload or "null"
        )
    except EngineError as error:
        await database.batch(records.event_sent(instance_id, event.type, refused=str(error)))
        raise await _refusal(
            context, instance, error, purpose="accept the event", to=None
        ) from error
    return [outcomes[-1].text]


async def _act(
    context: MutationContext,
    action: str,
    *,
    allowed: frozenset[InstanceStatus],
    to: InstanceStatus,
) -> Pieces:
    """Ask the engine to act, then record the status that it reports."""
    instance_id = inputs.parse(inputs.InstanceAction, context.arguments["input"]).instance_id
    instance = await _require_instance(context, instance_id, allowed=allowed, to=to)
    try:
        state = await context.services.engine.act(instance.workflow, instance_id, action=action)
    except EngineError as error:
        raise await _refusal(context, instance, error, purpose=f"{action} it", to=to) from error
    write = records.move(instance_id, _status_after(to, state), allowed)
    if state.status in TERMINAL and state.status is not to:
        write = repairs.repair(instance, state)
    payload = context.select("InstancePayload", instance_id=instance_id)
    try:
        outcomes = await context.services.database.batch([write, payload])
    except DatabaseError as error:
        if not error.is_too_big:
            raise
        await context.services.database.batch([write])
        raise RequestError(
            f"The engine was asked to {action} {instance_id!r}, and that is recorded; but the"
            " selected result is too large (MAX_RESULT_BYTES). Read it with a query.",
            code=ErrorCode.RESULT_TOO_LARGE,
        ) from error
    # A resumed instance may end at once. One that did not pause or terminate had ended before.
    if state.status in TERMINAL - {to} and to is not InstanceStatus.RUNNING:
        raise _ended(instance_id, state, "it had already ended", to=to)
    return [outcomes[-1].text]


def _status_after(to: InstanceStatus, state: EngineState) -> InstanceStatus:
    """The status to track after an action: the engine finishes a running step before a pause."""
    pausing = to is InstanceStatus.PAUSED and state.status is not InstanceStatus.PAUSED
    return InstanceStatus.WAITING_FOR_PAUSE if pausing else to


async def _require_instance(
    context: MutationContext,
    instance_id: str,
    *,
    allowed: frozenset[InstanceStatus],
    to: InstanceStatus | None,
) -> Tracked:
    """Read an instance; Refusal if its status does not allow the action, or no engine runs it."""
    [outcome] = await context.services.database.batch(
        [records.select_instance(instance_id, context.principal)]
    )
    if outcome.text is None:
        raise not_found(instance_id)
    number, workflow, status, updated_at = json.loads(outcome.text)
    if status not in allowed:
        message = f"{instance_id!r} is {status}, which does not allow this."
        raise illegal(message, source=status, target=to or status)
    engine = context.services.engine
    if workflow not in engine.workflows:
        raise unavailable(engine.unbound(workflow))
    return Tracked(
        id=number,
        workflow=workflow,
        instance_id=instance_id,
        status=InstanceStatus(status),
        updated_at=updated_at,
    )


async def _get_state(context: MutationContext, instance: Tracked, *, purpose: str) -> EngineState:
    """Get the engine's state of an instance; Refusal if it has no such instance or no response."""
    [state] = await context.services.engine.get_statuses(
        [(instance.workflow, instance.instance_id)]
    )
    if isinstance(state, EngineError):
        raise unavailable(f"The engine did not {purpose}: {state}.")
    if state.status is None:
        raise unavailable(f"The engine did not {purpose}: {NO_INSTANCE_MESSAGE}.")
    return state


async def _refusal(
    context: MutationContext,
    instance: Tracked,
    error: EngineError,
    *,
    purpose: str,
    to: InstanceStatus | None,
) -> Refusal:
    """Repair the instance if the engine's error reports its state, and make the Refusal."""
    repaired = await repair_now(context.services.database, instance, error.state)
    if repaired and error.state is not None and error.state.status in TERMINAL:
        return _ended(instance.instance_id, error.state, str(error), to=to)
    return unavailable(f"The engine did not {purpose}: {error}.")


def _ended(
    instance_id: str, state: EngineState, reason: str, *, to: InstanceStatus | None
) -> Refusal:
    """Make an IllegalTransition for an instance that has ended without being tracked as ended."""
    assert state.status is not None
    message = f"{instance_id!r} is {state.status} in the engine: {reason}."
    return illegal(message, source=state.status, target=to or state.status)


async def _undo_restart(context: MutationContext, instance_id: str, error: EngineError) -> None:
    """After a failed restart, track the engine's state of the instance, or that it failed."""
    database = context.services.database
    [outcome] = await database.batch([records.select_instance(instance_id, context.principal)])
    number, workflow, status, updated_at = json.loads(outcome.text)
    if error.state is None or error.state.status is None:
        await database.batch([records.engine_failed(instance_id, str(error))])
    elif status == InstanceStatus.QUEUED:
        queued = Tracked(
            id=number,
            workflow=workflow,
            instance_id=instance_id,
            status=InstanceStatus.QUEUED,
            updated_at=updated_at,
        )
        await repair_now(database, queued, error.state)
