"""The results of mutations: payloads, expected failures, and their unions."""

from typing import Annotated

import strawberry

from resolvers.base.vocabulary import ErrorCode, InstanceStatus, StepStatus
from resolvers.compiling.planners import expressions as e
from schema.declare import column, given
from schema.objects import Workflow, WorkflowInstance, WorkflowStep
from schema.scalars import DateTime, EventCursor

_CODE = "Stable code for programs"
_MESSAGE = "Explanation for people"


@strawberry.interface(description="An expected failure of a mutation")
class Error:
    code: ErrorCode = strawberry.field(description=_CODE)
    message: str = strawberry.field(description=_MESSAGE)


@strawberry.type(description="A value of the input is not acceptable; nothing was changed")
class InvalidInput(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)
    path: list[str] = given("Path of the invalid field, outermost first")


@strawberry.type(
    description="No such instance is tracked, or it is not visible to the token. For"
    " followWorkflow: the engine has no such instance"
)
class NotFound(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)


@strawberry.type(
    description="Instances of several workflows have the id; give `workflow`. Nothing was changed"
)
class AmbiguousInstance(Error):
    code: ErrorCode = column(e.supplied("code"), _CODE)
    message: str = column(e.supplied("message"), _MESSAGE)
    instances: list[WorkflowInstance] = column(
        e.instances_with_id, "The instances that have the id, by workflow; at most 100"
    )


@strawberry.type(
    description="No Workflow is bound for the name, so nothing would run the instance; nothing was"
    " changed"
)
class UnboundWorkflow(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)
    suggestions: list[str] = given("Similar names that are bound, the most similar first")


@strawberry.type(
    description="The report is about another run than the current one; nothing was changed"
)
class RunMismatch(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)
    run: int = given("Number of the current run")


@strawberry.type(
    description="The engine's history of the instance is recorded, so reports on it have no effect:"
    " only reference, metadata and the stack of an error were taken"
)
class InstanceFollowed(Error):
    code: ErrorCode = column(e.supplied("code"), _CODE)
    message: str = column(e.supplied("message"), _MESSAGE)
    instance: WorkflowInstance = column(e.same_row(), "The instance")


@strawberry.type(description="The workflow has an instance with the id and onConflict was FAIL")
class InstanceConflict(Error):
    code: ErrorCode = column(e.supplied("code"), _CODE)
    message: str = column(e.supplied("message"), _MESSAGE)
    existing: WorkflowInstance = column(e.same_row(), "The instance that has the id")


@strawberry.type(description="The current status does not allow the change; nothing was changed")
class IllegalTransition(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)
    from_: InstanceStatus = given(
        "Status of the instance; for an update of a step, the instance status that corresponds to"
        " the status of the step",
        "from",
    )
    to: InstanceStatus = given("Requested status, as an instance status in the same way")
    step_from: StepStatus | None = given("Status of the step, if its update was refused")
    step_to: StepStatus | None = given("Requested status of the step")


@strawberry.type(description="The engine refused, could not be reached, or has no bound Workflow")
class EngineUnavailable(Error):
    code: ErrorCode = given(_CODE)
    message: str = given("Explanation, with the engine's own message if there is one")


@strawberry.type(description="The instance after the change")
class InstancePayload:
    instance: WorkflowInstance = column(e.same_row(), "The instance")


@strawberry.type(description="The step after the change")
class StepPayload:
    step: WorkflowStep = column(e.same_row(), "The step")


@strawberry.type(description="The definition after the change")
class WorkflowPayload:
    workflow: Workflow = column(e.same_row(), "The workflow")


@strawberry.type(description="Result of a batch of updates")
class TrackPayload:
    applied: int = given(
        "Number of updates that changed something; the batch is applied completely or not at all"
    )
    followed: bool = given(
        "True if an update was about an instance that is followed, on which reports have no effect"
    )
    cursor: EventCursor = given(
        "Head of the log after the batch; for a token with restrictions, its own last event"
    )


@strawberry.type(description="A new token")
class AccessTokenPayload:
    token: str = given("The token, to send as `Authorization: Bearer <token>`; it is not stored")
    expires_at: DateTime = given("Time at which it expires")


StartWorkflowResult = Annotated[
    InstancePayload | InvalidInput | InstanceConflict | UnboundWorkflow | EngineUnavailable,
    strawberry.union("StartWorkflowResult", description="Result of startWorkflow"),
]
FollowWorkflowResult = Annotated[
    InstancePayload | InvalidInput | NotFound | UnboundWorkflow | EngineUnavailable,
    strawberry.union("FollowWorkflowResult", description="Result of followWorkflow"),
]
UpdateWorkflowInstanceResult = Annotated[
    InstancePayload
    | InstanceFollowed
    | InvalidInput
    | NotFound
    | AmbiguousInstance
    | RunMismatch
    | IllegalTransition,
    strawberry.union(
        "UpdateWorkflowInstanceResult", description="Result of updateWorkflowInstance"
    ),
]
UpdateWorkflowStepResult = Annotated[
    StepPayload
    | InstanceFollowed
    | InvalidInput
    | NotFound
    | AmbiguousInstance
    | RunMismatch
    | IllegalTransition,
    strawberry.union("UpdateWorkflowStepResult", description="Result of updateWorkflowStep"),
]
TrackResult = Annotated[
    TrackPayload | InvalidInput | NotFound | AmbiguousInstance | RunMismatch | IllegalTransition,
    strawberry.union("TrackResult", description="Result of track"),
]
RegisterWorkflowResult = Annotated[
    WorkflowPayload | InvalidInput,
    strawberry.union("RegisterWorkflowResult", description="Result of registerWorkflow"),
]
InstanceActionResult = Annotated[
    InstancePayload | NotFound | AmbiguousInstance | IllegalTransition | EngineUnavailable,
    strawberry.union("InstanceActionResult", description="Result of an action on an instance"),
]
CreateAccessTokenResult = Annotated[
    AccessTokenPayload | InvalidInput | AmbiguousInstance,
    strawberry.union("CreateAccessTokenResult", description="Result of createAccessToken"),
]
