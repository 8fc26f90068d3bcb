"""`followWorkflow`: records an instance that somebody else has started, and follows it."""

import json
from typing import Any

from resolvers.base.errors import AccessError, Refusal
from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import ErrorCode, InstanceStatus
from resolvers.engine.drift import Tracked
from resolvers.engine.repairs import repair
from resolvers.ports.engine import EngineError, EngineState
from resolvers.writing import inputs, tracking
from resolvers.writing.context import MutationContext, Pieces
from resolvers.writing.instances import insert_reported, select_identified, update_instance
from resolvers.writing.refusals import unavailable, unbound
from resolvers.writing.starts import require_engine_id


async def follow_workflow(context: MutationContext) -> Pieces:
    """`followWorkflow`: works for finished instances, too, and may be repeated."""
    given = context.services.scrubber.report(context.arguments["input"])
    follow = inputs.parse(inputs.FollowWorkflow, given)
    state = await _state(context, follow)
    database, engine = context.services.database, context.services.engine
    key = (follow.workflow, follow.instance_id)
    described: dict[str, Any] = {"reference": follow.reference, "metadata": follow.metadata}
    update = inputs.UpdateInstance.model_construct(
        instance_id=follow.instance_id,
        workflow=follow.workflow,
        **{name: value for name, value in described.items() if value is not None},
    )
    # The history of an instance that has ended is recorded before its end.
    has_ended = state.status in TERMINAL
    status = InstanceStatus.QUEUED if has_ended else state.status
    payload = context.select(
        "InstancePayload", instance_id=follow.instance_id, workflow=follow.workflow
    )
    statements = [
        insert_reported(update.model_copy(update={"status": status})),
        *update_instance(update, context.principal, create=False, number=None),
        select_identified(context.principal, follow.instance_id, follow.workflow),
        payload,
    ]
    outcomes = await tracking.apply(database, statements, ("input",))
    await engine.follow([key], to_end=has_ended)
    if has_ended:
        [(number, _, run, tracked_status, updated_at)] = json.loads(outcomes[-2].text)
        tracked = Tracked(
            id=number,
            workflow=follow.workflow,
            instance_id=follow.instance_id,
            status=InstanceStatus(tracked_status),
            updated_at=updated_at,
            run=run,
        )
        # If the engine no longer has the history, the instance is as it was read.
        outcomes = await database.batch([repair(tracked, state), payload])
    return [outcomes[-1].text]


async def _state(context: MutationContext, follow: inputs.FollowWorkflow) -> EngineState:
    """Get the engine's state of an instance; Refusal if the engine does not have it."""
    engine, principal = context.services.engine, context.principal
    workflow, instance_id = follow.workflow, follow.instance_id
    restrictions = principal.restrictions
    # First, so that a caller does not learn which other workflows are bound. One with a reference
    # could take any instance that nobody tracks yet, and so see it.
    if restrictions.reference is not None or not restrictions.allow(
        instance_id=instance_id, workflow=workflow, reference=None
    ):
        raise AccessError.forbidden("The token is restricted and does not allow this instance.")
    if workflow not in engine.workflows:
        raise unbound(engine, workflow, principal)
    require_engine_id(instance_id, ("input",))
    [state] = await engine.get_statuses([(workflow, instance_id)])
    if isinstance(state, EngineError):
        raise unavailable(f"The engine did not report on {instance_id!r}: {state}.")
    if state.status is None:
        message = f"The engine has no instance {instance_id!r} of {workflow!r}."
        raise Refusal("NotFound", ErrorCode.NOT_FOUND, message)
    return state
