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
from resolvers.ports.database import DatabaseError, Statement
from resolvers.ports.engine import EngineError, EngineState
from resolvers.writing import inputs
from resolvers.writing.context import MutationContext, Pieces
from resolvers.writing.instances import select_identified
from resolvers.writing.refusals import ambiguous, illegal, not_found, unavailable


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
    allowed = transitions.RESTARTABLE
    instance = await _require_instance(
        context, _parse(context), allowed=allowed, to=InstanceStatus.QUEUED
    )
    database, engine = context.services.database, context.services.engine
    # Check first, so that no run begins if the engine cannot restart it.
    await _get_state(context, instance, purpose="restart it")
    payload = _payload(context, instance)
    outcomes = await database.batch([records.begin_again(instance.key, allowed), payload])
    if not outcomes[0].changes:
        # Another restart has begun the next run meanwhile.
        now = await _find(context, instance.instance_id, instance.workflow)
        raise _not_allowed(now, to=InstanceStatus.QUEUED)
    try:
        await engine.act(*instance.key, action="restart")
    except EngineError as error:
        await _undo_restart(context, instance, error)
        raise unavailable(f"The engine did not restart it: {error}.") from error
    return [outcomes[-1].text]


async def send_workflow_event(context: MutationContext) -> Pieces:
    """`sendWorkflowEvent`: recorded before it is sent, so it precedes its effects in the log."""
    event = inputs.parse(inputs.SendEvent, context.arguments["input"])
    instance = await _require_instance(context, event, allowed=transitions.RECEIVES_EVENTS, to=None)
    database, engine = context.services.database, context.services.engine
    state = await _get_state(context, instance, purpose="accept the event")
    if state.status in TERMINAL:
        await repair_now(database, instance, state)
        raise _ended(instance, state, f"it no longer accepts event {event.type!r}", to=None)
    sent = records.event_sent(instance.key, event.type)
    outcomes = await database.batch([*sent, _payload(context, instance)])
    try:
        await engine.send_event(
            *instance.key, event_type=event.type, payload=event.payload or "null"
        )
    except EngineError as error:
        await database.batch(records.event_sent(instance.key, event.type, refused=str(error)))
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
    instance = await _require_instance(context, _parse(context), allowed=allowed, to=to)
    try:
        state = await context.services.engine.act(*instance.key, action=action)
    except EngineError as error:
        raise await _refusal(context, instance, error, purpose=f"{action} it", to=to) from error
    write = records.move(instance.key, _status_after(to, state), allowed)
    if state.status in TERMINAL and state.status is not to:
        write = repairs.repair(instance, state)
    payload = _payload(context, instance)
    try:
        outcomes = await context.services.database.batch([write, payload])
    except DatabaseError as error:
        if not error.is_too_big:
            raise
        await context.services.database.batch([write])
        raise RequestError(
            f"The engine was asked to {action} {instance.instance_id!r}, and that is recorded; but"
            " the selected result is too large (MAX_RESULT_BYTES). Read it with a query.",
            code=ErrorCode.RESULT_TOO_LARGE,
        ) from error
    # A resumed instance may end at once. One that did not pause or terminate had ended before.
    if state.status in TERMINAL - {to} and to is not InstanceStatus.RUNNING:
        raise _ended(instance, state, "it had already ended", to=to)
    return [outcomes[-1].text]


def _status_after(to: InstanceStatus, state: EngineState) -> InstanceStatus:
    """The status to track after an action: the engine finishes a running step before a pause."""
    pausing = to is InstanceStatus.PAUSED and state.status is not InstanceStatus.PAUSED
    return InstanceStatus.WAITING_FOR_PAUSE if pausing else to


def _parse(context: MutationContext) -> inputs.InstanceAction:
    return inputs.parse(inputs.InstanceAction, context.arguments["input"])


def _payload(context: MutationContext, instance: Tracked) -> Statement:
    return context.select(
        "InstancePayload", instance_id=instance.instance_id, workflow=instance.workflow
    )


async def _require_instance(
    context: MutationContext,
    action: inputs.InstanceAction,
    *,
    allowed: frozenset[InstanceStatus],
    to: InstanceStatus | None,
) -> Tracked:
    """Read an instance; Refusal if its status does not allow the action, or no engine runs it."""
    instance = await _find(context, action.instance_id, action.workflow)
    if instance.status not in allowed:
        raise _not_allowed(instance, to=to)
    engine = context.services.engine
    if instance.workflow not in engine.workflows:
        raise unavailable(engine.unbound(instance.workflow))
    return instance


def _not_allowed(instance: Tracked, *, to: InstanceStatus | None) -> Refusal:
    """Make an IllegalTransition for an instance whose status does not allow the action."""
    message = f"{instance.instance_id!r} is {instance.status}, which does not allow this."
    return illegal(message, source=instance.status, target=to or instance.status)


async def _find(context: MutationContext, instance_id: str, workflow: str | None) -> Tracked:
    """Read an instance; Refusal if there is none, or if several have the id."""
    [outcome] = await context.services.database.batch(
        [select_identified(context.principal, instance_id, workflow)]
    )
    found = json.loads(outcome.text)
    if len(found) != 1:
        raise ambiguous(instance_id) if found else not_found(instance_id)
    [(number, its_workflow, status, updated_at)] = found
    return Tracked(
        id=number,
        workflow=its_workflow,
        instance_id=instance_id,
        status=InstanceStatus(status),
        updated_at=updated_at,
    )


async def _get_state(context: MutationContext, instance: Tracked, *, purpose: str) -> EngineState:
    """Get the engine's state of an instance; Refusal if it has no such instance or no response."""
    [state] = await context.services.engine.get_statuses([instance.key])
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
        return _ended(instance, error.state, str(error), to=to)
    return unavailable(f"The engine did not {purpose}: {error}.")


def _ended(
    instance: Tracked, state: EngineState, reason: str, *, to: InstanceStatus | None
) -> Refusal:
    """Make an IllegalTransition for an instance that has ended without being tracked as ended."""
    assert state.status is not None
    message = f"{instance.instance_id!r} is {state.status} in the engine: {reason}."
    return illegal(message, source=state.status, target=to or state.status)


async def _undo_restart(context: MutationContext, restarted: Tracked, error: EngineError) -> None:
    """After a failed restart, track the engine's state of the instance, or that it failed."""
    database = context.services.database
    if error.state is None or error.state.status is None:
        await database.batch([records.engine_failed(restarted.key, str(error))])
        return
    queued = await _find(context, restarted.instance_id, restarted.workflow)
    if queued.status is InstanceStatus.QUEUED:
        await repair_now(database, queued, error.state)
