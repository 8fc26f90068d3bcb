"""Writes to steps: created or moved on, with the attempt the update speaks of."""

from resolvers.access import Principal
from resolvers.database import Statement
from resolvers.sql import NOW, in_list
from resolvers.transitions import STEP_RANK, STEP_TERMINAL, TERMINAL
from resolvers.vocabulary import StepKind, StepStatus
from resolvers.writes.inputs import UpdateStep
from resolvers.writes.statements import Parameters, within

_TERMINAL = in_list(sorted(TERMINAL))
_STEP_TERMINAL = in_list(sorted(STEP_TERMINAL))
_RANK = (
    "CASE steps.status " + " ".join(f"WHEN '{s}' THEN {r}" for s, r in STEP_RANK.items()) + " END"
)


def update_step(update: UpdateStep, principal: Principal) -> list[Statement]:
    """Create or move the step, and refuse the transaction unless it then stands as asked."""
    return [_upsert(update, principal), _guard(update, principal)]


def _upsert(update: UpdateStep, principal: Principal) -> Statement:
    bound = Parameters()
    status = update.status
    policy = update.retry_policy
    is_task = (update.kind or StepKind.TASK) is StepKind.TASK
    # What is pending has begun no attempt, whichever it will be; what is retried makes attempts,
    # whatever it is.
    tries = is_task or status is StepStatus.RETRYING
    first = 0 if status is StepStatus.PENDING else update.attempt or int(tries)
    index = (
        f"CAST({bound.add(update.index)} AS INTEGER)"
        if update.index is not None
        else "(SELECT coalesce(max(s.step_index),0)+1 FROM steps s WHERE s.instance=i.id)"
    )
    retrying = status is StepStatus.RETRYING
    columns = {
        "instance": "i.id",
        "step_index": index,
        "name": bound.add(update.name),
        "kind": bound.add(update.kind or StepKind.TASK),
        "status": bound.add(status),
        "output": bound.add(update.output),
        "error": bound.add(update.error.as_json if update.error else None),
        "retry_limit": bound.integer(policy.limit if policy else None),
        "retry_delay": bound.integer(policy.delay if policy else None),
        "retry_backoff": bound.add(policy.backoff if policy else None),
        "attempt": bound.integer(first),
        "next_retry_at": bound.add(update.retry_at if retrying else None),
        "started_at": "NULL" if status is StepStatus.PENDING else "at",
        "completed_at": "at" if status in STEP_TERMINAL else "NULL",
        "updated_at": "at",
    }
    attempt = _attempt(update, bound)
    changes = {
        "status": "excluded.status",
        "attempt": attempt,
        "next_retry_at": "excluded.next_retry_at",
        "started_at": "coalesce(steps.started_at,excluded.started_at)",
        "completed_at": "excluded.completed_at",
        "updated_at": "excluded.updated_at",
        # A step that goes on keeps the error of the attempt before, until it succeeds.
        "error": (
            "NULL"
            if status is StepStatus.COMPLETED
            else "excluded.error"
            if update.given("error")
            else "steps.error"
        ),
    }
    if update.given("output"):
        changes["output"] = "excluded.output"
    if update.kind is not None:
        changes["kind"] = "excluded.kind"
    if policy is not None:
        for column in ("retry_limit", "retry_delay", "retry_backoff"):
            changes[column] = f"excluded.{column}"
    assignments = ",".join(f"{column}={value}" for column, value in changes.items())
    # A finished instance takes the end of what was under way, but begins nothing new.
    if status is StepStatus.COMPLETED and update.attempt is not None:
        # RETRYING says that the current attempt has failed: only a later one can complete.
        succeeds = f" AND (steps.status<>'RETRYING' OR {attempt}>steps.attempt)"
    else:
        succeeds = ""
    alive = "" if status in STEP_TERMINAL else f" AND i.status NOT IN {_TERMINAL}"
    return bound.statement(
        f"INSERT INTO steps ({','.join(columns)}) SELECT {','.join(columns.values())}"
        f" FROM instances i,(SELECT {NOW} AS at)"
        f" WHERE i.instance_id={bound.add(update.instance_id)}"
        f"{within(principal, 'i', bound)}{alive}"
        f" ON CONFLICT (instance,name) DO UPDATE SET {assignments}"
        f" WHERE steps.status NOT IN {_STEP_TERMINAL}"
        f" AND ({attempt},{STEP_RANK[status]})>(steps.attempt,{_RANK}){succeeds}"
    )


def _attempt(update: UpdateStep, bound: Parameters) -> str:
    """The attempt the update speaks of, given the step as it stands."""
    if update.status is StepStatus.PENDING:
        return "steps.attempt"
    if update.attempt is not None:
        return bound.integer(update.attempt)
    if update.status is StepStatus.RETRYING:
        return "max(steps.attempt,1)"
    current = "iif(steps.kind='TASK',max(steps.attempt,1),steps.attempt)"
    if update.status in (StepStatus.RUNNING, StepStatus.COMPLETED):
        # The current attempt has failed, so it is the next one that runs or has completed.
        return f"iif(steps.status='RETRYING',steps.attempt+1,{current})"
    return current


def _guard(update: UpdateStep, principal: Principal) -> Statement:
    bound = Parameters()
    by_id, name, to = (bound.add(v) for v in (update.instance_id, update.name, update.status))
    late = ""
    if update.attempt is not None and update.status in (StepStatus.RUNNING, StepStatus.RETRYING):
        # News of an attempt that is past is answered: it was told before, or overtaken.
        attempt = bound.integer(update.attempt)
        late = f" OR (s.status NOT IN {_STEP_TERMINAL} AND {attempt}<=s.attempt)"
    attempt = bound.integer(update.attempt)
    return bound.statement(
        f"INSERT INTO refusals SELECT json_object('refusal',{by_id},'from',i.status,'to',{to},"
        f"'step',{name},'stepFrom',s.status,'attempt',{attempt})"
        " FROM (SELECT 1) LEFT JOIN instances i"
        f" ON i.instance_id={by_id}{within(principal, 'i', bound)}"
        f" LEFT JOIN steps s ON s.instance=i.id AND s.name={name}"
        f" WHERE (s.status={to}{late}) IS NOT 1"
    )
