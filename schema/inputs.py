"""Input types, as the contract words them; `resolvers.writes.inputs` checks their values."""

import strawberry
from strawberry import UNSET

from resolvers.base.vocabulary import (
    Backoff,
    ConflictPolicy,
    EventType,
    InstanceOrderField,
    InstanceStatus,
    OrderDirection,
    Scope,
    StepKind,
    StepStatus,
)
from schema import enums  # noqa: F401  # makes the vocabularies GraphQL enums
from schema.scalars import JSON, DateTime, Duration

field = strawberry.field


@strawberry.input(description="Names an external entity")
class ReferenceInput:
    ref_type: str = field(description="Kind of entity, at most 64 characters: order")
    ref_id: str = field(description="Its id, at most 256 characters")


@strawberry.input(description="Selects by reference; what is absent matches any")
class ReferenceFilter:
    ref_type: str | None = field(default=UNSET, description="Kind of entity")
    ref_id: str | None = field(default=UNSET, description="Its id")


@strawberry.input(description="A span of time; an absent end is open")
class DateTimeRange:
    from_: DateTime | None = field(name="from", default=UNSET, description="Inclusive")
    to: DateTime | None = field(default=UNSET, description="Exclusive")


@strawberry.input(description="Selects instances for which every given member holds")
class InstanceFilter:
    workflow: list[str] | None = field(
        default=UNSET, description="Names of workflows, any of them; at most 100"
    )
    status: list[InstanceStatus] | None = field(default=UNSET, description="Any of these")
    reference: ReferenceFilter | None = field(default=UNSET, description="What it works on")
    search: str | None = field(
        default=UNSET, description="Prefix of an instance id, a reference id or a workflow name"
    )
    created_at: DateTimeRange | None = field(default=UNSET, description="When it was created")
    updated_at: DateTimeRange | None = field(default=UNSET, description="When it last changed")
    completed_at: DateTimeRange | None = field(default=UNSET, description="When it ended")
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
        default=InstanceOrderField.CREATED_AT, description="By what"
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Which way"
    )


@strawberry.input(description="Selects events for which every given member holds")
class EventFilter:
    instance_id: str | None = field(default=UNSET, description="Events of this instance")
    reference: ReferenceFilter | None = field(
        default=UNSET, description="Of instances that work on this"
    )
    workflow: list[str] | None = field(default=UNSET, description="Of these workflows; at most 100")
    status: list[InstanceStatus] | None = field(
        default=UNSET, description="That left the instance in one of these"
    )
    type: list[EventType] | None = field(default=UNSET, description="Of these types")


@strawberry.input(description="What went wrong; over-long texts are cut")
class ErrorInput:
    message: str = field(description="What happened, at most 8,192 characters")
    name: str = field(default="Error", description="Class of the error, at most 256 characters")
    stack: str | None = field(default=UNSET, description="Where, at most 32,768 characters")


@strawberry.input(description="How a step is retried")
class RetryPolicyInput:
    limit: int = field(description="Retries after the first attempt")
    delay: Duration = field(description="Base delay")
    backoff: Backoff = field(default=Backoff.EXPONENTIAL, description="How the delay grows")


@strawberry.input(description="What to start")
class StartWorkflowInput:
    workflow: str = field(description="Name of the workflow; an unknown one is registered")
    instance_id: str | None = field(
        default=UNSET, description="Makes the call idempotent; generated if absent"
    )
    reference: ReferenceInput | None = field(default=UNSET, description="What it works on")
    input: JSON | None = field(default=UNSET, description="What the workflow is given; 512 KiB")
    metadata: JSON | None = field(default=UNSET, description="Anything to keep with it; 512 KiB")
    on_conflict: ConflictPolicy = field(
        default=ConflictPolicy.USE_EXISTING, description="If the instance id is taken"
    )


@strawberry.input(
    description=(
        "Creates the instance where it is not yet tracked (then `workflow` is required), else"
        " changes what is given: absent means unchanged, null clears"
    )
)
class UpdateWorkflowInstanceInput:
    instance_id: str = field(description="The engine's own id; at most 100 characters")
    workflow: str | None = field(default=UNSET, description="Its workflow; null changes nothing")
    reference: ReferenceInput | None = field(default=UNSET, description="What it works on")
    status: InstanceStatus | None = field(
        default=UNSET, description="Its new status, by a legal transition; null changes nothing"
    )
    input: JSON | None = field(default=UNSET, description="What it was given; 512 KiB")
    output: JSON | None = field(default=UNSET, description="What it returned; 512 KiB")
    error: ErrorInput | None = field(default=UNSET, description="Why it failed")
    metadata: JSON | None = field(
        default=UNSET, description="JSON Merge Patch (RFC 7396) on what is there"
    )
    sleep_until: DateTime | None = field(default=UNSET, description="With SLEEPING: until when")


@strawberry.input(
    description="Creates the step where the instance has none of this name, else moves it on"
)
class UpdateWorkflowStepInput:
    instance_id: str = field(description="The instance's id")
    name: str = field(description="The step's name, at most 256 characters")
    status: StepStatus = field(description="Its new status")
    index: int | None = field(
        default=UNSET, description="Place in the order of execution, from 1; the next if absent"
    )
    kind: StepKind | None = field(default=UNSET, description="TASK if absent")
    output: JSON | None = field(default=UNSET, description="What the step returned; 512 KiB")
    error: ErrorInput | None = field(default=UNSET, description="Why the attempt failed")
    attempt: int | None = field(
        default=UNSET,
        description="Attempt the update speaks of, from 1; the current one if absent",
    )
    retry_policy: RetryPolicyInput | None = field(default=UNSET, description="How it is retried")
    retry_at: DateTime | None = field(
        default=UNSET, description="With RETRYING: when the next attempt is due"
    )


@strawberry.input(one_of=True, description="One update of a batch: exactly one field is set")
class TrackingUpdate:
    instance: UpdateWorkflowInstanceInput | None = field(
        default=UNSET, description="As updateWorkflowInstance takes it"
    )
    step: UpdateWorkflowStepInput | None = field(
        default=UNSET, description="As updateWorkflowStep takes it"
    )


@strawberry.input(description="A workflow's definition; what is absent stays, null clears")
class RegisterWorkflowInput:
    name: str = field(description="Its name, at most 64 characters")
    description: str | None = field(default=UNSET, description="At most 4,096 characters")
    metadata: JSON | None = field(default=UNSET, description="Anything to keep with it; 512 KiB")
    retention_days: int | None = field(
        default=UNSET, description="Finished instances older than this are removed; null: never"
    )


@strawberry.input(description="Which instance to act on")
class InstanceActionInput:
    instance_id: str = field(description="The instance's id")


@strawberry.input(description="An event for an instance that waits for it")
class SendWorkflowEventInput:
    instance_id: str = field(description="The instance's id")
    type: str = field(description="The event's type, at most 100 characters")
    payload: JSON | None = field(default=UNSET, description="What the event carries; 512 KiB")


@strawberry.input(description="What a new token allows")
class CreateAccessTokenInput:
    scopes: list[Scope] = field(default_factory=lambda: [Scope.READ], description="What it may do")
    reference: ReferenceInput | None = field(
        default=UNSET, description="Restricts the token to one reference"
    )
    workflows: list[str] | None = field(
        default=UNSET, description="Restricts the token to these workflows; at most 100"
    )
    instance_id: str | None = field(
        default=UNSET, description="Restricts the token to one instance"
    )
    unrestricted: bool | None = field(
        default=UNSET,
        description="Must be true for a token without reference, workflows and instanceId, which"
        " allows its scopes on everything; and only then",
    )
    expires_in: Duration = field(
        default=Duration(3_600_000), description="At least a minute, at most 30 days"
    )
