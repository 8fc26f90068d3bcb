"""Writes to instances: starting and updating.

Example:

    mutation {
      updateWorkflowInstance(input: { instanceId: "i-1", status: PAUSED }) { __typename }
    }

becomes

    UPDATE instances SET status=?1,sleep_until=NULL,updated_at=…,started_at=coalesce(started_at,…)
    WHERE instances.id=(SELECT iif(count(*)<2,max(o.id),NULL)
        FROM instances o WHERE o.instance_id=?2)
    AND (status=?1 OR status IN ('PAUSED','QUEUED','RUNNING',…))
    AND (status,sleep_until) IS NOT (?1,NULL)
    AND NOT (instances.followed IS NOT NULL AND instances.behind_since IS NULL);
    INSERT INTO refusals SELECT json_object('refusal',?2,…,'from',status,'to',?5,…)
    FROM (SELECT i.status AS status,i.run AS run,0 AS metadata,(…) AS followed
        FROM (SELECT 1) LEFT JOIN instances i ON i.id=(…))
    WHERE (status IS NOT ?4 AND NOT followed) OR metadata
"""

from dataclasses import replace

from resolvers.access.principals import Principal
from resolvers.base.limits import MAX_JSON_BYTES, MAX_SAME_ID
from resolvers.base.scrubbing import MARK
from resolvers.base.transitions import TERMINAL, UNSTARTED, sources
from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports import sql
from resolvers.ports.database import Statement
from resolvers.ports.sql import NOW, UNREAD, in_list, literal
from resolvers.writing.inputs import StartWorkflow, UpdateInstance
from resolvers.writing.statements import Parameters, several

# The assignments that begin the next run of an instance; the triggers keep the one before.
NEXT_RUN = (
    "run=run+1,status='QUEUED',output=NULL,output_kind=NULL,error=NULL,started_at=NULL,"
    "completed_at=NULL,sleep_until=NULL"
)

# The input that the engine has to get; NULL if only a scrubbed one is there.
ENGINE_INPUT = (
    f"coalesce(engine_input,iif(instr(input,{literal(MARK)}),NULL,coalesce(input,'null')))"
)
# The fields besides `status` that reports cannot change while the instance is followed, and those
# that they can.
_PROGRESS = ("input", "output", "output_kind", "error", "sleep_until")
_TAKEN = ("instance_id", "workflow", "run", "reference", "metadata")


def select_identified(principal: Principal, instance_id: str, workflow: str | None) -> Statement:
    """Select the visible instances with an id, at most MAX_SAME_ID, as a JSON array.

    Each is an array of its row's id, workflow, run, status and last change. There are several only
    if instances of several workflows have the id and no workflow is given.
    """
    bound = Parameters(principal)
    named = "" if workflow is None else f" AND i.workflow={bound.bind(workflow)}"
    return bound.statement(
        "SELECT json_group_array(json_array(id,workflow,run,status,updated_at)) FROM (SELECT *"
        f" FROM instances i WHERE i.instance_id={bound.bind(instance_id)}{named}"
        f"{bound.within('i')} LIMIT {MAX_SAME_ID})"
    )


def insert_started(
    start: StartWorkflow,
    instance_id: str,
    *,
    needs_registration: bool,
    is_followed: bool,
    engine_input: str | None,
) -> Statement:
    """Insert a QUEUED instance, unless the workflow has one with the id.

    `engine_input` is the input that the engine gets, if it is not the one of `start`.

    Unless the workflow is bound or the input has `trackOnly`, it must be registered with that. One
    that `is_followed` is so from the beginning: reports come before the follower has read anything.
    """
    bound = Parameters()
    ref_type, ref_id = start.reference.key if start.reference else (None, None)
    values = ",".join(
        bound.bind(value)
        for value in (
            instance_id,
            start.workflow,
            ref_type,
            ref_id,
            start.input,
            engine_input,
            start.metadata,
        )
    )
    followed = literal(UNREAD) if is_followed else "NULL"
    where = "1"
    if needs_registration:
        name = bound.bind(start.workflow)
        where = f"EXISTS (SELECT 1 FROM workflows WHERE name={name} AND track_only)"
    return bound.statement(
        "INSERT INTO instances"
        " (instance_id,workflow,ref_type,ref_id,input,engine_input,metadata,status,created_at,"
        "updated_at,followed)"
        f" SELECT {values},'QUEUED',{NOW},{NOW},{followed}"
        f" WHERE {where}"
        " ON CONFLICT (instance_id,workflow) DO NOTHING"
    )


def unfollow_unread(start: StartWorkflow, instance_id: str) -> Statement:
    """Have reports on an instance take effect, as the engine has not accepted it."""
    bound = Parameters()
    found = bound.instance("instances", instance_id, start.workflow)
    return bound.statement(
        f"UPDATE instances SET followed=NULL WHERE {found} AND followed={literal(UNREAD)}"
    )


def awaiting_engine(start: StartWorkflow, instance_id: str) -> Statement:
    """Select the input for the engine of an instance that is still QUEUED.

    The engine may not have got it yet. It is NULL if the engine has it and it is forgotten.
    """
    bound = Parameters()
    return bound.statement(
        f"SELECT {ENGINE_INPUT} FROM instances i"
        f" WHERE {bound.instance('i', instance_id, start.workflow)} AND i.status='QUEUED'"
    )


def forget_engine_input(workflow: str, instance_id: str) -> Statement:
    """Forget the input that the engine has got, if it is not the one that is shown."""
    bound = Parameters()
    return bound.statement(
        "UPDATE instances SET engine_input=NULL"
        f" WHERE {bound.instance('instances', instance_id, workflow)}"
        " AND engine_input IS NOT NULL"
    )


def update_instance(
    update: UpdateInstance, principal: Principal, *, create: bool, number: int | None
) -> list[Statement]:
    """Make the statements of an update: insert (with `create`), change, guard.

    The guard refuses the transaction unless the instance then exists with the requested status,
    and in the run that the update names. `number` is the update's index in a batch, for the path
    of a refusal.

    If the instance is followed, only reference, metadata and the stack of the error are taken, and
    its status is no reason to refuse.
    """
    statements = [insert_reported(update)] if create else []
    if not reports_progress(update):
        statements += _change(update, principal)
    else:
        statements += _change(
            update, principal, condition=f" AND NOT {sql.is_followed('instances')}"
        )
        statements += _change(
            _taken(update), principal, condition=f" AND {sql.is_followed('instances')}"
        )
        statements += _stack(update, principal)
    statements.append(_guard(update, principal, number))
    return statements


def reports_progress(update: UpdateInstance) -> bool:
    """True if the update has fields that an instance that is followed gets from its history."""
    return update.status is not None or any(map(update.has, _PROGRESS))


def _taken(update: UpdateInstance) -> UpdateInstance:
    """The part of an update that has an effect on an instance that is followed."""
    given = {name: getattr(update, name) for name in _TAKEN if update.has(name)}
    return UpdateInstance.model_construct(**given)


def insert_reported(update: UpdateInstance) -> Statement:
    """Insert an instance as an update describes it, unless the workflow has one with the id."""
    assert update.workflow is not None
    bound = Parameters()
    ref_type, ref_id = update.reference.key if update.reference else (None, None)
    status = update.status or InstanceStatus.QUEUED
    # A merge patch on an empty object: RFC 7396 removes the nulls in it.
    metadata = (
        "NULL" if update.metadata is None else f"json_patch('{{}}',{bound.bind(update.metadata)})"
    )
    values = ",".join(
        bound.bind(value)
        for value in (
            update.instance_id,
            update.workflow,
            ref_type,
            ref_id,
            status,
            update.input,
            update.output,
            update.recorded_kind,
            update.error.as_json if update.error else None,
            update.sleep_until,
        )
    )
    run = bound.bind_integer(update.run or 1)
    started = "NULL" if status in UNSTARTED else NOW
    completed = NOW if status in TERMINAL else "NULL"
    statement = bound.statement(
        "INSERT INTO instances (instance_id,workflow,ref_type,ref_id,status,input,output,"
        "output_kind,error,sleep_until,metadata,run,created_at,updated_at,started_at,completed_at)"
        f" VALUES ({values},{metadata},{run},{NOW},{NOW},{started},{completed})"
        " ON CONFLICT (instance_id,workflow) DO NOTHING"
    )
    return replace(statement, inserts=(update.workflow, update.instance_id))


def change_instance(
    update: UpdateInstance, principal: Principal, *, at: str | None = None
) -> Statement | None:
    """Make the statement that changes an instance, unless its status does not allow that.

    `at` is the time of the change, by default the present.
    """
    return next(iter(_change(update, principal, at=at)), None)


def _change(
    update: UpdateInstance, principal: Principal, *, at: str | None = None, condition: str = ""
) -> list[Statement]:
    """Make the statement of `change_instance`, if the update has anything to change.

    `condition` is SQL about the row of the instance.
    """
    bound = Parameters(principal)
    now = NOW if at is None else bound.bind(at)
    changes = {column: bound.bind(value) for column, value in _given(update).items()}
    allowed = ""
    if update.has("metadata"):
        merged = changes["metadata"] = _merged(update.metadata, bound)
        allowed = f" AND coalesce(octet_length({merged}),0)<={MAX_JSON_BYTES}"
    if update.status is not None:
        to = bound.bind(update.status)
        changes["status"] = to
        allowed += f" AND (status={to} OR status IN {in_list(sources(update.status))})"
        if update.status is not InstanceStatus.SLEEPING and not update.has("sleep_until"):
            changes["sleep_until"] = "NULL"
    if not changes:
        return []
    if update.run is not None:
        allowed += f" AND run={bound.bind_integer(update.run)}"
    assignments = [f"{column}={value}" for column, value in changes.items()]
    assignments.append(f"updated_at={now}")
    if update.status is not None:
        if update.status not in UNSTARTED:
            assignments.append(f"started_at=coalesce(started_at,{now})")
        if update.status in TERMINAL:
            assignments.append(f"completed_at=coalesce(completed_at,{now})")
    before = ",".join(changes)
    after = ",".join(changes.values())
    # An update that changes nothing succeeds, but must not set a time or add an event.
    return [
        bound.statement(
            f"UPDATE instances SET {','.join(assignments)}"
            f" WHERE {bound.instance('instances', update.instance_id, update.workflow)}"
            f"{allowed} AND ({before}) IS NOT ({after}){condition}"
        )
    ]


def _stack(update: UpdateInstance, principal: Principal) -> list[Statement]:
    """Keep the stack of the error of a followed instance, whose history has none."""
    error = update.error
    if error is None or error.stack is None:
        return []
    bound = Parameters(principal)
    found = bound.instance("i", update.instance_id, update.workflow)
    if update.run is not None:
        found += f" AND i.run={bound.bind_integer(update.run)}"
    values = f"{bound.bind(error.message)},{bound.bind(error.stack)}"
    return [
        bound.statement(
            "INSERT INTO stacks (instance,run,step,occurrence,attempt,message,stack)"
            f" SELECT i.id,i.run,'',0,0,{values} FROM instances i"
            f" WHERE {found} AND {sql.is_followed('i')}"
            " ON CONFLICT (instance,run,step,occurrence,attempt) DO NOTHING"
        )
    ]


def _given(update: UpdateInstance) -> dict[str, str | None]:
    """The columns that an update gives values for, without metadata and status."""
    columns: dict[str, str | None] = {}
    if update.has("reference"):
        columns["ref_type"], columns["ref_id"] = (
            update.reference.key if update.reference else (None, None)
        )
    if update.has("input"):
        columns["input"] = update.input
    if update.sets_output:
        columns["output"], columns["output_kind"] = update.output, update.recorded_kind
    if update.has("sleep_until"):
        columns["sleep_until"] = update.sleep_until
    if update.has("error"):
        columns["error"] = update.error.as_json if update.error else None
    return columns


def _merged(patch: str | None, bound: Parameters) -> str:
    """SQL of the stored metadata after a merge patch."""
    if patch is None:
        return "NULL"
    return f"json_patch(coalesce(metadata,'{{}}'),{bound.bind(patch)})"


def _guard(update: UpdateInstance, principal: Principal, number: int | None) -> Statement:
    bound = Parameters(principal)
    found = bound.instance("i", update.instance_id, update.workflow)
    by_id, run = bound.bind(update.instance_id), bound.bind_integer(update.run)
    wanted = "status IS NULL"
    if update.status is not None:
        wanted = f"(status IS NOT {bound.bind(update.status)} AND NOT followed)"
    to = bound.bind(update.status or InstanceStatus.UNKNOWN)
    # The patch may have been merged already; merging it again changes nothing.
    too_large = "0"
    if update.metadata is not None:
        too_large = f"octet_length({_merged(update.metadata, bound)})>{MAX_JSON_BYTES}"
    is_several = several(
        principal.restrictions.shape, bound, by_id=by_id, named=update.workflow is not None
    )
    other_run = "" if update.run is None else f" OR run<>{run}"
    return bound.statement(
        f"INSERT INTO refusals SELECT json_object('refusal',{by_id},"
        f"'several',{is_several},'run',{run},'currentRun',run,'from',status,'to',{to},"
        f"'metadata',metadata,'number',{bound.bind_integer(number)})"
        f" FROM (SELECT i.status AS status,i.run AS run,{too_large} AS metadata,"
        f"{sql.is_followed('i')} AS followed FROM (SELECT 1) LEFT JOIN instances i ON {found})"
        f" WHERE {wanted} OR metadata{other_run}"
    )
