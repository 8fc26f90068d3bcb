"""Writes to steps: creating and updating one, with the attempt that the update is about.

Example:

    mutation {
      updateWorkflowStep(input: { instanceId: "i-1", name: "pay", status: COMPLETED }) {
        __typename
      }
    }

becomes

    INSERT INTO steps (instance,run,step_index,name,occurrence,kind,status,…) SELECT i.id,i.run,…
    FROM instances i WHERE i.id=(SELECT iif(count(*)<2,max(o.id),NULL)
        FROM instances o WHERE o.instance_id=?12)
    AND NOT (i.followed IS NOT NULL AND i.behind_since IS NULL)
    ON CONFLICT (instance,run,name,occurrence) DO UPDATE SET status=excluded.status,…,error=NULL
    WHERE steps.status NOT IN ('COMPLETED','FAILED')
    AND (…,4)>(steps.attempt,CASE steps.status WHEN 'PENDING' THEN 0 …)…
    ON CONFLICT (instance,run,step_index) DO NOTHING
"""

from dataclasses import dataclass
from functools import lru_cache

from resolvers.access.principals import Principal, RestrictionsShape
from resolvers.base.limits import MAX_ATTEMPT, MAX_STEP_INDEX, WRITE_CACHE_SIZE
from resolvers.base.transitions import STEP_ENDED, STEP_RANK, STEP_TERMINAL, TERMINAL
from resolvers.base.vocabulary import StepKind, StepStatus
from resolvers.ports.database import Statement
from resolvers.ports.sql import NOW, in_list, is_followed
from resolvers.writing.inputs import UpdateStep
from resolvers.writing.statements import (
    Names,
    Template,
    instance,
    restriction_values,
    several,
)

_TERMINAL = in_list(sorted(TERMINAL))
_STEP_TERMINAL = in_list(sorted(STEP_TERMINAL))
_STEP_ENDED = in_list(sorted(STEP_ENDED))
_RANK = (
    "CASE steps.status " + " ".join(f"WHEN '{s}' THEN {r}" for s, r in STEP_RANK.items()) + " END"
)
# The current attempt of a step that has not ended by a report has failed.
_HAS_FAILED = (
    "(steps.status='RETRYING' OR (steps.status='CANCELLED' AND EXISTS (SELECT 1 FROM attempts a"
    " WHERE a.step=steps.id AND a.number=steps.attempt AND a.status='FAILED')))"
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The part of an update and its caller that the text of the statements depends on."""

    status: StepStatus
    workflow: bool
    run: bool
    index: bool
    attempt: bool
    kind: bool
    policy: bool
    output: bool
    error: bool
    failed_attempt: bool
    stack: bool
    # It is not a report: the engine's history gives the time.
    at: bool
    restrictions: RestrictionsShape


def update_step(
    update: UpdateStep,
    principal: Principal,
    *,
    number: int | None = None,
    at: str | None = None,
) -> list[Statement]:
    """Make the statements of an update: the upsert of the step, and the guard.

    The guard refuses the transaction unless the step then is as requested. `number` is the
    update's index in a batch, for the path of a refusal, and `at` the time of the change, by
    default the present. If the update has the error of a failed attempt, a third statement gives
    the error to that attempt if a later one began before.

    Without `at` it is a report, which neither changes nor refuses anything if the instance is
    followed; a last statement then keeps the stack of its error.
    """
    status, policy = update.status, update.retry_policy
    kind = update.kind or StepKind.TASK
    # A pending step has not begun an attempt. A step that is not a task has attempts only if it is
    # retried.
    has_attempts = kind is StepKind.TASK or status is StepStatus.RETRYING
    first = 0 if status is StepStatus.PENDING else update.attempt or int(has_attempts)
    shape = _Shape(
        status,
        workflow=update.workflow is not None,
        run=update.run is not None,
        index=update.index is not None,
        attempt=update.attempt is not None,
        kind=update.kind is not None,
        policy=policy is not None,
        output=update.sets_output,
        error=update.has("error"),
        failed_attempt=update.failed_attempt is not None,
        stack=update.error is not None and update.error.stack is not None and at is None,
        at=at is not None,
        restrictions=principal.restrictions.shape,
    )
    values = {
        "instance_id": update.instance_id,
        "workflow": update.workflow,
        "run": update.run,
        "name": update.name,
        "occurrence": update.occurrence,
        "status": status,
        "index": update.index,
        "kind": kind,
        "output": update.output,
        "output_kind": update.recorded_kind,
        "error": update.error.as_json if update.error else None,
        "message": update.error.message if update.error else None,
        "stack": update.error.stack if update.error else None,
        "retry_limit": policy.limit if policy else None,
        "retry_delay": policy.delay if policy else None,
        "retry_backoff": policy.backoff if policy else None,
        "attempt": update.attempt,
        "first_attempt": first,
        "retry_at": update.retry_at if status is StepStatus.RETRYING else None,
        "number": number,
        "at": at,
        **restriction_values(principal.restrictions),
    }
    templates = [_upsert(shape), _guard(shape)]
    if shape.failed_attempt:
        templates.append(_late_failure(shape))
    if shape.stack:
        templates.append(_stack(shape))
    return [template.fill(values) for template in templates]


@lru_cache(WRITE_CACHE_SIZE)
def _upsert(shape: _Shape) -> Template:
    names = Names()
    status, now = shape.status, _now(shape, names)
    columns = {
        "instance": "i.id",
        "run": "i.run",
        "step_index": (
            names.integer("index")
            if shape.index
            else "(SELECT min(coalesce(max(s.step_index),0)+1,"
            f"{MAX_STEP_INDEX}) FROM steps s WHERE s.instance=i.id AND s.run=i.run)"
        ),
        "name": names.add("name"),
        "occurrence": names.integer("occurrence"),
        "kind": names.add("kind"),
        "status": names.add("status"),
        "output": names.add("output"),
        "output_kind": names.add("output_kind"),
        # As below: a step that has completed has no error.
        "error": "NULL" if status is StepStatus.COMPLETED else names.add("error"),
        "retry_limit": names.integer("retry_limit"),
        "retry_delay": names.integer("retry_delay"),
        "retry_backoff": names.add("retry_backoff"),
        "attempt": names.integer("first_attempt"),
        "next_retry_at": names.add("retry_at"),
        "started_at": "NULL" if status is StepStatus.PENDING else now,
        "completed_at": now if status in STEP_TERMINAL else "NULL",
        "updated_at": now,
    }
    attempt = _attempt(shape, names)
    changes = {
        "status": "excluded.status",
        "attempt": attempt,
        "next_retry_at": "excluded.next_retry_at",
        "started_at": "coalesce(steps.started_at,excluded.started_at)",
        "completed_at": "excluded.completed_at",
        "updated_at": "excluded.updated_at",
    }
    if shape.output:
        # A step that is known to be sensitive never gets an output, whoever reports it.
        changes["output"] = "iif(steps.output_kind IS 'REDACTED',NULL,excluded.output)"
        changes["output_kind"] = (
            "iif(steps.output_kind IS 'REDACTED','REDACTED',excluded.output_kind)"
        )
    if shape.kind:
        changes["kind"] = "excluded.kind"
    if shape.policy:
        for column in ("retry_limit", "retry_delay", "retry_backoff"):
            changes[column] = f"excluded.{column}"
    # A step keeps the error of its last failed attempt until it completes.
    if status is StepStatus.COMPLETED:
        changes["error"] = "NULL"
    elif shape.error:
        changes["error"] = "excluded.error"
    assignments = ",".join(f"{column}={value}" for column, value in changes.items())
    succeeds = ""
    if status is StepStatus.COMPLETED and shape.attempt:
        # If the current attempt has failed, only a later one can complete.
        succeeds = f" AND ({attempt}>steps.attempt OR NOT {_HAS_FAILED})"
    elif status in (StepStatus.RUNNING, StepStatus.COMPLETED):
        succeeds = f" AND {attempt}<={MAX_ATTEMPT}"
    # The end of a step may be reported after that of its instance, but none may begin. With the
    # engine's time, it has begun before.
    alive, ended = "", _STEP_TERMINAL
    if status not in STEP_TERMINAL:
        ended = _STEP_ENDED
        if not shape.at:
            alive = f" AND i.status NOT IN {_TERMINAL}"
    return names.template(
        f"INSERT INTO steps ({','.join(columns)}) SELECT {','.join(columns.values())}"
        f" FROM instances i WHERE {_instance(shape, names)}{alive}{_unfollowed(shape)}"
        f" ON CONFLICT (instance,run,name,occurrence) DO UPDATE SET {assignments}"
        f" WHERE steps.status NOT IN {ended}"
        f" AND ({attempt},{STEP_RANK[status]})>(steps.attempt,{_RANK}){succeeds}"
        # The guard reports that another step has the index.
        " ON CONFLICT (instance,run,step_index) DO NOTHING"
    )


def _now(shape: _Shape, names: Names) -> str:
    return names.add("at") if shape.at else NOW


def _unfollowed(shape: _Shape) -> str:
    """SQL of the condition that a report is not about an instance `i` that is followed."""
    return "" if shape.at else f" AND NOT {is_followed('i')}"


def _instance(shape: _Shape, names: Names, *, any_run: bool = False) -> str:
    """SQL that selects `i`, the instance of the update, unless that names another run."""
    by_id = names.add("instance_id")
    by_workflow = names.add("workflow") if shape.workflow else None
    found = instance(shape.restrictions, "i", names, by_id=by_id, by_workflow=by_workflow)
    return found if any_run or not shape.run else f"{found} AND i.run={names.integer('run')}"


def _attempt(shape: _Shape, names: Names) -> str:
    """SQL of the attempt that the update is about, which may depend on the stored step."""
    if shape.status is StepStatus.PENDING:
        return "steps.attempt"
    if shape.attempt:
        return names.integer("attempt")
    if shape.status is StepStatus.RETRYING:
        return "max(steps.attempt,1)"
    current = "iif(steps.kind='TASK',max(steps.attempt,1),steps.attempt)"
    if shape.status in (StepStatus.RUNNING, StepStatus.COMPLETED):
        # If the current attempt has failed, the update is about the next one. Only the end of a
        # CANCELLED step is taken.
        ends = shape.status is StepStatus.COMPLETED
        has_failed = _HAS_FAILED if ends else "steps.status='RETRYING'"
        return f"iif({has_failed},steps.attempt+1,{current})"
    return current


@lru_cache(WRITE_CACHE_SIZE)
def _guard(shape: _Shape) -> Template:
    names = Names()
    by_id, name, to = (names.add(n) for n in ("instance_id", "name", "status"))
    attempt, run = names.integer("attempt"), names.integer("run")
    occurrence = names.integer("occurrence")
    index = names.integer("index") if shape.index else str(MAX_STEP_INDEX)
    late = ""
    if shape.attempt and shape.status in (StepStatus.RUNNING, StepStatus.RETRYING):
        # A report about an earlier attempt succeeds: it is a repetition, or arrived late.
        late = f" OR (s.status NOT IN {_STEP_ENDED} AND {attempt}<=s.attempt)"
    if shape.failed_attempt:
        late += f" OR {attempt}<s.attempt"
    is_several = several(shape.restrictions, names, by_id=by_id, named=shape.workflow)
    other_run = f" OR i.run<>{run}" if shape.run else ""
    return names.template(
        f"INSERT INTO refusals SELECT json_object('refusal',{by_id},'several',{is_several},"
        f"'run',{run},'currentRun',i.run,'from',i.status,'to',{to},'step',{name},"
        f"'occurrence',{occurrence},'stepFrom',s.status,'attempt',{attempt},'current',s.attempt,"
        f"'number',{names.integer('number')},"
        "'index',(SELECT t.step_index FROM steps t"
        f" WHERE t.instance=i.id AND t.run=i.run AND t.step_index={index}))"
        f" FROM (SELECT 1) LEFT JOIN instances i ON {_instance(shape, names, any_run=True)}"
        f" LEFT JOIN steps s ON s.instance=i.id AND s.run=i.run AND s.name={name}"
        f" AND s.occurrence={occurrence}"
        f" WHERE (s.status={to}{late}) IS NOT 1{_unfollowed(shape)}{other_run}"
    )


@lru_cache(WRITE_CACHE_SIZE)
def _late_failure(shape: _Shape) -> Template:
    """Give an attempt that a later one has overtaken its error, unless it has one."""
    names = Names()
    attempt = names.integer("attempt")
    return names.template(
        f"UPDATE attempts SET error={names.add('error')},"
        f"ended_at=coalesce(ended_at,{_now(shape, names)}),"
        f"retry_at=coalesce(retry_at,{names.add('retry_at')})"
        " WHERE step=(SELECT s.id FROM instances i JOIN steps s ON s.instance=i.id AND s.run=i.run"
        f" WHERE {_instance(shape, names)}{_unfollowed(shape)} AND s.name={names.add('name')}"
        f" AND s.occurrence={names.integer('occurrence')} AND s.attempt>{attempt})"
        f" AND number={attempt} AND status='FAILED' AND error IS NULL"
    )


@lru_cache(WRITE_CACHE_SIZE)
def _stack(shape: _Shape) -> Template:
    """Keep the stack of an error of a followed instance, whose history has none."""
    names = Names()
    columns = {
        "instance": "i.id",
        "run": "i.run",
        "step": names.add("name"),
        "occurrence": names.integer("occurrence"),
        "attempt": names.integer("attempt") if shape.attempt else "0",
        "message": names.add("message"),
        "stack": names.add("stack"),
    }
    return names.template(
        f"INSERT INTO stacks ({','.join(columns)}) SELECT {','.join(columns.values())}"
        f" FROM instances i WHERE {_instance(shape, names)} AND {is_followed('i')}"
        " ON CONFLICT (instance,run,step,occurrence,attempt) DO NOTHING"
    )
