"""Records the progress of instances and steps, for all mutations that do so."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.access.principals import Principal
from resolvers.base.errors import AccessError
from resolvers.base.limits import MAX_BATCH_ITEMS
from resolvers.compiling.planners.events import cursor_text, own_head
from resolvers.ports.database import Database, DatabaseError, Outcome, Statement
from resolvers.ports.engine import Engine
from resolvers.ports.sql import is_followed
from resolvers.writing import inputs
from resolvers.writing.context import Services
from resolvers.writing.instances import update_instance
from resolvers.writing.refusals import refusal_of
from resolvers.writing.statements import Parameters
from resolvers.writing.steps import update_step


@dataclass(frozen=True, slots=True)
class Recorded:
    """The number of updates that changed something, and the head of the log after them.

    `followed` is true if one of the updates was about an instance that is followed.
    """

    applied: int
    followed: bool
    cursor: str


async def record(
    services: Services, principal: Principal, updates: Sequence[Mapping[str, Any]]
) -> Recorded:
    """Apply `TrackingUpdate`s in one transaction; Refusal if one of them is refused."""
    if len(updates) > MAX_BATCH_ITEMS:
        raise inputs.refuse_over("updates", updates, MAX_BATCH_ITEMS)
    groups = [_statements(update, principal, number) for number, update in enumerate(updates)]
    statements = [statement for group in groups for statement in group]
    instances = {
        (value["instanceId"], value.get("workflow"))
        for update in updates
        for value in update.values()
    }
    outcomes = await apply(
        services.database, [*statements, _head(principal, instances)], ("updates",)
    )
    await follow_inserted(services.engine, statements, outcomes)
    applied, start = 0, 0
    for group in groups:
        applied += any(o.changes for o in outcomes[start : start + len(group)])
        start += len(group)
    cursor, followed = json.loads(outcomes[-1].text)
    return Recorded(applied, bool(followed), cursor)


async def apply(
    database: Database,
    statements: Sequence[Statement],
    path: Sequence[str],
    *,
    final: bool = False,
) -> Sequence[Outcome]:
    """Run the batch of a write; Refusal if its transaction refused itself.

    `path` leads to the batch's input, or to its list of inputs.
    """
    try:
        return await database.batch(statements, final=final)
    except DatabaseError as error:
        refusal = refusal_of(error, path)
        if refusal is None:
            raise
        raise refusal from error


def may_be_followed(engine: Engine, statements: Sequence[Statement]) -> bool:
    """True if a statement may insert an instance whose history the engine has."""
    inserted = [statement.inserts for statement in statements if statement.inserts]
    return engine.follows and any(workflow in engine.workflows for workflow, _ in inserted)


async def follow_inserted(
    engine: Engine, statements: Sequence[Statement], outcomes: Sequence[Outcome]
) -> None:
    """Have the instances followed that the first report on them has inserted."""
    pairs = zip(statements, outcomes, strict=False)
    inserted = [s.inserts for s, outcome in pairs if s.inserts and outcome.changes]
    if inserted:
        await engine.follow(inserted)


def instance_statements(
    update: inputs.UpdateInstance,
    principal: Principal,
    path: Sequence[str],
    *,
    number: int | None = None,
) -> list[Statement]:
    """Make the statements of an instance's update; AccessError if it violates restrictions.

    `number` is its index in a batch.
    """
    restrictions = principal.restrictions
    reference = update.reference.key if update.reference else None
    leaves_reference = (
        restrictions.reference is not None
        and update.has("reference")
        and reference != restrictions.reference
    )
    leaves_workflows = (
        restrictions.workflows is not None
        and update.workflow is not None
        and update.workflow not in restrictions.workflows
    )
    if leaves_reference or leaves_workflows:
        field = ".".join((*path, "reference" if leaves_reference else "workflow"))
        raise AccessError.forbidden(f"The token is restricted and does not allow this {field}.")
    may_create = update.workflow is not None and restrictions.allow(
        instance_id=update.instance_id, workflow=update.workflow, reference=reference
    )
    return update_instance(update, principal, create=may_create, number=number)


def _head(principal: Principal, instances: Iterable[tuple[str, str | None]]) -> Statement:
    """Select the head of the log, or the last event of a caller with restrictions.

    The text is a JSON array of its cursor and 1 if one of the instances is followed, else 0.
    """
    bound = Parameters(principal)
    head = own_head(principal, "i", [f"1{bound.within('i')}"])
    followed = (
        f"EXISTS (SELECT 1 FROM json_each({bound.bind(json.dumps(list(instances)))}) k"
        " CROSS JOIN instances i ON i.instance_id=k.value->>0"
        f" AND i.workflow=coalesce(k.value->>1,i.workflow) WHERE {is_followed('i')}"
        f"{bound.within('i')})"
    )
    return bound.statement(f"SELECT json_array({cursor_text(head)},{followed})")


def _statements(update: Mapping[str, Any], principal: Principal, number: int) -> list[Statement]:
    [(kind, value)] = update.items()
    path = ("updates", str(number), kind)
    if kind == "instance":
        instance = inputs.parse(inputs.UpdateInstance, value, path)
        return instance_statements(instance, principal, path, number=number)
    return update_step(inputs.parse(inputs.UpdateStep, value, path), principal, number=number)
