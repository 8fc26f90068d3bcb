"""The vocabularies, each defined once; the GraphQL enums are made from them.

The CHECKs of `migrations/` must repeat them; a test compares the two.
"""

from enum import StrEnum


class InstanceStatus(StrEnum):
    """State of one workflow instance.

    Every status Cloudflare Workflows reports maps to one of these without loss.
    """

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SLEEPING = "SLEEPING"
    WAITING = "WAITING"
    WAITING_FOR_PAUSE = "WAITING_FOR_PAUSE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    ERRORED = "ERRORED"
    TERMINATED = "TERMINATED"
    UNKNOWN = "UNKNOWN"


class Following(StrEnum):
    """State of the recording of an instance's history in the engine."""

    FOLLOWED = "FOLLOWED"
    BEHIND = "BEHIND"
    NOT_FOLLOWED = "NOT_FOLLOWED"


class StepStatus(StrEnum):
    """State of one step."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class StepKind(StrEnum):
    """Kind of a step: work, a sleep, or a wait for an event."""

    TASK = "TASK"
    SLEEP = "SLEEP"
    WAIT_FOR_EVENT = "WAIT_FOR_EVENT"


class AttemptStatus(StrEnum):
    """State of one attempt at a step."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class OutputKind(StrEnum):
    """Relation of a recorded output to the result (docs/values.md)."""

    JSON = "JSON"
    UNDEFINED = "UNDEFINED"
    CONVERTED = "CONVERTED"
    TRUNCATED = "TRUNCATED"
    UNSERIALIZABLE = "UNSERIALIZABLE"
    REDACTED = "REDACTED"
    SCRUBBED = "SCRUBBED"


class Backoff(StrEnum):
    """Growth of the delay between attempts."""

    CONSTANT = "CONSTANT"
    LINEAR = "LINEAR"
    EXPONENTIAL = "EXPONENTIAL"


class EventType(StrEnum):
    """Type of an entry of the log."""

    INSTANCE_QUEUED = "INSTANCE_QUEUED"
    INSTANCE_STARTED = "INSTANCE_STARTED"
    INSTANCE_SLEEPING = "INSTANCE_SLEEPING"
    INSTANCE_WAITING = "INSTANCE_WAITING"
    INSTANCE_PAUSED = "INSTANCE_PAUSED"
    INSTANCE_RESUMED = "INSTANCE_RESUMED"
    INSTANCE_COMPLETED = "INSTANCE_COMPLETED"
    INSTANCE_ERRORED = "INSTANCE_ERRORED"
    INSTANCE_TERMINATED = "INSTANCE_TERMINATED"
    INSTANCE_RESTARTED = "INSTANCE_RESTARTED"
    INSTANCE_UPDATED = "INSTANCE_UPDATED"
    STEP_STARTED = "STEP_STARTED"
    STEP_COMPLETED = "STEP_COMPLETED"
    STEP_FAILED = "STEP_FAILED"
    STEP_CANCELLED = "STEP_CANCELLED"
    ATTEMPT_STARTED = "ATTEMPT_STARTED"
    ATTEMPT_FAILED = "ATTEMPT_FAILED"


class ErrorCode(StrEnum):
    """Stable codes of the failures that are members of a mutation's result union."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    AMBIGUOUS = "AMBIGUOUS"
    CONFLICT = "CONFLICT"
    UNBOUND_WORKFLOW = "UNBOUND_WORKFLOW"
    RUN_MISMATCH = "RUN_MISMATCH"
    FOLLOWED = "FOLLOWED"
    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    ENGINE_UNAVAILABLE = "ENGINE_UNAVAILABLE"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    RESULT_TOO_LARGE = "RESULT_TOO_LARGE"


class InstanceOrderField(StrEnum):
    """Field that a list of instances is ordered by."""

    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


class OrderDirection(StrEnum):
    """Direction of an order."""

    ASC = "ASC"
    DESC = "DESC"


class ConflictPolicy(StrEnum):
    """Behaviour of `startWorkflow` if the workflow has an instance with the id."""

    USE_EXISTING = "USE_EXISTING"
    FAIL = "FAIL"


class Scope(StrEnum):
    """Permission of a key or token; ADMIN includes WRITE, and WRITE includes READ."""

    READ = "READ"
    WRITE = "WRITE"
    ADMIN = "ADMIN"
