"""`startWorkflow` and `startWorkflows`: record an instance, then hand it to the engine."""

import re
import uuid
from collections.abc import Sequence
from typing import Any

from resolvers.base.errors import AccessError, ArgumentError, Refusal, invalid_input
from resolvers.base.limits import MAX_BATCH_ITEMS
from resolvers.base.vocabulary import ConflictPolicy, ErrorCode
from resolvers.ports.database import Outcome
from resolvers.ports.engine import EngineError
from resolvers.writing import inputs
from resolvers.writing.context import MutationContext, Pieces
from resolvers.writing.instances import awaiting_engine, insert_started
from resolvers.writing.refusals import unavailable

# What Cloudflare Workflows takes as an instance id.
_ENGINE_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*")


async def start_workflow(context: MutationContext) -> Pieces:
    """`startWorkflow`: records the instance, then hands it to the engine if one is bound."""
    [answer] = await _start(
        context, [_Start(context, context.arguments["input"], ("input",), parts=1)]
    )
    if isinstance(answer, Refusal):
        raise answer
    return [answer]


async def start_workflows(context: MutationContext) -> Pieces:
    """`startWorkflows`: all in one batch, one answer each."""
    values = context.arguments["inputs"]
    if len(values) > MAX_BATCH_ITEMS:
        raise ArgumentError(f"at most {MAX_BATCH_ITEMS} inputs", argument="inputs")
    starts: list[_Start | Refusal] = []
    for number, value in enumerate(values):
        try:
            starts.append(_Start(context, value, ("inputs", str(number)), parts=len(values)))
        except Refusal as refusal:
            starts.append(refusal)
    pieces: Pieces = []
    for answer in await _start(context, starts):
        refused = isinstance(answer, Refusal)
        pieces += [",", context.render(answer.type_name, answer.fields) if refused else answer]
    return ["[", *pieces[1:], "]"]


class _Start:
    """One start: its input and its statements."""

    def __init__(
        self, context: MutationContext, value: dict[str, Any], path: Sequence[str], *, parts: int
    ) -> None:
        self.path = path
        self.input = start = inputs.parse(inputs.StartWorkflow, value, path)
        self.instance_id = start.instance_id or str(uuid.uuid4())
        self.engine = start.workflow in context.services.engine.workflows
        if self.engine and not _ENGINE_ID.fullmatch(self.instance_id):
            raise invalid_input(
                "instanceId: the engine takes letters, digits, _ and -, and no - in front",
                [*path, "instanceId"],
            )
        reference = start.reference.key if start.reference else None
        if not context.principal.restrictions.allow(
            instance_id=self.instance_id, workflow=start.workflow, reference=reference
        ):
            raise AccessError.forbidden("The token is limited and does not allow this instance.")
        self.statements = [
            insert_started(start, self.instance_id),
            context.select("InstancePayload", parts=parts, instance_id=self.instance_id),
        ]
        if start.on_conflict is ConflictPolicy.FAIL:
            self.statements.append(
                context.select(
                    "InstanceConflict",
                    parts=parts,
                    instance_id=self.instance_id,
                    code=ErrorCode.CONFLICT,
                    message=f"Instance {self.instance_id!r} exists already.",
                )
            )
        self.decides = self.engine or start.on_conflict is ConflictPolicy.FAIL
        if self.engine:
            self.statements.append(awaiting_engine(start, self.instance_id))


async def _start(context: MutationContext, starts: Sequence[_Start | Refusal]) -> list[Any]:
    statements = [s for start in starts if isinstance(start, _Start) for s in start.statements]
    # Nothing is to be decided afterwards: the payload is there, whoever inserted it.
    final = (
        context.last
        and not context.principal.is_restricted
        and not any(isinstance(start, _Start) and start.decides for start in starts)
    )
    batch = context.services.database.batch
    outcomes = iter(await batch(statements, final=final) if statements else ())
    answers: list[Any] = []
    for start in starts:
        if isinstance(start, Refusal):
            answers.append(start)
            continue
        mine = [next(outcomes) for _ in start.statements]
        answers.append(await _started(context, start, mine))
    return answers


async def _started(context: MutationContext, start: _Start, outcomes: Sequence[Outcome]) -> Any:
    inserted, payload = outcomes[0].changes > 0, outcomes[1].text
    if payload is None:
        return invalid_input(
            "instanceId: an instance that the token does not show has this id",
            [*start.path, "instanceId"],
        )
    if start.input.on_conflict is ConflictPolicy.FAIL and not inserted:
        return outcomes[2].text
    if start.engine and (params := outcomes[-1].text) is not None:
        # Also for an instance that was there: an earlier call may have recorded it and failed
        # to reach the engine, which ignores what it already has.
        try:
            await context.services.engine.create(start.input.workflow, start.instance_id, params)
        except EngineError as error:
            return unavailable(
                f"{start.instance_id!r} is recorded as QUEUED, but the engine did not take it:"
                f" {error}. MutationContext again with the same instanceId to retry."
            )
    return payload
