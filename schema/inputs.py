"""Input types; `resolvers.writing.inputs` checks their values."""

import strawberry
from strawberry import UNSET

from resolvers.base.vocabulary import (
    Backoff,
    ConflictPolicy,
    EventType,
    InstanceOrderField,
    InstanceStatus,
    OrderDirection,
    OutputKind,
    Scope,
    StepKind,
    StepStatus,
)
from schema import enums  # noqa: F401  # makes the vocabularies GraphQL enums
from schema.scalars import JSON, DateTime, Duration

field = strawberry.field

_WORKFLOW = "Name of the workflow; it is needed only if instances of several workflows have the id"
_RUN = (
    "Number of the run that the report is about; the current run if absent. A report on another"
    " run changes nothing, and the result is RunMismatch"
)

_OUTPUT_KIND = (
    "Kind of `output`; JSON if absent, or none if `output` is null. With UNDEFINED"
    " and REDACTED `output` must be null or absent"
)


@strawberry.input(description="Names an external entity")
class ReferenceInput:
    ref_type: str = field(
        description="Kind of the entity, at most 64 characters, for example `order`"
    )
    ref_id: str = field(description="Id of the entity, at most 256 characters")


@strawberry.input(description="Selects by reference; an absent field matches any value")
class ReferenceFilter:
    ref_type: str | None = field(default=UNSET, description="Kind of the entity")
    ref_id: str | None = field(default=UNSET, description="Id of the entity")


@strawberry.input(description="A span of time; an absent bound leaves that side open")
class DateTimeRange:
    from_: DateTime | None = field(name="from", default=UNSET, description="Start, inclusive")
    to: DateTime | None = field(default=UNSET, description="End, exclusive")


@strawberry.input(description="Selects the instances that match every field given")
class InstanceFilter:
    workflow: list[str] | None = field(
        default=UNSET, description="Instances of any of these workflows; at most 100 names"
    )
    status: list[InstanceStatus] | None = field(
        default=UNSET, description="Instances with any of these statuses"
    )
    reference: ReferenceFilter | None = field(
        default=UNSET, description="Reference of the instance"
    )
    search: str | None = field(
        default=UNSET, description="Prefix of an instance id, a reference id or a workflow name"
    )
    created_at: DateTimeRange | None = field(default=UNSET, description="Created in this span")
    updated_at: DateTimeRange | None = field(default=UNSET, description="Last changed in this span")
    completed_at: DateTimeRange | None = field(default=UNSET, description="Ended in this span")
    retrying: bool | None = field(
        default=UNSET, description="Only instances with a step that waits for its next attempt"
    )
    stalled_for: Duration | None = field(
        default=UNSET,
        description="Only unfinished instances that have not changed for this long",
    )


@strawberry.input(description="Order of a list of instances")
class InstanceOrder:
    field: InstanceOrderField = strawberry.field(
        default=InstanceOrderField.CREATED_AT, description="Field to order by"
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Direction"
    )


@strawberry.input(description="Selects the events that match every field given")
class EventFilter:
    instance_id: str | None = field(
        default=UNSET, description="Events of the instances with this id, of any workflow"
    )
    reference: ReferenceFilter | None = field(
        default=UNSET, description="Events of instances with this reference"
    )
    workflow: list[str] | None = field(
        default=UNSET,
        description="Events of instances of any of these workflows; at most 100 names",
    )
    status: list[InstanceStatus] | None = field(
        default=UNSET, description="Events after which the instance had one of these statuses"
    )
    type: list[EventType] | None = field(default=UNSET, description="Events of any of these types")


@strawberry.input(description="An error; longer texts are cut")
class ErrorInput:
    message: str = field(description="Message, at most 8,192 characters")
    name: str = field(default="Error", description="Class of the error, at most 256 characters")
    stack: str | None = field(default=UNSET, description="Stack trace, at most 32,768 characters")


@strawberry.input(description="Retry policy of a step")
class RetryPolicyInput:
    limit: int = field(description="Retries after the first attempt")
    delay: Duration = field(description="Base delay between attempts")
    backoff: Backoff = field(default=Backoff.EXPONENTIAL, description="Growth of the delay")


@strawberry.input(description="An instance to start")
class StartWorkflowInput:
    workflow: str = field(description="Name of the workflow; an unknown one is registered")
    instance_id: str | None = field(
        default=UNSET, description="Makes the call idempotent; generated if absent"
    )
    reference: ReferenceInput | None = field(default=UNSET, description="Reference of the instance")
    input: JSON | None = field(
        default=UNSET, description="Input of the workflow, at most 512 KiB as JSON"
    )
    metadata: JSON | None = field(
        default=UNSET, description="Metadata of your own, at most 512 KiB as JSON"
    )
    on_conflict: ConflictPolicy = field(
        default=ConflictPolicy.USE_EXISTING,
        description="Behaviour if the workflow has an instance with the id",
    )
    track_only: bool = field(
        default=False,
        description="True to record the instance although no Workflow is bound for it; the"
        " program that executes it reports its progress",
    )


@strawberry.input(description="An instance that somebody else has started in the engine")
class FollowWorkflowInput:
    workflow: str = field(description="Name of the workflow, which must be bound")
    instance_id: str = field(description="Id of the instance in the engine, at most 100 characters")
    reference: ReferenceInput | None = field(
        default=UNSET, description="Reference of the instance; absent or null changes nothing"
    )
    metadata: JSON | None = field(
        default=UNSET,
        description="Merge patch of the metadata (RFC 7396); absent or null changes nothing",
    )


@strawberry.input(
    description=(
        "Creates the instance if it is not tracked yet (`workflow` is required then), otherwise"
        " changes the fields given: an absent field stays unchanged, null clears it. The workflow"
        " of an instance never changes"
    )
)
class UpdateWorkflowInstanceInput:
    instance_id: str = field(description="Id of the instance in the engine, at most 100 characters")
    workflow: str | None = field(
        default=UNSET,
        description="Name of the workflow; it is needed to create the instance, and if instances of"
        " several workflows have the id",
    )
    run: int | None = field(default=UNSET, description=_RUN)
    reference: ReferenceInput | None = field(default=UNSET, description="Reference of the instance")
    status: InstanceStatus | None = field(
        default=UNSET, description="New status, by a legal transition; null changes nothing"
    )
    input: JSON | None = field(default=UNSET, description="Input, at most 512 KiB as JSON")
    output: JSON | None = field(default=UNSET, description="Output, at most 512 KiB as JSON")
    output_kind: OutputKind | None = field(default=UNSET, description=_OUTPUT_KIND)
    error: ErrorInput | None = field(default=UNSET, description="Error that it failed with")
    metadata: JSON | None = field(
        default=UNSET, description="JSON Merge Patch (RFC 7396) that is applied to the metadata"
    )
    sleep_until: DateTime | None = field(
        default=UNSET, description="With SLEEPING: the end of the sleep"
    )


@strawberry.input(
    description=(
        "Creates the step if the run has none of this name and occurrence, otherwise updates it"
    )
)
class UpdateWorkflowStepInput:
    instance_id: str = field(description="Id of the instance")
    workflow: str | None = field(default=UNSET, description=_WORKFLOW)
    run: int | None = field(default=UNSET, description=_RUN)
    name: str = field(
        description="Name of the step, any text. A name that is empty, has more than 256 characters"
        " or contains control characters is stored in a readable form that ends in a checksum"
    )
    occurrence: int = field(
        default=1,
        description="Number of the step among those of the run with this name, from 1",
    )
    status: StepStatus = field(description="New status; CANCELLED cannot be reported")
    index: int | None = field(
        default=UNSET,
        description="Position in the order of execution, from 1; the next one if absent",
    )
    kind: StepKind | None = field(default=UNSET, description="Kind of the step; TASK if absent")
    output: JSON | None = field(
        default=UNSET, description="Output of the step, at most 512 KiB as JSON"
    )
    output_kind: OutputKind | None = field(default=UNSET, description=_OUTPUT_KIND)
    error: ErrorInput | None = field(
        default=UNSET, description="Error that the attempt failed with"
    )
    attempt: int | None = field(
        default=UNSET,
        description="Number of the attempt that is reported, from 1; the current one if absent",
    )
    retry_policy: RetryPolicyInput | None = field(
        default=UNSET, description="Retry policy of the step"
    )
    retry_at: DateTime | None = field(
        default=UNSET, description="With RETRYING: the time of the next attempt"
    )


@strawberry.input(one_of=True, description="One update of a batch; set exactly one field")
class TrackingUpdate:
    instance: UpdateWorkflowInstanceInput | None = field(
        default=UNSET, description="Input of updateWorkflowInstance"
    )
    step: UpdateWorkflowStepInput | None = field(
        default=UNSET, description="Input of updateWorkflowStep"
    )


@strawberry.input(
    description="Definition of a workflow; an absent field stays unchanged, null clears it"
)
class RegisterWorkflowInput:
    name: str = field(description="Name of the workflow, at most 64 characters")
    description: str | None = field(
        default=UNSET, description="Description, at most 4,096 characters"
    )
    metadata: JSON | None = field(
        default=UNSET, description="Metadata of your own, at most 512 KiB as JSON"
    )
    retention_days: int | None = field(
        default=UNSET,
        description="Number of days after which finished instances are removed; null keeps them",
    )
    track_only: bool | None = field(
        default=UNSET,
        description="True to record starts although no Workflow is bound for it; null means false",
    )


@strawberry.input(description="The instance to act on")
class InstanceActionInput:
    instance_id: str = field(description="Id of the instance")
    workflow: str | None = field(default=UNSET, description=_WORKFLOW)


@strawberry.input(description="An event to deliver to an instance")
class SendWorkflowEventInput:
    instance_id: str = field(description="Id of the instance")
    workflow: str | None = field(default=UNSET, description=_WORKFLOW)
    type: str = field(description="Type of the event, at most 100 characters")
    payload: JSON | None = field(
        default=UNSET, description="Payload of the event, at most 512 KiB as JSON"
    )


@strawberry.input(description="Permissions of a new token")
class CreateAccessTokenInput:
    scopes: list[Scope] = field(
        default_factory=lambda: [Scope.READ], description="Scopes of the token"
    )
    reference: ReferenceInput | None = field(
        default=UNSET, description="Restricts the token to one reference"
    )
    workflows: list[str] | None = field(
        default=UNSET, description="Restricts the token to these workflows; at most 100"
    )
    instance_id: str | None = field(
        default=UNSET, description="Restricts the token to one instance"
    )
    workflow: str | None = field(
        default=UNSET,
        description="Workflow of the instance that `instanceId` names; not with `workflows`. If it"
        " is absent, the token is restricted to the workflow that has an instance with the id now,"
        " or to the id alone if none has",
    )
    unrestricted: bool | None = field(
        default=UNSET,
        description="Must be true for a token without reference, workflows and instanceId, whose"
        " scopes then apply to everything; otherwise it must not be true",
    )
    expires_in: Duration = field(
        default=Duration(3_600_000), description="Lifetime, from one minute to 30 days"
    )
