"""The object types, each field with its meaning in SQL beside it.

No field here has a resolver: `resolvers.planning` compiles selections of them. Column names are
those of `migrations/`.
"""

import strawberry

from resolvers.base import transitions
from resolvers.base.vocabulary import (
    AttemptStatus,
    Backoff,
    EventType,
    InstanceStatus,
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
    argument("first", int | None, "How many from the start, at most 100; 20 if neither is given"),
    argument("after", str | None, "Start behind this cursor"),
    argument("last", int | None, "How many from the end, at most 100"),
    argument("before", str | None, "End before this cursor"),
)
INSTANCE_ARGUMENTS = (
    argument("filter", InstanceFilter | None, "Which instances"),
    argument("order_by", InstanceOrder | None, "Newest first where absent"),
    *PAGE_ARGUMENTS,
)
EVENT_PAGE_ARGUMENTS = (
    argument("first", int | None, "How many, at most 1,000; 100 where absent"),
    argument("after", EventCursor | None, "Start behind this cursor; at the oldest where absent"),
)

_OF_WORKFLOW = "{r}.workflow={t}.name"
_OF_REFERENCE = "{r}.ref_type={t}.ref_type AND {r}.ref_id={t}.ref_id"


@strawberry.interface(description="Anything with a global id, which `node` looks up")
class Node:
    id: strawberry.ID = strawberry.field(description="Global id")


@strawberry.type(
    description="A workflow definition. Registered by hand, or by the first instance that names it"
)
class Workflow(Node):
    id: strawberry.ID = column(lambda f: global_id("Workflow", f"{f.alias}.name"), "Global id")
    name: str = column(e.text("name"), "Its name, unique")
    description: str | None = column(e.text("description"), "What it is for")
    metadata: JSON | None = column(e.json("metadata"), "Anything kept with it")
    retention_days: int | None = column(
        e.number("retention_days"),
        "Finished instances older than this many days are removed; null keeps them for ever",
    )
    created_at: DateTime = column(e.word("created_at"), "When it was registered")
    updated_at: DateTime = column(e.word("updated_at"), "When the definition last changed")
    latest_instance: "WorkflowInstance | None" = column(
        e.latest_instance(_OF_WORKFLOW), "Its newest instance"
    )
    status_counts: "list[StatusCount]" = column(
        e.workflow_status_counts, "Its instances by status; statuses without any are left out"
    )
    instances: "WorkflowInstanceConnection" = column(
        pages.owned_instances(_OF_WORKFLOW), "Its instances", *INSTANCE_ARGUMENTS
    )


@strawberry.type(
    description="An external entity that workflows work on: an order, a user, a document"
)
class Reference(Node):
    id: strawberry.ID = column(
        lambda f: global_id("Reference", f"{f.alias}.ref_type", f"{f.alias}.ref_id"), "Global id"
    )
    ref_type: str = column(e.text("ref_type"), "Kind of entity")
    ref_id: str = column(e.text("ref_id"), "Its id")
    latest_instance: "WorkflowInstance | None" = column(
        e.latest_instance(_OF_REFERENCE), "The newest instance that works on it"
    )
    status_counts: "list[StatusCount]" = column(
        e.status_counts(_OF_REFERENCE),
        "Instances that work on it, by status; statuses without any are left out",
    )
    instances: "WorkflowInstanceConnection" = column(
        pages.owned_instances(_OF_REFERENCE), "The instances that work on it", *INSTANCE_ARGUMENTS
    )


@strawberry.type(description="How many instances are in a status")
class StatusCount:
    status: InstanceStatus = column(e.word("status"), "The status")
    count: int = column(e.number("count"), "How many are in it")


@strawberry.type(description="One run of a workflow")
class WorkflowInstance(Node):
    id: strawberry.ID = column(
        lambda f: global_id("WorkflowInstance", f"{f.alias}.instance_id"), "Global id"
    )
    instance_id: str = column(
        e.text("instance_id"),
        "The engine's own id for this instance, as its dashboard shows it (at most 100 characters)",
    )
    workflow: Workflow = column(e.workflow_of_instance, "What it runs")
    reference: Reference | None = column(e.same_row("ref_type"), "What it works on")
    status: InstanceStatus = column(e.word("status"), "How it stands")
    input: JSON | None = column(e.json("input"), "What it was given")
    output: JSON | None = column(e.json("output"), "What it returned")
    error: "WorkflowError | None" = column(e.same_row("error"), "Why it failed")
    metadata: JSON | None = column(e.json("metadata"), "Anything kept with it")
    created_at: DateTime = column(e.word("created_at"), "When it was first tracked")
    started_at: DateTime | None = column(e.text("started_at"), "When it first ran")
    updated_at: DateTime = column(e.word("updated_at"), "When it or one of its steps last changed")
    completed_at: DateTime | None = column(e.text("completed_at"), "When it ended, however it did")
    sleep_until: DateTime | None = column(e.text("sleep_until"), "While SLEEPING: until when")
    duration: Duration | None = column(
        e.duration("started_at", "completed_at"),
        "From start to completion; null until both are known",
    )
    steps: "list[WorkflowStep]" = column(
        e.rows_of("steps", "{r}.instance={t}.id", "step_index"), "Its steps in order of execution"
    )
    step: "WorkflowStep | None" = column(
        e.named_step, "One of its steps", argument("name", str, "The step's name")
    )
    events: "WorkflowEventPage" = column(
        event_pages.of_instance, "Its log, oldest first", *EVENT_PAGE_ARGUMENTS
    )
    can_pause: bool = column(
        e.status_in(transitions.PAUSABLE), "Whether its status allows pauseWorkflow"
    )
    can_resume: bool = column(
        e.status_in(transitions.RESUMABLE), "Whether its status allows resumeWorkflow"
    )
    can_terminate: bool = column(
        e.status_in(transitions.TERMINABLE), "Whether its status allows terminateWorkflow"
    )
    can_restart: bool = column(
        e.status_in(transitions.RESTARTABLE), "Whether its status allows restartWorkflow"
    )


@strawberry.type(description="A step of an instance")
class WorkflowStep(Node):
    id: strawberry.ID = column(
        lambda f: global_id(
            "WorkflowStep",
            f"(SELECT instance_id FROM instances WHERE id={f.alias}.instance)",
            f"{f.alias}.name",
        ),
        "Global id",
    )
    instance: WorkflowInstance = column(
        e.row_of("instances", "{r}.id={t}.instance"), "The instance it is a step of"
    )
    name: str = column(e.text("name"), "Its name, unique in the instance")
    index: int = column(e.number("step_index"), "Order of execution, from 1")
    kind: StepKind = column(e.word("kind"), "What it does")
    status: StepStatus = column(e.word("status"), "How it stands")
    output: JSON | None = column(e.json("output"), "What the step returned")
    error: "WorkflowError | None" = column(
        e.same_row("error"), "Why it failed, or why its last attempt did"
    )
    retry_policy: "RetryPolicy | None" = column(e.same_row("retry_limit"), "How it is retried")
    attempts: "list[StepAttempt]" = column(
        e.rows_of("attempts", "{r}.step={t}.id", "number"), "Its attempts, first to last"
    )
    attempt_count: int = column(e.number("attempt"), "How many attempts have begun")
    next_retry_at: DateTime | None = column(
        e.text("next_retry_at"), "While RETRYING: when the next attempt is due"
    )
    started_at: DateTime | None = column(e.text("started_at"), "When its first attempt began")
    completed_at: DateTime | None = column(e.text("completed_at"), "When it completed or failed")
    duration: Duration | None = column(
        e.duration("started_at", "completed_at"),
        "From start to completion, waits between attempts included",
    )


@strawberry.type(description="How a step is retried")
class RetryPolicy:
    limit: int = column(e.number("retry_limit"), "Retries after the first attempt")
    delay: Duration = column(e.number("retry_delay"), "Base delay")
    backoff: Backoff = column(e.word("retry_backoff"), "How the delay grows")


@strawberry.type(description="One attempt at a step")
class StepAttempt:
    number: int = column(e.number("number"), "From 1")
    status: AttemptStatus = column(e.word("status"), "How it stands")
    error: "WorkflowError | None" = column(e.same_row("error"), "Why it failed")
    started_at: DateTime | None = column(
        e.text("started_at"), "When it began, where that was reported"
    )
    ended_at: DateTime | None = column(e.text("ended_at"), "When it ended")
    retry_at: DateTime | None = column(
        e.text("retry_at"),
        "When the next attempt is due, where this one failed and will be retried",
    )


@strawberry.type(description="What went wrong")
class WorkflowError:
    name: str = column(e.member("error", "name"), "Class of the error")
    message: str = column(e.member("error", "message"), "What happened")
    stack: str | None = column(e.member("error", "stack"), "Where, as the workflow reported it")


@strawberry.type(
    description=(
        "One entry of the append-only log; written in the same transaction as the change it records"
    )
)
class WorkflowEvent:
    cursor: EventCursor = column(
        lambda f: word(cursor_text(f"{f.alias}.id")), "Its position in the log"
    )
    type: EventType = column(e.word("type"), "What happened")
    at: DateTime = column(e.word("at"), "When")
    status: InstanceStatus = column(
        e.word("status"), "Status that the instance had once this event was applied"
    )
    instance: WorkflowInstance = column(
        e.row_of("instances", "{r}.id={t}.instance"), "The instance as it is now"
    )
    step: WorkflowStep | None = column(
        e.row_of("steps", "{r}.instance={t}.instance AND {r}.name={t}.step"),
        "The step it speaks of, as it is now; null where a restart has removed it",
    )
    attempt: int | None = column(e.number("attempt"), "Number of the attempt the event speaks of")
    data: JSON | None = column(e.json("data"), "More about it: a failure's `error` and `retryAt`")


@strawberry.type(description="Events in order, and where to go on from")
class WorkflowEventPage:
    events: list[WorkflowEvent] = column(e.assembled, "The events, oldest first")
    cursor: EventCursor = column(e.assembled, "What to ask for the next page with")
    has_more: bool = column(
        e.assembled,
        "True if the log goes on behind `cursor`: with more of these events, or so far that a"
        " filter has not been applied to all of it yet. The next page may then be empty",
    )


@strawberry.type(description="Where a page stands in its list")
class PageInfo:
    has_next_page: bool = column(e.assembled, "Whether more follow")
    has_previous_page: bool = column(e.assembled, "Whether more come before")
    start_cursor: str | None = column(e.assembled, "Cursor of the first; null on an empty page")
    end_cursor: str | None = column(e.assembled, "Cursor of the last; null on an empty page")


@strawberry.type(description="An instance in a list")
class WorkflowInstanceEdge:
    node: WorkflowInstance = column(e.assembled, "The instance")
    cursor: str = column(e.assembled, "Its place in the list")


@strawberry.type(description="A page of instances")
class WorkflowInstanceConnection:
    edges: list[WorkflowInstanceEdge] = column(e.assembled, "The instances with their cursors")
    nodes: list[WorkflowInstance] = column(e.assembled, "The instances")
    page_info: PageInfo = column(e.assembled, "Where the page stands in the list")
    total_count: int = column(e.assembled, "How many on all pages. Counted only when asked for")


@strawberry.type(description="A workflow in a list")
class WorkflowEdge:
    node: Workflow = column(e.assembled, "The workflow")
    cursor: str = column(e.assembled, "Its place in the list")


@strawberry.type(description="A page of workflows")
class WorkflowConnection:
    edges: list[WorkflowEdge] = column(e.assembled, "The workflows with their cursors")
    nodes: list[Workflow] = column(e.assembled, "The workflows")
    page_info: PageInfo = column(e.assembled, "Where the page stands in the list")
    total_count: int = column(e.assembled, "How many on all pages. Counted only when asked for")


@strawberry.type(description="Figures for the instances that a filter selects")
class InstanceStats:
    total: int = column(e.assembled, "How many there are")
    status_counts: list[StatusCount] = column(
        e.assembled, "By status; statuses without any are left out"
    )
    duration_p50: Duration | None = column(e.assembled, "Median duration of completed instances")
    duration_p95: Duration | None = column(
        e.assembled, "What 95 % of completed instances do not exceed"
    )
    retry_count: int = column(e.assembled, "Attempts that failed and were retried")
    timeline: "list[TimelineSlice]" = column(
        e.assembled,
        "Started, completed and errored instances in equal slices of time, oldest first:"
        " of filter.createdAt where it is given, else of the last 24 hours",
        argument("slices", int | None, "How many slices, at most 1,000", 24),
    )


@strawberry.type(description="A slice of the timeline")
class TimelineSlice:
    from_: DateTime = column(e.word("slice_from"), "Its start, inclusive", name="from")
    to: DateTime = column(e.word("slice_to"), "Its end, exclusive")
    started: int = column(e.number("started"), "Instances that started in it")
    completed: int = column(e.number("completed"), "Instances that completed in it")
    errored: int = column(e.number("errored"), "Instances that errored in it")
