"""The results of mutations: payloads, expected failures, and their unions."""

from typing import Annotated

import strawberry

from resolvers.base.vocabulary import ErrorCode, InstanceStatus, StepStatus
from resolvers.compiling.planners import expressions as e
from schema.declare import column, given
from schema.objects import Workflow, WorkflowInstance, WorkflowStep
from schema.scalars import DateTime, EventCursor

_CODE = "Stable code, for programs"
_MESSAGE = "What is wrong, for people"


@strawberry.interface(description="An expected failure of a mutation")
class Error:
    code: ErrorCode = strawberry.field(description=_CODE)
    message: str = strawberry.field(description=_MESSAGE)


@strawberry.type(description="A value of the input cannot be accepted; nothing was changed")
class InvalidInput(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)
    path: list[str] = given("Path of the offending field, outermost first")


@strawberry.type(description="No such instance is tracked, or the token does not show it")
class NotFound(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)


@strawberry.type(description="The instance id is taken, and the call asked to fail then")
class InstanceConflict(Error):
    code: ErrorCode = column(e.supplied("code"), _CODE)
    message: str = column(e.supplied("message"), _MESSAGE)
    existing: WorkflowInstance = column(e.same_row(), "The instance that has the id")


@strawberry.type(description="The state does not allow the change; nothing was changed")
class IllegalTransition(Error):
    code: ErrorCode = given(_CODE)
    message: str = given(_MESSAGE)
    from_: InstanceStatus = given(
        "Status the instance has; of a step's update, what the step's status means for it", "from"
    )
    to: InstanceStatus = given("Status that was asked for; likewise")
    step_from: StepStatus | None = given("Status the step has, where its update is refused")
    step_to: StepStatus | None = given("Status that was asked for the step")


@strawberry.type(description="The engine refused, could not be reached, or is not bound")
class EngineUnavailable(Error):
    code: ErrorCode = given(_CODE)
    message: str = given("What is wrong, in the engine's own words where it has any")


@strawberry.type(description="The instance after the change")
class InstancePayload:
    instance: WorkflowInstance = column(e.same_row(), "The instance")


@strawberry.type(description="The step after the change")
class StepPayload:
    step: WorkflowStep = column(e.same_row(), "The step")


@strawberry.type(description="The definition after the change")
class WorkflowPayload:
    workflow: Workflow = column(e.same_row(), "The workflow")


@strawberry.type(description="What a batch of updates did")
class TrackPayload:
    applied: int = given(
        "How many updates changed something; the batch is applied whole or not at all"
    )
    cursor: EventCursor = given(
        "Head of the log after the batch; for a token with restrictions its own last event"
    )


@strawberry.type(description="A new token")
class AccessTokenPayload:
    token: str = given("To be sent as `Authorization: Bearer <token>`; it is not stored")
    expires_at: DateTime = given("When it ends")


StartWorkflowResult = Annotated[
    InstancePayload | InvalidInput | InstanceConflict | EngineUnavailable,
    strawberry.union("StartWorkflowResult", description="What starting came to"),
]
UpdateWorkflowInstanceResult = Annotated[
    InstancePayload | InvalidInput | NotFound | IllegalTransition,
    strawberry.union("UpdateWorkflowInstanceResult", description="What the update came to"),
]
UpdateWorkflowStepResult = Annotated[
    StepPayload | InvalidInput | NotFound | IllegalTransition,
    strawberry.union("UpdateWorkflowStepResult", description="What the update came to"),
]
TrackResult = Annotated[
    TrackPayload | InvalidInput | NotFound | IllegalTransition,
    strawberry.union("TrackResult", description="What the batch came to"),
]
RegisterWorkflowResult = Annotated[
    WorkflowPayload | InvalidInput,
    strawberry.union("RegisterWorkflowResult", description="What registering came to"),
]
InstanceActionResult = Annotated[
    InstancePayload | NotFound | IllegalTransition | EngineUnavailable,
    strawberry.union("InstanceActionResult", description="What the action came to"),
]
CreateAccessTokenResult = Annotated[
    AccessTokenPayload | InvalidInput,
    strawberry.union("CreateAccessTokenResult", description="What creating the token came to"),
]
