"""The object types; each field is declared with its SQL.

No field has a resolver: `resolvers.compiling` compiles selections of them. Column names are those
of `migrations/`.
"""

import strawberry

from resolvers.base import transitions
from resolvers.base.vocabulary import (
    AttemptStatus,
    Backoff,
    EventType,
    Following,
    InstanceStatus,
    OutputKind,
    StepKind,
    StepStatus,
)
from resolvers.compiling.planners import events as event_pages
from resolvers.compiling.planners import expressions as e
from resolvers.compiling.planners import pages
from resolvers.compiling.planners.events import cursor_text
from resolvers.compiling.planners.roots import global_id
from resolvers.ports.sql import word
from schema.declare import argument, column
from schema.inputs import InstanceFilter, InstanceOrder
from schema.scalars import JSON, DateTime, Duration, EventCursor

PAGE_ARGUMENTS = (
    argument(
        "first",
        int | None,
        "Size of a page from the start, at most 100; 20 if neither `first` nor `last` is given",
    ),
    argument("after", str | None, "Return the items after this cursor"),
    argument("last", int | None, "Size of a page from the end, at most 100"),
    argument("before", str | None, "Return the items before this cursor"),
)
INSTANCE_ARGUMENTS = (
    argument("filter", InstanceFilter | None, "Instances to select; all if absent"),
    argument("order_by", InstanceOrder | None, "Order; newest first if absent"),
    *PAGE_ARGUMENTS,
)
EVENT_PAGE_ARGUMENTS = (
    argument("first", int | None, "Size of the page, at most 1,000; 100 if absent"),
    argument(
        "after",
        EventCursor | None,
        "Return the events after this cursor; from the oldest on if absent",
    ),
)

_OF_WORKFLOW = "{r}.workflow={t}.name"
_OF_REFERENCE = "{r}.ref_type={t}.ref_type AND {r}.ref_id={t}.ref_id"


@strawberry.interface(description="An object with a global id, which `node` finds")
class Node:
    id: strawberry.ID = strawberry.field(description="Global id")


@strawberry.type(
    description="A workflow definition, registered by a mutation or by its first instance"
)
class Workflow(Node):
    id: strawberry.ID = column(lambda f: global_id("Workflow", f"{f.alias}.name"), "Global id")
    name: str = column(e.text("name"), "Name, unique")
    description: str | None = column(e.text("description"), "Description")
    metadata: JSON | None = column(e.json("metadata"), "Metadata of your own")
    retention_days: int | None = column(
        e.number("retention_days"),
        "Number of days after which finished instances are removed; null keeps them",
    )
    bound: bool = column(
        e.bound("name"),
        "True if a Workflow is bound for it, so that the engine runs its instances",
    )
    track_only: bool = column(
        e.boolean("track_only"),
        "True if starts are recorded although no Workflow is bound",
    )
    created_at: DateTime = column(e.word("created_at"), "Time of registration")
    updated_at: DateTime = column(e.word("updated_at"), "Time of the last change to the definition")
    latest_instance: "WorkflowInstance | None" = column(
        e.latest_instance(_OF_WORKFLOW), "Newest instance"
    )
    status_counts: "list[StatusCount]" = column(
        e.workflow_status_counts,
        "Number of instances by status; statuses without instances are left out",
    )
    instances: "WorkflowInstanceConnection" = column(
        pages.owned_instances(_OF_WORKFLOW), "Instances of the workflow", *INSTANCE_ARGUMENTS
    )


@strawberry.type(
    description="An external entity that instances are about: an order, a user, a document"
)
class Reference(Node):
    id: strawberry.ID = column(
        lambda f: global_id("Reference", f"{f.alias}.ref_type", f"{f.alias}.ref_id"), "Global id"
    )
    ref_type: str = column(e.text("ref_type"), "Kind of the entity")
    ref_id: str = column(e.text("ref_id"), "Id of the entity")
    latest_instance: "WorkflowInstance | None" = column(
        e.latest_instance(_OF_REFERENCE), "Newest instance with this reference"
    )
    status_counts: "list[StatusCount]" = column(
        e.status_counts(_OF_REFERENCE),
        "Number of instances by status; statuses without instances are left out",
    )
    instances: "WorkflowInstanceConnection" = column(
        pages.owned_instances(_OF_REFERENCE), "Instances with this reference", *INSTANCE_ARGUMENTS
    )


@strawberry.type(description="Number of instances with a status")
class StatusCount:
    status: InstanceStatus = column(e.word("status"), "The status")
    count: int = column(e.number("count"), "Number of instances with it")


@strawberry.type(
    description="An instance of a workflow. It is identified by its workflow and `instanceId`;"
    " instances of other workflows may have the same `instanceId`. Status, output, error, times and"
    " steps are those of its current run"
)
class WorkflowInstance(Node):
    id: strawberry.ID = column(
        lambda f: global_id("WorkflowInstance", f"{f.alias}.workflow", f"{f.alias}.instance_id"),
        "Global id",
    )
    instance_id: str = column(
        e.text("instance_id"),
        "Id of the instance in the engine, as Cloudflare's dashboard shows it; at most 100"
        " characters",
    )
    workflow: Workflow = column(e.workflow_of_instance, "Workflow that it is an instance of")
    bound: bool = column(
        e.bound("workflow"),
        "True if a Workflow is bound for its workflow, so that the engine runs it; otherwise it is"
        " only tracked",
    )
    following: Following = column(
        e.following(),
        "State of the recording of the history that the engine keeps of its current run",
    )
    run: int = column(
        e.number("run"), "Number of the current run, from 1; a restart begins the next one"
    )
    reference: Reference | None = column(e.same_row("ref_type"), "Reference of the instance")
    status: InstanceStatus = column(e.word("status"), "Current status")
    input: JSON | None = column(e.json("input"), "Input")
    output: JSON | None = column(e.json("output"), "Output")
    output_kind: OutputKind | None = column(
        e.text("output_kind"), "Kind of `output`; null if there is none yet"
    )
    error: "WorkflowError | None" = column(e.error("instances"), "Error that it failed with")
    metadata: JSON | None = column(e.json("metadata"), "Metadata of your own")
    created_at: DateTime = column(e.word("created_at"), "Time at which tracking started")
    started_at: DateTime | None = column(e.text("started_at"), "Time at which it started to run")
    updated_at: DateTime = column(
        e.word("updated_at"), "Time of the last change to it or one of its steps"
    )
    completed_at: DateTime | None = column(
        e.text("completed_at"), "Time at which it ended, with any status"
    )
    sleep_until: DateTime | None = column(
        e.text("sleep_until"), "While SLEEPING: the end of the sleep"
    )
    duration: Duration | None = column(
        e.duration("started_at", "completed_at"),
        "Time from start to end; null until both are known",
    )
    steps: "list[WorkflowStep]" = column(
        e.rows_of("steps", "{r}.instance={t}.id AND {r}.run={t}.run", order_by="step_index"),
        "Steps in the order of execution",
    )
    step: "WorkflowStep | None" = column(
        e.named_step,
        "The step with this name",
        argument("name", str, "Name of the step"),
        argument("occurrence", int, "Number of the step among those with the name, from 1", 1),
        argument("run", int | None, "Number of its run; the current one if absent"),
    )
    runs: "list[WorkflowRun]" = column(
        e.runs,
        "Runs, newest first; the first is the current one",
        argument("first", int | None, "Number of runs, at most 100; 20 if absent"),
        argument("before", int | None, "Return the runs before the one with this number"),
    )
    events: "WorkflowEventPage" = column(
        event_pages.of_instance, "Events of the instance, oldest first", *EVENT_PAGE_ARGUMENTS
    )
    can_pause: bool = column(
        e.status_in(transitions.PAUSABLE), "True if its status allows pauseWorkflow"
    )
    can_resume: bool = column(
        e.status_in(transitions.RESUMABLE), "True if its status allows resumeWorkflow"
    )
    can_terminate: bool = column(
        e.status_in(transitions.TERMINABLE), "True if its status allows terminateWorkflow"
    )
    can_restart: bool = column(
        e.status_in(transitions.RESTARTABLE), "True if its status allows restartWorkflow"
    )


@strawberry.type(description="One run of an instance, from a start or restart to its end")
class WorkflowRun:
    number: int = column(e.number("run"), "Number of the run, from 1")
    status: InstanceStatus = column(
        e.word("status"),
        "Current status, or the one that the run ended with; TERMINATED if a restart ended it",
    )
    output: JSON | None = column(e.json("output"), "Output")
    output_kind: OutputKind | None = column(
        e.text("output_kind"), "Kind of `output`; null if there is none yet"
    )
    error: "WorkflowError | None" = column(e.error("runs"), "Error that it failed with")
    started_at: DateTime | None = column(e.text("started_at"), "Time at which it started to run")
    completed_at: DateTime | None = column(
        e.text("completed_at"), "Time at which it ended, with any status"
    )
    duration: Duration | None = column(
        e.duration("started_at", "completed_at"),
        "Time from start to end; null until both are known",
    )
    steps: "list[WorkflowStep]" = column(
        e.rows_of("steps", "{r}.instance={t}.instance AND {r}.run={t}.run", order_by="step_index"),
        "Steps in the order of execution",
    )


@strawberry.type(
    description="A step. It is identified in a run by its name and its occurrence: a loop may use a"
    " name again"
)
class WorkflowStep(Node):
    id: strawberry.ID = column(
        lambda f: global_id(
            "WorkflowStep",
            f"(SELECT workflow FROM instances WHERE id={f.alias}.instance)",
            f"(SELECT instance_id FROM instances WHERE id={f.alias}.instance)",
            f"{f.alias}.run",
            f"{f.alias}.name",
            f"{f.alias}.occurrence",
        ),
        "Global id",
    )
    instance: WorkflowInstance = column(
        e.row_of("instances", "{r}.id={t}.instance"), "Instance that the step belongs to"
    )
    run: int = column(e.number("run"), "Number of the run that the step belongs to, from 1")
    name: str = column(e.text("name"), "Name")
    occurrence: int = column(
        e.number("occurrence"), "Number of the step among those of the run with its name, from 1"
    )
    index: int = column(e.number("step_index"), "Position in the order of execution, from 1")
    kind: StepKind = column(e.word("kind"), "Kind of the step")
    status: StepStatus = column(e.word("status"), "Current status")
    output: JSON | None = column(e.json("output"), "Output of the step")
    output_kind: OutputKind | None = column(
        e.text("output_kind"), "Kind of `output`; null if there is none yet"
    )
    error: "WorkflowError | None" = column(
        e.error("steps"), "Error of the step, or of its last attempt"
    )
    retry_policy: "RetryPolicy | None" = column(e.same_row("retry_limit"), "Retry policy")
    attempts: "list[StepAttempt]" = column(
        e.rows_of("attempts", "{r}.step={t}.id", order_by="number"), "Attempts, first to last"
    )
    attempt_count: int = column(e.number("attempt"), "Number of attempts that have started")
    next_retry_at: DateTime | None = column(
        e.text("next_retry_at"), "While RETRYING: the time of the next attempt"
    )
    started_at: DateTime | None = column(
        e.text("started_at"), "Time at which the first attempt started"
    )
    completed_at: DateTime | None = column(
        e.text("completed_at"), "Time at which it completed, failed or was cancelled"
    )
    duration: Duration | None = column(
        e.duration("started_at", "completed_at"),
        "Time from start to end, including the delays between attempts",
    )


@strawberry.type(description="Retry policy of a step")
class RetryPolicy:
    limit: int = column(e.number("retry_limit"), "Retries after the first attempt")
    delay: Duration = column(e.number("retry_delay"), "Base delay between attempts")
    backoff: Backoff = column(e.word("retry_backoff"), "Growth of the delay")


@strawberry.type(description="One attempt at a step")
class StepAttempt:
    number: int = column(e.number("number"), "Number of the attempt, from 1")
    status: AttemptStatus = column(e.word("status"), "Current status")
    error: "WorkflowError | None" = column(e.error("attempts"), "Error that it failed with")
    started_at: DateTime | None = column(
        e.text("started_at"), "Time at which it started, if that was reported"
    )
    ended_at: DateTime | None = column(e.text("ended_at"), "Time at which it ended")
    retry_at: DateTime | None = column(
        e.text("retry_at"),
        "Time of the next attempt, if this one failed and will be retried",
    )


@strawberry.type(description="An error")
class WorkflowError:
    name: str = column(e.member("error", "name"), "Class of the error")
    message: str = column(e.member("error", "message"), "Message")
    stack: str | None = column(
        e.member("error", "stack"), "Stack trace, as the workflow reported it"
    )


@strawberry.type(
    description=(
        "An entry of the append-only log, written in the transaction of the change that it records"
    )
)
class WorkflowEvent:
    cursor: EventCursor = column(
        lambda f: word(cursor_text(f"{f.alias}.id")), "Position in the log"
    )
    type: EventType = column(e.word("type"), "Type of the event")
    at: DateTime = column(e.word("at"), "Time of the event")
    status: InstanceStatus = column(e.word("status"), "Status of the instance after this event")
    instance: WorkflowInstance = column(
        e.row_of("instances", "{r}.id={t}.instance"), "The instance, in its current state"
    )
    run: int = column(e.number("run"), "Number of the run that the event belongs to")
    step: WorkflowStep | None = column(
        e.row_of(
            "steps",
            "{r}.instance={t}.instance AND {r}.run={t}.run AND {r}.name={t}.step"
            " AND {r}.occurrence={t}.occurrence",
        ),
        "The step that the event is about, in its current state",
    )
    attempt: int | None = column(
        e.number("attempt"), "Number of the attempt that the event is about"
    )
    data: JSON | None = column(e.json("data"), "Details: the `error` and `retryAt` of a failure")


@strawberry.type(description="A page of events, in order")
class WorkflowEventPage:
    events: list[WorkflowEvent] = column(e.assembled, "The events, oldest first")
    cursor: EventCursor = column(e.assembled, "Cursor for `after` to get the next page")
    has_more: bool = column(
        e.assembled,
        "True if the log continues after `cursor`: with more of these events, or with a part that"
        " the filter has not been applied to yet, so the next page may be empty",
    )


@strawberry.type(description="Position of a page in its list")
class PageInfo:
    has_next_page: bool = column(e.assembled, "True if there are items after this page")
    has_previous_page: bool = column(e.assembled, "True if there are items before this page")
    start_cursor: str | None = column(
        e.assembled, "Cursor of the first item; null if the page is empty"
    )
    end_cursor: str | None = column(
        e.assembled, "Cursor of the last item; null if the page is empty"
    )


@strawberry.type(description="An instance in a list")
class WorkflowInstanceEdge:
    node: WorkflowInstance = column(e.assembled, "The instance")
    cursor: str = column(e.assembled, "Cursor of the item")


@strawberry.type(description="A page of instances")
class WorkflowInstanceConnection:
    edges: list[WorkflowInstanceEdge] = column(e.assembled, "The instances with their cursors")
    nodes: list[WorkflowInstance] = column(e.assembled, "The instances")
    page_info: PageInfo = column(e.assembled, "Position of the page in the list")
    total_count: int = column(e.assembled, "Number of items on all pages; counted only if selected")


@strawberry.type(description="A workflow in a list")
class WorkflowEdge:
    node: Workflow = column(e.assembled, "The workflow")
    cursor: str = column(e.assembled, "Cursor of the item")


@strawberry.type(description="A page of workflows")
class WorkflowConnection:
    edges: list[WorkflowEdge] = column(e.assembled, "The workflows with their cursors")
    nodes: list[Workflow] = column(e.assembled, "The workflows")
    page_info: PageInfo = column(e.assembled, "Position of the page in the list")
    total_count: int = column(e.assembled, "Number of items on all pages; counted only if selected")


@strawberry.type(description="Figures for the instances that a filter selects")
class InstanceStats:
    total: int = column(e.assembled, "Number of instances")
    status_counts: list[StatusCount] = column(
        e.assembled, "Number of instances by status; statuses without instances are left out"
    )
    duration_p50: Duration | None = column(e.assembled, "Median duration of completed instances")
    duration_p95: Duration | None = column(
        e.assembled, "Duration that 95 % of completed instances do not exceed"
    )
    retry_count: int = column(e.assembled, "Number of attempts that failed and were retried")
    timeline: "list[TimelineSlice]" = column(
        e.assembled,
        "Numbers of started, completed and errored instances in equal slices of time, oldest first:"
        " slices of filter.createdAt if it is given, otherwise of the last 24 hours",
        argument("slices", int | None, "Number of slices, at most 1,000", 24),
    )


@strawberry.type(description="A slice of the timeline")
class TimelineSlice:
    from_: DateTime = column(e.word("slice_from"), "Start, inclusive", name="from")
    to: DateTime = column(e.word("slice_to"), "End, exclusive")
    started: int = column(e.number("started"), "Number of instances that started in it")
    completed: int = column(e.number("completed"), "Number of instances that completed in it")
    errored: int = column(e.number("errored"), "Number of instances that errored in it")
