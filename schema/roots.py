"""The operations: Query, Mutation and Subscription."""

import strawberry

from resolvers.compiling.planners import events, pages, roots, stats
from resolvers.engine import actions, handover
from resolvers.writing import mutations, starts
from schema.declare import argument, column, mutation
from schema.inputs import (
    CreateAccessTokenInput,
    EventFilter,
    FollowWorkflowInput,
    InstanceActionInput,
    InstanceFilter,
    ReferenceInput,
    RegisterWorkflowInput,
    SendWorkflowEventInput,
    StartWorkflowInput,
    TrackingUpdate,
    UpdateWorkflowInstanceInput,
    UpdateWorkflowStepInput,
)
from schema.objects import (
    EVENT_PAGE_ARGUMENTS,
    INSTANCE_ARGUMENTS,
    PAGE_ARGUMENTS,
    InstanceStats,
    Node,
    Reference,
    Workflow,
    WorkflowConnection,
    WorkflowEventPage,
    WorkflowInstance,
    WorkflowInstanceConnection,
)
from schema.results import (
    CreateAccessTokenResult,
    FollowWorkflowResult,
    InstanceActionResult,
    RegisterWorkflowResult,
    StartWorkflowResult,
    TrackResult,
    UpdateWorkflowInstanceResult,
    UpdateWorkflowStepResult,
)
from schema.scalars import EventCursor

_INSTANCE = (
    argument("instance_id", str, "Id of the instance"),
    argument("workflow", str | None, "Name of its workflow"),
)


@strawberry.type(
    description="Queries. All fields of an operation are read from one snapshot of the data"
)
class Query:
    node: Node | None = column(
        roots.node, "The object with this global id", argument("id", strawberry.ID, "A global id")
    )
    nodes: list[Node | None] = column(
        roots.nodes,
        "The objects with these global ids, in the same order; null where there is none",
        argument("ids", list[strawberry.ID], "Global ids, at most 100"),
    )
    workflow: Workflow | None = column(
        roots.workflow, "The workflow with this name", argument("name", str, "Name of the workflow")
    )
    workflows: WorkflowConnection = column(
        pages.workflows,
        "All workflows, by name",
        argument("search", str | None, "Prefix of the name"),
        *PAGE_ARGUMENTS,
    )
    instance: WorkflowInstance | None = column(
        roots.instance,
        "The instance with this id in the engine. Without `workflow` the error AMBIGUOUS if"
        " instances of several workflows have the id",
        *_INSTANCE,
    )
    instances: WorkflowInstanceConnection = column(
        pages.instances, "Instances, newest first", *INSTANCE_ARGUMENTS
    )
    reference: Reference = column(
        roots.reference,
        "The reference with this type and id; never null, even if no instance refers to it",
        argument("ref_type", str, "Kind of the entity"),
        argument("ref_id", str, "Id of the entity"),
    )
    references: list[Reference] = column(
        roots.references,
        "One reference for each key, in the order of the keys",
        argument("keys", list[ReferenceInput], "References to find, at most 1,000"),
    )
    stats: InstanceStats = column(
        stats.of_filter,
        "Figures for the selected instances",
        argument("filter", InstanceFilter | None, "Instances to select; all if absent"),
    )
    events: WorkflowEventPage = column(
        events.of_log,
        "The log, oldest first",
        argument("filter", EventFilter | None, "Events to select; all if absent"),
        *EVENT_PAGE_ARGUMENTS,
    )


@strawberry.type(
    description="Mutations. Each field is one transaction, including the read of its payload"
)
class Mutation:
    start_workflow: StartWorkflowResult = mutation(
        starts.start_workflow,
        "Start a workflow; idempotent by workflow and instanceId",
        argument("input", StartWorkflowInput, "The instance to start"),
    )
    start_workflows: list[StartWorkflowResult] = mutation(
        starts.start_workflows,
        "Start several instances, at most 100; one result for each input, in order",
        argument("inputs", list[StartWorkflowInput], "The instances to start"),
    )
    follow_workflow: FollowWorkflowResult = mutation(
        handover.follow_workflow,
        "Follow an instance that somebody else has started in the engine; idempotent",
        argument("input", FollowWorkflowInput, "The instance to follow"),
    )
    update_workflow_instance: UpdateWorkflowInstanceResult = mutation(
        mutations.update_workflow_instance,
        "Report the progress of an instance",
        argument("input", UpdateWorkflowInstanceInput, "The changes"),
    )
    update_workflow_step: UpdateWorkflowStepResult = mutation(
        mutations.update_workflow_step,
        "Report the progress of a step",
        argument("input", UpdateWorkflowStepInput, "The changes"),
    )
    track: TrackResult = mutation(
        mutations.track,
        "Apply several updates in one transaction and one round trip; at most 100",
        argument("updates", list[TrackingUpdate], "The updates, applied in order"),
    )
    register_workflow: RegisterWorkflowResult = mutation(
        mutations.register_workflow,
        "Register a workflow or change its definition",
        argument("input", RegisterWorkflowInput, "The definition"),
    )
    pause_workflow: InstanceActionResult = mutation(
        actions.pause_workflow,
        "Pause an instance in the engine",
        argument("input", InstanceActionInput, "The instance"),
    )
    resume_workflow: InstanceActionResult = mutation(
        actions.resume_workflow,
        "Resume an instance in the engine",
        argument("input", InstanceActionInput, "The instance"),
    )
    terminate_workflow: InstanceActionResult = mutation(
        actions.terminate_workflow,
        "Terminate an instance in the engine",
        argument("input", InstanceActionInput, "The instance"),
    )
    restart_workflow: InstanceActionResult = mutation(
        actions.restart_workflow,
        "Run an instance again from its beginning in the engine, as its next run",
        argument("input", InstanceActionInput, "The instance"),
    )
    send_workflow_event: InstanceActionResult = mutation(
        actions.send_workflow_event,
        "Deliver an event to an instance that waits for it",
        argument("input", SendWorkflowEventInput, "The event"),
    )
    create_access_token: CreateAccessTokenResult = mutation(
        mutations.create_access_token,
        "Create an access token; needs the ADMIN scope",
        argument("input", CreateAccessTokenInput, "Permissions of the token"),
    )


@strawberry.type(description="Subscriptions, over a WebSocket or as server-sent events")
class Subscription:
    workflow_events: WorkflowEventPage = column(
        events.of_window,
        "Every event that the filter selects, in order, exactly once. With `after`: the events"
        " since that cursor and then live ones, without a gap; otherwise live ones only. Use the"
        " cursor of the last page to reconnect",
        argument("filter", EventFilter | None, "Events to select; all if absent"),
        argument("after", EventCursor | None, "Start after this cursor; from now on if absent"),
    )
    instance: WorkflowInstance | None = column(
        roots.live_instance,
        "The instance in its current state, and again whenever it changes; null while no such"
        " instance is tracked. Without `workflow` it ends with the error AMBIGUOUS once instances"
        " of several workflows have the id",
        *_INSTANCE,
    )
    reference: Reference = column(
        roots.live_reference,
        "The reference in its current state, and again whenever an instance of it changes",
        argument("ref_type", str, "Kind of the entity"),
        argument("ref_id", str, "Id of the entity"),
    )
