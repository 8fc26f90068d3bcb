"""The inputs of mutations as pydantic models.

GraphQL has already checked the types; the models check lengths, characters and sizes. JSON values
become their canonical text here, once.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from resolvers.access.principals import Restrictions
from resolvers.base import limits
from resolvers.base.errors import Refusal, invalid_input
from resolvers.base.json_text import encode, encode_value
from resolvers.base.names import UNPRINTABLE, UNPRINTABLE_MESSAGE, step_name
from resolvers.base.vocabulary import (
    Backoff,
    ConflictPolicy,
    ErrorCode,
    InstanceStatus,
    OutputKind,
    Scope,
    StepKind,
    StepStatus,
)

_TOO_LARGE = "payload_too_large"
_UNRESTRICTED = "unrestricted"


def json_text(value: object) -> str:
    """Return the compact JSON of a value; ValueError if it is too large, too deep or not JSON."""
    _refuse_deep(value)
    try:
        text = encode_value(value)
        size = len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate can only be stored as an escape sequence
        text = encode(value)
        size = len(text)
    if size > limits.MAX_JSON_BYTES:
        raise PydanticCustomError(
            _TOO_LARGE,
            "the value has {size} bytes as JSON; the limit is {limit} (MAX_JSON_BYTES)",
            {"size": size, "limit": limits.MAX_JSON_BYTES},
        )
    return text


def _refuse_deep(value: object) -> None:
    level = [value]
    for _ in range(limits.MAX_JSON_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise PydanticCustomError(
        "json_depth",
        "JSON must be nested at most {limit} levels deep (MAX_JSON_DEPTH)",
        {"limit": limits.MAX_JSON_DEPTH},
    )


def _printable(value: str) -> str:
    if UNPRINTABLE.search(value):
        raise PydanticCustomError("characters", UNPRINTABLE_MESSAGE)
    return value


def _cut(limit: int) -> BeforeValidator:
    """Cut long diagnostics instead of refusing them: the failure itself must be recorded."""

    def cut(value: object) -> object:
        if isinstance(value, str):
            value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            if len(value) > limit:
                return value[: limit - 1] + "…"
        return value

    return BeforeValidator(cut)


def _nullable_json(value: object) -> object:
    return None if value is None else json_text(value)


_PRINTABLE = AfterValidator(_printable)
WorkflowName = Annotated[str, Field(min_length=1, max_length=limits.MAX_WORKFLOW_NAME), _PRINTABLE]
InstanceId = Annotated[str, Field(min_length=1, max_length=limits.MAX_INSTANCE_ID), _PRINTABLE]
StepName = Annotated[str, BeforeValidator(step_name)]
Run = Annotated[int, Field(ge=1, le=limits.MAX_RUN)]
Json = Annotated[str | None, BeforeValidator(_nullable_json)]
Milliseconds = Annotated[int, Field(ge=0, le=limits.MAX_DURATION_MS)]


class Input(BaseModel):
    """Base of all inputs; camelCase names of GraphQL become Python's."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    def has(self, name: str) -> bool:
        """True if the caller has set this field, to null too."""
        return name in self.model_fields_set


class ReferenceInput(Input):
    """An external entity."""

    ref_type: Annotated[str, Field(min_length=1, max_length=limits.MAX_REF_TYPE), _PRINTABLE]
    ref_id: Annotated[str, Field(min_length=1, max_length=limits.MAX_REF_ID), _PRINTABLE]

    @property
    def key(self) -> tuple[str, str]:
        """The pair (type, id)."""
        return (self.ref_type, self.ref_id)


class ErrorInput(Input):
    """An error of an instance or a step; texts that are too long are cut."""

    name: Annotated[str, _cut(limits.MAX_ERROR_NAME)] = "Error"
    message: Annotated[str, _cut(limits.MAX_ERROR_MESSAGE)]
    stack: Annotated[str | None, _cut(limits.MAX_ERROR_STACK)] = None

    @property
    def as_json(self) -> str:
        """The JSON text that is stored."""
        return json.dumps(
            {"name": self.name, "message": self.message, "stack": self.stack}, ensure_ascii=False
        )


class RetryPolicyInput(Input):
    """The retry policy of a step."""

    limit: Annotated[int, Field(ge=0, le=limits.MAX_RETRIES)]
    delay: Milliseconds
    backoff: Backoff = Backoff.EXPONENTIAL


class StartWorkflow(Input):
    """`StartWorkflowInput`."""

    workflow: WorkflowName
    instance_id: InstanceId | None = None
    reference: ReferenceInput | None = None
    input: Json = None
    metadata: Json = None
    on_conflict: ConflictPolicy = ConflictPolicy.USE_EXISTING
    track_only: bool = False


class FollowWorkflow(Input):
    """`FollowWorkflowInput`."""

    workflow: WorkflowName
    instance_id: InstanceId
    reference: ReferenceInput | None = None
    metadata: Json = None


class Report(Input):
    """The part of an update that is about the output."""

    output: Json = None
    output_kind: OutputKind | None = None

    @property
    def sets_output(self) -> bool:
        """True if the update sets or clears the output."""
        return self.has("output") or self.output_kind is not None

    @property
    def recorded_kind(self) -> OutputKind | None:
        """The kind that the output is recorded with, None if there is none afterwards."""
        if self.output_kind is not None or self.output is None:
            return self.output_kind
        return OutputKind.JSON

    @field_validator("output_kind")
    @classmethod
    def _without_output(cls, kind: OutputKind | None, given: ValidationInfo) -> OutputKind | None:
        is_none = kind in (OutputKind.UNDEFINED, OutputKind.REDACTED)
        if is_none and given.data.get("output") is not None:
            raise PydanticCustomError(
                "no_output", "{kind} needs an output that is null or absent", {"kind": kind}
            )
        return kind


class UpdateInstance(Report):
    """`UpdateWorkflowInstanceInput`."""

    instance_id: InstanceId
    workflow: WorkflowName | None = None
    run: Run | None = None
    reference: ReferenceInput | None = None
    status: InstanceStatus | None = None
    input: Json = None
    error: ErrorInput | None = None
    metadata: Json = None
    sleep_until: str | None = None


class UpdateStep(Report):
    """`UpdateWorkflowStepInput`."""

    instance_id: InstanceId
    workflow: WorkflowName | None = None
    run: Run | None = None
    name: StepName
    occurrence: Annotated[int, Field(ge=1, le=limits.MAX_STEP_INDEX)] = 1
    index: Annotated[int, Field(ge=1, le=limits.MAX_STEP_INDEX)] | None = None
    kind: StepKind | None = None
    status: StepStatus
    error: ErrorInput | None = None
    attempt: Annotated[int, Field(ge=1, le=limits.MAX_ATTEMPT)] | None = None
    retry_policy: RetryPolicyInput | None = None
    retry_at: str | None = None

    @field_validator("status")
    @classmethod
    def _reportable(cls, status: StepStatus) -> StepStatus:
        if status is StepStatus.CANCELLED:
            raise PydanticCustomError(
                "cancelled",
                "CANCELLED cannot be reported: Flowflare sets it when the instance ends before the"
                " step; accepted are PENDING, RUNNING, RETRYING, COMPLETED and FAILED",
            )
        return status

    @property
    def failed_attempt(self) -> int | None:
        """The attempt that the update says has failed, if it names that and gives its error."""
        is_failure = self.status in (StepStatus.RETRYING, StepStatus.FAILED)
        return self.attempt if is_failure and self.error is not None else None


class RegisterWorkflow(Input):
    """`RegisterWorkflowInput`."""

    name: WorkflowName
    description: Annotated[str, Field(max_length=limits.MAX_DESCRIPTION)] | None = None
    metadata: Json = None
    retention_days: Annotated[int, Field(ge=1, le=limits.MAX_RETENTION_DAYS)] | None = None
    track_only: bool | None = None


class InstanceAction(Input):
    """`InstanceActionInput`."""

    instance_id: InstanceId
    workflow: WorkflowName | None = None


class SendEvent(InstanceAction):
    """`SendWorkflowEventInput`."""

    type: Annotated[str, Field(min_length=1, max_length=limits.MAX_EVENT_TYPE), _PRINTABLE]
    payload: Json = None


class CreateAccessToken(Input):
    """`CreateAccessTokenInput`."""

    scopes: Annotated[list[Scope], Field(min_length=1)] = [Scope.READ]
    reference: ReferenceInput | None = None
    workflows: (
        Annotated[list[WorkflowName], Field(max_length=limits.MAX_TOKEN_WORKFLOWS)] | None
    ) = None
    instance_id: InstanceId | None = None
    workflow: WorkflowName | None = None
    unrestricted: bool | None = None
    expires_in: Annotated[
        int, Field(ge=limits.MIN_TOKEN_LIFETIME_MS, le=limits.MAX_TOKEN_LIFETIME_MS)
    ] = 3_600_000

    @property
    def restrictions(self) -> Restrictions:
        """The restrictions of the token."""
        workflows = self.workflows if self.workflow is None else [self.workflow]
        return Restrictions(
            self.reference.key if self.reference else None,
            tuple(workflows) if workflows is not None else None,
            self.instance_id,
        )

    @field_validator("workflow")
    @classmethod
    def _of_instance(cls, workflow: str | None, given: ValidationInfo) -> str | None:
        if workflow is not None:
            if given.data.get("instance_id") is None:
                raise PydanticCustomError("no_instance", "is accepted only with instanceId")
            if given.data.get("workflows") is not None:
                raise PydanticCustomError(
                    "two_workflows", "cannot be given together with workflows"
                )
        return workflow

    @model_validator(mode="after")
    def _restricted(self) -> Self:
        """Refuse a token without restrictions unless `unrestricted` is set."""
        if bool(self.unrestricted) is any(self.restrictions.shape):
            raise PydanticCustomError(
                _UNRESTRICTED,
                "must be true for a token without reference, workflows and instanceId,"
                " and only then",
            )
        return self


T = TypeVar("T", bound=Input)


def parse(model: type[T], value: Mapping[str, Any], path: Sequence[str] = ("input",)) -> T:
    """Validate an input; Refusal (InvalidInput) for the first field that is not valid."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field_path = [*path, *(str(part) for part in problem["loc"])]
        if problem["type"] == _UNRESTRICTED:
            # This problem is reported for the whole input.
            field_path.append(_UNRESTRICTED)
        too_large = problem["type"] == _TOO_LARGE
        raise invalid_input(
            f"{'.'.join(field_path)}: {problem['msg']}",
            field_path,
            code=ErrorCode.PAYLOAD_TOO_LARGE if too_large else ErrorCode.INVALID_INPUT,
        ) from error


def refuse_over(name: str, values: Sequence[object], limit: int) -> Refusal:
    """Make an InvalidInput for a list that is too long."""
    return invalid_input(f"{name}: has {len(values)} items; the limit is {limit}", [name])
