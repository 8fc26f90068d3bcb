"""The mutations: each takes its inputs to the statements of one transaction and its answer.

A handler gets a Call and returns the JSON of its field in pieces. An expected failure is
raised as a Refusal; who calls the handler answers it as the member of the result union.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from resolvers import tracking
from resolvers.access import Gatekeeper, Principal, token_claims
from resolvers.database import Database, DatabaseError, Outcome, Statement, Value
from resolvers.engine import Engine, EngineError
from resolvers.errors import AccessError, ArgumentError, Refusal, invalid_input
from resolvers.instants import format_instant
from resolvers.limits import MAX_BATCH_ITEMS
from resolvers.vocabulary import ConflictPolicy, ErrorCode, Scope
from resolvers.writes import actions, inputs
from resolvers.writes.instances import insert_started
from resolvers.writes.refusals import unavailable
from resolvers.writes.steps import update_step
from resolvers.writes.workflows import register

# JSON text, or the handle of JSON text that is outside Python.
Pieces: TypeAlias = list[Any]

# What Cloudflare Workflows takes as an instance id.
_ENGINE_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*")


class Services(Protocol):
    """What mutations act on."""

    database: Database
    engine: Engine
    gatekeeper: Gatekeeper


class Call(Protocol):
    """One mutation field of one request."""

    services: Services
    principal: Principal
    # Whether nothing but the response follows the field.
    last: bool
    arguments: dict[str, Any]

    def select(self, type_name: str, *, parts: int = 1, **values: Value) -> Statement:
        """The SELECT of the field's selection on a payload type that is read from D1: one of
        `parts` that share what the field's result may hold."""
        ...

    def render(self, type_name: str, values: dict[str, object]) -> str:
        """The field's selection on a payload type that is not."""
        ...


Handler: TypeAlias = Callable[[Any], Awaitable[Pieces]]


async def start_workflow(call: Call) -> Pieces:
    """`startWorkflow`: records the instance, then hands it to the engine if one is bound."""
    [answer] = await _start(call, [_Start(call, call.arguments["input"], ("input",), parts=1)])
    if isinstance(answer, Refusal):
        raise answer
    return [answer]


async def start_workflows(call: Call) -> Pieces:
    """`startWorkflows`: all in one batch, one answer each."""
    values = call.arguments["inputs"]
    if len(values) > MAX_BATCH_ITEMS:
        raise ArgumentError(f"at most {MAX_BATCH_ITEMS} inputs", argument="inputs")
    starts: list[_Start | Refusal] = []
    for number, value in enumerate(values):
        try:
            starts.append(_Start(call, value, ("inputs", str(number)), parts=len(values)))
        except Refusal as refusal:
            starts.append(refusal)
    pieces: Pieces = []
    for answer in await _start(call, starts):
        refused = isinstance(answer, Refusal)
        pieces += [",", call.render(answer.type_name, answer.fields) if refused else answer]
    return ["[", *pieces[1:], "]"]


class _Start:
    """One start: its input and its statements."""

    def __init__(
        self, call: Call, value: dict[str, Any], path: Sequence[str], *, parts: int
    ) -> None:
        self.path = path
        self.input = start = inputs.parse(inputs.StartWorkflow, value, path)
        self.instance_id = start.instance_id or str(uuid.uuid4())
        self.engine = start.workflow in call.services.engine.workflows
        if self.engine and not _ENGINE_ID.fullmatch(self.instance_id):
            raise invalid_input(
                "instanceId: the engine takes letters, digits, _ and -, and no - in front",
                [*path, "instanceId"],
            )
        reference = start.reference.key if start.reference else None
        if not call.principal.limits.allow(
            instance_id=self.instance_id, workflow=start.workflow, reference=reference
        ):
            raise AccessError.forbidden("The token is limited and does not allow this instance.")
        self.statements = [
            insert_started(start, self.instance_id),
            call.select("InstancePayload", parts=parts, instance_id=self.instance_id),
        ]
        if start.on_conflict is ConflictPolicy.FAIL:
            self.statements.append(
                call.select(
                    "InstanceConflict",
                    parts=parts,
                    instance_id=self.instance_id,
                    code=ErrorCode.CONFLICT,
                    message=f"Instance {self.instance_id!r} exists already.",
                )
            )
        self.decides = self.engine or start.on_conflict is ConflictPolicy.FAIL
        if self.engine:
            self.statements.append(actions.awaiting_engine(start, self.instance_id))


async def _start(call: Call, starts: Sequence[_Start | Refusal]) -> list[Any]:
    statements = [s for start in starts if isinstance(start, _Start) for s in start.statements]
    # Nothing is to be decided afterwards: the payload is there, whoever inserted it.
    final = (
        call.last
        and not call.principal.limited
        and not any(isinstance(start, _Start) and start.decides for start in starts)
    )
    batch = call.services.database.batch
    outcomes = iter(await batch(statements, final=final) if statements else ())
    answers: list[Any] = []
    for start in starts:
        if isinstance(start, Refusal):
            answers.append(start)
            continue
        mine = [next(outcomes) for _ in start.statements]
        answers.append(await _started(call, start, mine))
    return answers


async def _started(call: Call, start: _Start, outcomes: Sequence[Outcome]) -> Any:
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
            await call.services.engine.create(start.input.workflow, start.instance_id, params)
        except EngineError as error:
            return unavailable(
                f"{start.instance_id!r} is recorded as QUEUED, but the engine did not take it:"
                f" {error}. Call again with the same instanceId to retry."
            )
    return payload


async def update_workflow_instance(call: Call) -> Pieces:
    """`updateWorkflowInstance`."""
    update = inputs.parse(inputs.UpdateInstance, call.arguments["input"])
    statements = [
        *tracking.instance_statements(update, call.principal, ("input",)),
        call.select("InstancePayload", instance_id=update.instance_id),
    ]
    outcomes = await tracking.apply(call.services.database, statements, ("input",), final=call.last)
    return [outcomes[-1].text]


async def update_workflow_step(call: Call) -> Pieces:
    """`updateWorkflowStep`: the mutation called most, so its usual course is as short as can be.

    A write that is refused changes nothing, so nothing needs to be rolled back: the step is
    read back if it has the status asked for. Whatever else came of it, the second course
    says; it also knows what a limited caller may see.
    """
    update = inputs.parse(inputs.UpdateStep, call.arguments["input"])
    database = call.services.database
    write, guard = update_step(update, call.principal)
    named: dict[str, Any] = {"instance_id": update.instance_id, "name": update.name}
    if call.last and not call.principal.limited:
        moved = call.select("StepPayload", **named, status=update.status)
        with suppress(DatabaseError):
            return [(await database.batch([write, moved], final=True))[-1].text]
    payload = call.select("StepPayload", **named, status=None)
    outcomes = await tracking.apply(database, [write, guard, payload], ("input",))
    return [outcomes[-1].text]


async def track(call: Call) -> Pieces:
    """`track`: several updates, whole or not at all."""
    updates = call.arguments["updates"]
    recorded = await tracking.record(call.services.database, call.principal, updates)
    values = {"applied": recorded.applied, "cursor": recorded.cursor}
    return [call.render("TrackPayload", values)]


async def register_workflow(call: Call) -> Pieces:
    """`registerWorkflow`."""
    workflow = inputs.parse(inputs.RegisterWorkflow, call.arguments["input"])
    limits = call.principal.limits
    if (
        limits.reference is not None
        or limits.instance_id is not None
        or (limits.workflows is not None and workflow.name not in limits.workflows)
    ):
        raise AccessError.forbidden("The token is limited and does not allow this workflow.")
    statements = [register(workflow), call.select("WorkflowPayload", name=workflow.name)]
    outcomes = await tracking.apply(call.services.database, statements, ("input",), final=call.last)
    return [outcomes[-1].text]


async def create_access_token(call: Call) -> Pieces:
    """`createAccessToken`: signed, not stored; never wider or longer than the caller's own."""
    caller = call.principal
    caller.require(Scope.ADMIN)
    if caller.limited:
        raise AccessError.forbidden("A limited token cannot create tokens.")
    request = inputs.parse(inputs.CreateAccessToken, call.arguments["input"])
    expires_at = int(time.time() + request.expires_in / 1000)
    if caller.expires_at is not None:
        expires_at = min(expires_at, caller.expires_at)
    claims = token_claims(request.scopes, request.restrictions, expires_at)
    token = call.services.gatekeeper.issue(claims)
    expires = format_instant(datetime.fromtimestamp(expires_at, UTC))
    return [call.render("AccessTokenPayload", {"token": token, "expiresAt": expires})]
