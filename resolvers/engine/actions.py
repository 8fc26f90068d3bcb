"""The mutations that act on an instance of the engine, and record what came of it.

What the engine refuses is answered in its own words and leaves no trace, unless it says by the way
that the instance has moved on: then the tracked state is brought to that first.
"""

import json

from resolvers.base import transitions
from resolvers.base.errors import Refusal, RequestError
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
    """`pauseWorkflow`: the engine finishes a step that runs first."""
    return await _act(context, "pause", transitions.PAUSABLE, InstanceStatus.PAUSED)


async def resume_workflow(context: MutationContext) -> Pieces:
    """`resumeWorkflow`."""
    return await _act(context, "resume", transitions.RESUMABLE, InstanceStatus.RUNNING)


async def terminate_workflow(context: MutationContext) -> Pieces:
    """`terminateWorkflow`."""
    return await _act(context, "terminate", transitions.TERMINABLE, InstanceStatus.TERMINATED)


async def restart_workflow(context: MutationContext) -> Pieces:
    """`restartWorkflow`: recorded first, because the new run reports at once."""
    action = inputs.parse(inputs.InstanceAction, context.arguments["input"])
    instance_id = action.instance_id
    allowed = transitions.RESTARTABLE
    instance = await _require_instance(context, instance_id, allowed, InstanceStatus.QUEUED)
    database, engine = context.services.database, context.services.engine
    # What the engine will refuse in any case must not cost the last run's steps.
    await _get_state(context, instance, "restart it")
    payload = context.select("InstancePayload", instance_id=instance_id)
    outcomes = await database.batch([*records.begin_again(instance_id, allowed), payload])
    try:
        await engine.act(instance.workflow, instance_id, "restart")
    except EngineError as error:
        await _undo_restart(context, instance_id, error)
        raise unavailable(f"The engine did not restart it: {error}.") from error
    return [outcomes[-1].text]


async def send_workflow_event(context: MutationContext) -> Pieces:
    """`sendWorkflowEvent`: recorded first, so that the log has it before what it leads to."""
    event = inputs.parse(inputs.SendEvent, context.arguments["input"])
    instance_id = event.instance_id
    instance = await _require_instance(context, instance_id, transitions.RECEIVES_EVENTS, None)
    database, engine = context.services.database, context.services.engine
    state = await _get_state(context, instance, "take the event")
    if state.status in TERMINAL:
        await repair_now(database, instance, state)
        raise _over(instance_id, state, f"it takes no event {event.type!r} any more", None)
    payload = context.select("InstancePayload", instance_id=instance_id)
    sent = records.event_sent(instance_id, event.type)
    outcomes = await database.batch([*sent, payload])
    try:
        await engine.send_event(instance.workflow, instance_id, event.type, event.payload or "null")
    except EngineError as error:
        await database.batch(records.event_sent(instance_id, event.type, refused=str(error)))
        raise await _refused(context, instance, error, "take the event", None) from error
    return [outcomes[-1].text]


async def _act(
    context: MutationContext, action: str, allowed: frozenset[InstanceStatus], to: InstanceStatus
) -> Pieces:
    """Ask the engine, then record what it made of it."""
    instance_id = inputs.parse(inputs.InstanceAction, context.arguments["input"]).instance_id
    instance = await _require_instance(context, instance_id, allowed, to)
    try:
        state = await context.services.engine.act(instance.workflow, instance_id, action)
    except EngineError as error:
        raise await _refused(context, instance, error, f"{action} it", to) from error
    recorded = records.move(instance_id, _reached(to, state), allowed)
    if state.status in TERMINAL and state.status is not to:
        recorded = repairs.repair(instance, state)
    payload = context.select("InstancePayload", instance_id=instance_id)
    try:
        outcomes = await context.services.database.batch([recorded, payload])
    except DatabaseError as error:
        if not error.is_too_big:
            raise
        await context.services.database.batch([recorded])
        raise RequestError(
            f"The engine was asked to {action} {instance_id!r}, and that is recorded; but the"
            " selected result is too large (MAX_RESULT_BYTES). Read it with a query.",
            code=ErrorCode.RESULT_TOO_LARGE,
        ) from error
    # What is resumed may end at once; what was to be paused or terminated should not have.
    if state.status in TERMINAL - {to} and to is not InstanceStatus.RUNNING:
        raise _over(instance_id, state, "it had ended before", to)
    return [outcomes[-1].text]


def _reached(to: InstanceStatus, state: EngineState) -> InstanceStatus:
    """What is tracked once the engine has agreed: before a pause, a step that runs is finished."""
    pausing = to is InstanceStatus.PAUSED and state.status is not InstanceStatus.PAUSED
    return InstanceStatus.WAITING_FOR_PAUSE if pausing else to


async def _require_instance(
    context: MutationContext,
    instance_id: str,
    allowed: frozenset[InstanceStatus],
    to: InstanceStatus | None,
) -> Tracked:
    """The instance, if it allows the action and the engine runs it."""
    [outcome] = await context.services.database.batch(
        [records.select_instance(instance_id, context.principal)]
    )
    if outcome.text is None:
        raise not_found(instance_id)
    number, workflow, status, updated_at = json.loads(outcome.text)
    if status not in allowed:
        raise illegal(
            status, to or status, f"{instance_id!r} is {status}, which does not allow this."
        )
    engine = context.services.engine
    if workflow not in engine.workflows:
        raise unavailable(engine.unbound(workflow))
    return Tracked(number, workflow, instance_id, InstanceStatus(status), updated_at)


async def _get_state(context: MutationContext, instance: Tracked, what: str) -> EngineState:
    """What the engine says of the instance; Refusal where it has none or does not answer."""
    [state] = await context.services.engine.get_statuses(
        [(instance.workflow, instance.instance_id)]
    )
    if isinstance(state, EngineError):
        raise unavailable(f"The engine did not {what}: {state}.")
    if state.status is None:
        words = "instance.not_found, it has no instance of this id"
        raise unavailable(f"The engine did not {what}: {words}.")
    return state


async def _refused(
    context: MutationContext,
    instance: Tracked,
    error: EngineError,
    what: str,
    to: InstanceStatus | None,
) -> Refusal:
    """The answer to what the engine refused."""
    repaired = await repair_now(context.services.database, instance, error.state)
    if repaired and error.state is not None and error.state.status in TERMINAL:
        return _over(instance.instance_id, error.state, str(error), to)
    return unavailable(f"The engine did not {what}: {error}.")


def _over(instance_id: str, state: EngineState, words: str, to: InstanceStatus | None) -> Refusal:
    """IllegalTransition for an instance that has ended unseen."""
    assert state.status is not None
    message = f"{instance_id!r} is {state.status}, says the engine: {words}."
    return illegal(state.status, to or state.status, message)


async def _undo_restart(context: MutationContext, instance_id: str, error: EngineError) -> None:
    """Nothing runs again: track what the engine has, or that it failed."""
    database = context.services.database
    [outcome] = await database.batch([records.select_instance(instance_id, context.principal)])
    number, workflow, status, updated_at = json.loads(outcome.text)
    if error.state is None or error.state.status is None:
        await database.batch([records.engine_failed(instance_id, str(error))])
    elif status == InstanceStatus.QUEUED:
        queued = Tracked(number, workflow, instance_id, InstanceStatus.QUEUED, updated_at)
        await repair_now(database, queued, error.state)
