"""`startWorkflow` and `startWorkflows`: record instances, then start them in the engine."""

import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from resolvers.base.errors import AccessError, ArgumentError, Refusal, invalid_input
from resolvers.base.limits import MAX_BATCH_ITEMS
from resolvers.base.scrubbing import MARK
from resolvers.base.vocabulary import ConflictPolicy, ErrorCode
from resolvers.ports.database import DatabaseError, Outcome, Value
from resolvers.ports.engine import EngineError
from resolvers.writing import inputs
from resolvers.writing.context import MutationContext, Pieces
from resolvers.writing.instances import (
    awaiting_engine,
    forget_engine_input,
    insert_started,
    unfollow_unread,
)
from resolvers.writing.refusals import not_only_tracked, unavailable, unbound
from resolvers.writing.workflows import select_track_only

# Instance ids that Cloudflare Workflows accepts.
_ENGINE_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*")
_TRACK_ONLY = " To record what is executed elsewhere, set `trackOnly`."


async def start_workflow(context: MutationContext) -> Pieces:
    """`startWorkflow`: records the instance, then starts it if its workflow is bound."""
    [result] = await _start(
        context, [_Start(context, context.arguments["input"], ("input",), parts=1)]
    )
    if isinstance(result, Refusal):
        raise result
    return [result]


async def start_workflows(context: MutationContext) -> Pieces:
    """`startWorkflows`: records all instances in one batch, and returns one result for each."""
    values = context.arguments["inputs"]
    if len(values) > MAX_BATCH_ITEMS:
        raise ArgumentError(
            f"inputs: has {len(values)} items; the limit is {MAX_BATCH_ITEMS}", argument="inputs"
        )
    starts: list[_Start | Refusal] = []
    for number, value in enumerate(values):
        try:
            starts.append(_Start(context, value, ("inputs", str(number)), parts=len(values)))
        except Refusal as refusal:
            starts.append(refusal)
    pieces: Pieces = []
    for result in await _start(context, starts):
        refused = isinstance(result, Refusal)
        pieces += [",", context.render(result.type_name, result.fields) if refused else result]
    return ["[", *pieces[1:], "]"]


def require_engine_id(instance_id: str, path: Sequence[str]) -> None:
    """Refuse an id that the engine does not accept, in the input at `path`."""
    if not _ENGINE_ID.fullmatch(instance_id):
        raise invalid_input(
            "instanceId: the engine accepts letters, digits, _ and -, but no - at the start",
            [*path, "instanceId"],
        )


class _Start:
    """One instance to start: its input, and the statements that record it.

    The statements are the insert, the payload's SELECT, the conflict's SELECT if an instance that
    exists is refused, and the SELECT of the input if the workflow is bound, or of its registration
    if it needs one.
    """

    def __init__(
        self, context: MutationContext, value: dict[str, Any], path: Sequence[str], *, parts: int
    ) -> None:
        self.path = path
        self.input = start = inputs.parse(inputs.StartWorkflow, value, path)
        scrubbed = context.services.scrubber.report(value)
        stored = start
        if scrubbed is not value:
            stored = inputs.parse(inputs.StartWorkflow, scrubbed, path)
        self.instance_id = start.instance_id or str(uuid.uuid4())
        reference = start.reference.key if start.reference else None
        # First, so that a caller does not learn which other workflows are bound.
        if not context.principal.restrictions.allow(
            instance_id=self.instance_id, workflow=start.workflow, reference=reference
        ):
            raise AccessError.forbidden("The token is restricted and does not allow this instance.")
        self.is_bound = start.workflow in context.services.engine.workflows
        if self.is_bound:
            require_engine_id(self.instance_id, path)
        if self.is_bound and start.track_only:
            raise not_only_tracked(start.workflow, path)
        # True if the start is refused unless the workflow is registered as `trackOnly`.
        self.needs_registration = not (self.is_bound or start.track_only)
        # The input that the engine gets, if it is not the one that is stored.
        is_other = self.is_bound and MARK in (stored.input or "")
        self.engine_input = start.input if is_other else None
        key: dict[str, Value] = {"instance_id": self.instance_id, "workflow": start.workflow}
        self.statements = [
            insert_started(
                stored,
                self.instance_id,
                needs_registration=self.needs_registration,
                is_followed=self.is_bound and context.services.engine.follows,
                engine_input=self.engine_input,
            ),
            context.select("InstancePayload", parts=parts, **key),
        ]
        if start.on_conflict is ConflictPolicy.FAIL:
            self.statements.append(
                context.select(
                    "InstanceConflict",
                    parts=parts,
                    **key,
                    code=ErrorCode.CONFLICT,
                    message=f"Instance {self.instance_id!r} of {start.workflow!r} exists already.",
                )
            )
        # True if the result depends on the outcomes of the batch.
        self.depends_on_outcomes = not start.track_only or start.on_conflict is ConflictPolicy.FAIL
        if self.is_bound:
            self.statements.append(awaiting_engine(start, self.instance_id))
        elif self.needs_registration:
            self.statements.append(select_track_only(start.workflow))


async def _start(context: MutationContext, starts: Sequence[_Start | Refusal]) -> list[Any]:
    """Record the instances in one batch and start them; return a payload or a Refusal for each."""
    statements = [s for start in starts if isinstance(start, _Start) for s in start.statements]
    # Otherwise the payload exists in any case, inserted now or earlier.
    final = (
        context.last
        and not context.principal.is_restricted
        and not any(isinstance(start, _Start) and start.depends_on_outcomes for start in starts)
    )
    batch = context.services.database.batch
    outcomes = iter(await batch(statements, final=final) if statements else ())
    results: list[Any] = []
    for start in starts:
        if isinstance(start, Refusal):
            results.append(start)
            continue
        own = [next(outcomes) for _ in start.statements]
        results.append(await _start_recorded(context, start, own))
    return results


async def _start_recorded(
    context: MutationContext, start: _Start, outcomes: Sequence[Outcome]
) -> Any:
    """Start a recorded instance in the engine, if it is bound; return its payload or a Refusal."""
    inserted, payload = outcomes[0].changes > 0, outcomes[1].text
    if payload is None:
        if start.needs_registration and not outcomes[-1].text:
            engine, workflow = context.services.engine, start.input.workflow
            return unbound(engine, workflow, context.principal, advice=_TRACK_ONLY)
        return invalid_input(
            "instanceId: the id belongs to an instance that the token may not see",
            [*start.path, "instanceId"],
        )
    if start.input.on_conflict is ConflictPolicy.FAIL and not inserted:
        return outcomes[2].text
    if start.is_bound and (params := outcomes[-1].text) is not None:
        # Also for an instance that existed: an earlier mutation may have recorded it without
        # reaching the engine, which ignores instances that it already has.
        try:
            await context.services.engine.create(
                start.input.workflow, start.instance_id, params=params
            )
            if start.engine_input is not None:
                with suppress(DatabaseError):  # it is forgotten when the instance leaves QUEUED
                    await context.services.database.batch(
                        [forget_engine_input(start.input.workflow, start.instance_id)]
                    )
        except EngineError as error:
            if context.services.engine.follows:
                unread = unfollow_unread(start.input, start.instance_id)
                await context.services.database.batch([unread])
            return unavailable(
                f"{start.instance_id!r} is recorded as QUEUED, but the engine did not accept it:"
                f" {error}. Send the mutation again with the same instanceId to retry."
            )
    return payload
