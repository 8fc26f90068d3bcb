"""The handlers of the mutations that record and register, and of `createAccessToken`.

A handler gets a MutationContext and returns the JSON of its field in pieces. It raises an expected
failure as a Refusal, which becomes a member of the result union (see mutation_fields.py).
"""

import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from resolvers.access.gatekeeper import token_claims
from resolvers.access.principals import Principal, Restrictions
from resolvers.base.errors import AccessError
from resolvers.base.instants import format_instant
from resolvers.base.vocabulary import Scope
from resolvers.compiling.planners.payloads import REPORTED_INSTANCE
from resolvers.ports.database import DatabaseError
from resolvers.writing import inputs, tracking
from resolvers.writing.context import MutationContext, Pieces
from resolvers.writing.instances import reports_progress, select_identified
from resolvers.writing.refusals import ambiguous, followed, not_only_tracked
from resolvers.writing.steps import update_step
from resolvers.writing.workflows import register


async def update_workflow_instance(context: MutationContext) -> Pieces:
    """`updateWorkflowInstance`."""
    given = context.services.scrubber.report(context.arguments["input"])
    update = inputs.parse(inputs.UpdateInstance, given)
    payload = context.select(
        REPORTED_INSTANCE if reports_progress(update) else "InstancePayload",
        parts=1,
        instance_id=update.instance_id,
        workflow=update.workflow,
        **followed(update.instance_id),
    )
    statements = [*tracking.instance_statements(update, context.principal, ("input",)), payload]
    database, engine = context.services.database, context.services.engine
    # Only the outcome of the insert tells whether the instance is new.
    final = context.last and not tracking.may_be_followed(engine, statements)
    outcomes = await tracking.apply(database, statements, ("input",), final=final)
    await tracking.follow_inserted(engine, statements, outcomes)
    return [outcomes[-1].text]


async def update_workflow_step(context: MutationContext) -> Pieces:
    """`updateWorkflowStep`: the most frequent mutation, so its usual path has no guard.

    A refused write changes nothing, so there is nothing to roll back, and the SELECT finds the
    step only if it has the requested status. If it finds none, or if the caller has restrictions,
    the guarded batch runs and names the failure, or finds that the instance is followed. That
    batch also gives an earlier attempt its error, so the SELECT does not find a step whose current
    attempt is later than a failed one.
    """
    given = context.services.scrubber.report(context.arguments["input"])
    update = inputs.parse(inputs.UpdateStep, given)
    database = context.services.database
    write, *guarded = update_step(update, context.principal)
    named: dict[str, Any] = {
        "instance_id": update.instance_id,
        "workflow": update.workflow,
        "run": update.run,
        "name": update.name,
        "occurrence": update.occurrence,
    }
    if context.last and not context.principal.is_restricted:
        attempt = update.failed_attempt
        changed = context.select("StepPayload", **named, status=update.status, attempt=attempt)
        with suppress(DatabaseError):
            return [(await database.batch([write, changed], final=True))[-1].text]
    payload = context.select("StepPayload", parts=2, **named, status=None, attempt=None)
    instead = context.select(
        "InstanceFollowed",
        parts=2,
        instance_id=update.instance_id,
        workflow=update.workflow,
        **followed(update.instance_id),
    )
    outcomes = await tracking.apply(database, [write, *guarded, payload, instead], ("input",))
    return [outcomes[-2].text if outcomes[-1].text is None else outcomes[-1].text]


async def track(context: MutationContext) -> Pieces:
    """`track`: several updates in one transaction."""
    scrub = context.services.scrubber.report
    updates = [
        {kind: scrub(given) for kind, given in update.items()}
        for update in context.arguments["updates"]
    ]
    recorded = await tracking.record(context.services, context.principal, updates)
    values = {
        "applied": recorded.applied,
        "followed": recorded.followed,
        "cursor": recorded.cursor,
    }
    return [context.render("TrackPayload", values)]


async def register_workflow(context: MutationContext) -> Pieces:
    """`registerWorkflow`."""
    workflow = inputs.parse(inputs.RegisterWorkflow, context.arguments["input"])
    restrictions = context.principal.restrictions
    if (
        restrictions.reference is not None
        or restrictions.instance_id is not None
        or (restrictions.workflows is not None and workflow.name not in restrictions.workflows)
    ):
        raise AccessError.forbidden("The token is restricted and does not allow this workflow.")
    if workflow.track_only and workflow.name in context.services.engine.workflows:
        raise not_only_tracked(workflow.name, ["input"])
    statements = [register(workflow), context.select("WorkflowPayload", name=workflow.name)]
    outcomes = await tracking.apply(
        context.services.database, statements, ("input",), final=context.last
    )
    return [outcomes[-1].text]


async def create_access_token(context: MutationContext) -> Pieces:
    """`createAccessToken`: signs a token, without storing it.

    Only a caller without restrictions may create one, and it does not outlive the caller's own.
    """
    caller = context.principal
    caller.require(Scope.ADMIN)
    if caller.is_restricted:
        raise AccessError.forbidden("A restricted token cannot create tokens.")
    request = inputs.parse(inputs.CreateAccessToken, context.arguments["input"])
    restrictions = await _of_one_workflow(context, request.restrictions)
    expires_at = int(time.time() + request.expires_in / 1000)
    if caller.expires_at is not None:
        expires_at = min(expires_at, caller.expires_at)
    claims = token_claims(request.scopes, restrictions, expires_at)
    token = context.services.gatekeeper.issue(claims)
    expires = format_instant(datetime.fromtimestamp(expires_at, UTC))
    return [context.render("AccessTokenPayload", {"token": token, "expiresAt": expires})]


async def _of_one_workflow(context: MutationContext, restrictions: Restrictions) -> Restrictions:
    """Restrict a token for an instance to the workflow that has one with the id now.

    Then it is never valid for an instance of another workflow that gets the same id later. If no
    workflow has one yet, the restrictions stay as they are. Raises Refusal if several have one.
    """
    if restrictions.instance_id is None:
        return restrictions
    holder = Principal(frozenset(), restrictions)
    [outcome] = await context.services.database.batch(
        [select_identified(holder, restrictions.instance_id, None)]
    )
    workflows = [workflow for _, workflow, *_ in json.loads(outcome.text)]
    if len(workflows) > 1:
        raise ambiguous(restrictions.instance_id, workflows)
    return replace(restrictions, workflows=tuple(workflows)) if workflows else restrictions
