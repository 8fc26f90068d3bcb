"""The operations: Query, Mutation and Subscription."""

import strawberry

from resolvers.compiling.planners import events, pages, roots, stats
from resolvers.engine import actions
from resolvers.writing import mutations, starts
from schema.declare import argument, column, mutation
from schema.inputs import (
    CreateAccessTokenInput,
    EventFilter,
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
    InstanceActionResult,
    RegisterWorkflowResult,
    StartWorkflowResult,
    TrackResult,
    UpdateWorkflowInstanceResult,
    UpdateWorkflowStepResult,
)
from schema.scalars import EventCursor


@strawberry.type(description="Reads. A whole operation is one D1 round trip and one snapshot")
class Query:
    node: Node | None = column(
        roots.node, "What has this global id", argument("id", strawberry.ID, "A global id")
    )
    nodes: list[Node | None] = column(
        roots.nodes,
        "What has these global ids, in their order",
        argument("ids", list[strawberry.ID], "Global ids, at most 100"),
    )
    workflow: Workflow | None = column(
        roots.workflow, "A workflow by name", argument("name", str, "Its name")
    )
    workflows: WorkflowConnection = column(
        pages.workflows,
        "All workflows, by name",
        argument("search", str | None, "Prefix of the name"),
        *PAGE_ARGUMENTS,
    )
    instance: WorkflowInstance | None = column(
        roots.instance, "An instance by the engine's id", argument("instance_id", str, "Its id")
    )
    instances: WorkflowInstanceConnection = column(
        pages.instances, "Instances, newest first", *INSTANCE_ARGUMENTS
    )
    reference: Reference = column(
        roots.reference,
        "Never null: what nothing refers to has no instances",
        argument("ref_type", str, "Kind of entity"),
        argument("ref_id", str, "Its id"),
    )
    references: list[Reference] = column(
        roots.references,
        "In the order of `keys`, one for each; looked up together",
        argument("keys", list[ReferenceInput], "Which, at most 1,000"),
    )
    stats: InstanceStats = column(
        stats.of_filter, "Figures", argument("filter", InstanceFilter | None, "For which instances")
    )
    events: WorkflowEventPage = column(
        events.of_log,
        "The log, oldest first",
        argument("filter", EventFilter | None, "Which events"),
        *EVENT_PAGE_ARGUMENTS,
    )


@strawberry.type(description="Writes. Each field is one transaction, its payload included")
class Mutation:
    start_workflow: StartWorkflowResult = mutation(
        starts.start_workflow,
        "Start a workflow; idempotent by instanceId",
        argument("input", StartWorkflowInput, "What to start"),
    )
    start_workflows: list[StartWorkflowResult] = mutation(
        starts.start_workflows,
        "One result for each input, in order; at most 100",
        argument("inputs", list[StartWorkflowInput], "What to start"),
    )
    update_workflow_instance: UpdateWorkflowInstanceResult = mutation(
        mutations.update_workflow_instance,
        "Report on an instance",
        argument("input", UpdateWorkflowInstanceInput, "What is new"),
    )
    update_workflow_step: UpdateWorkflowStepResult = mutation(
        mutations.update_workflow_step,
        "Report on a step",
        argument("input", UpdateWorkflowStepInput, "What is new"),
    )
    track: TrackResult = mutation(
        mutations.track,
        "Several updates in one transaction and one round trip; at most 100",
        argument("updates", list[TrackingUpdate], "The updates, applied in order"),
    )
    register_workflow: RegisterWorkflowResult = mutation(
        mutations.register_workflow,
        "Describe a workflow",
        argument("input", RegisterWorkflowInput, "The definition"),
    )
    pause_workflow: InstanceActionResult = mutation(
        actions.pause_workflow,
        "Have the engine pause an instance",
        argument("input", InstanceActionInput, "Which"),
    )
    resume_workflow: InstanceActionResult = mutation(
        actions.resume_workflow,
        "Have the engine resume an instance",
        argument("input", InstanceActionInput, "Which"),
    )
    terminate_workflow: InstanceActionResult = mutation(
        actions.terminate_workflow,
        "Have the engine end an instance",
        argument("input", InstanceActionInput, "Which"),
    )
    restart_workflow: InstanceActionResult = mutation(
        actions.restart_workflow,
        "Have the engine run an instance from its beginning",
        argument("input", InstanceActionInput, "Which"),
    )
    send_workflow_event: InstanceActionResult = mutation(
        actions.send_workflow_event,
        "Deliver an event to an instance that waits for it",
        argument("input", SendWorkflowEventInput, "The event"),
    )
    create_access_token: CreateAccessTokenResult = mutation(
        mutations.create_access_token,
        "Needs the ADMIN scope",
        argument("input", CreateAccessTokenInput, "What the token allows"),
    )


@strawberry.type(description="Live results, over a WebSocket or as a stream of events")
class Subscription:
    workflow_events: WorkflowEventPage = column(
        events.of_window,
        "Every event that the filter selects, in order and each once. With `after`: first all"
        " that came since that cursor, then live, with no gap; without it: from now on. The cursor"
        " of the last page is what to reconnect with",
        argument("filter", EventFilter | None, "Which events"),
        argument("after", EventCursor | None, "Begin behind this cursor; now where absent"),
    )
    instance: WorkflowInstance | None = column(
        roots.live_instance,
        "The instance as it is now, and again whenever it has changed; null while no such instance"
        " is tracked",
        argument("instance_id", str, "Its id"),
    )
    reference: Reference = column(
        roots.live_reference,
        "The reference as it is now, and again whenever one of its instances has changed",
        argument("ref_type", str, "Kind of entity"),
        argument("ref_id", str, "Its id"),
    )
