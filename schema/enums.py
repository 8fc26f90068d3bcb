"""The vocabularies as GraphQL enums."""

from enum import EnumMeta

import strawberry

from resolvers.base import vocabulary

_DESCRIPTIONS: dict[EnumMeta, str] = {
    vocabulary.InstanceStatus: (
        "State of one workflow instance."
        " Every status Cloudflare Workflows reports maps to one of these without loss"
    ),
    vocabulary.Following: "State of the recording of an instance's history in the engine",
    vocabulary.StepStatus: "State of one step",
    vocabulary.StepKind: "Kind of a step",
    vocabulary.AttemptStatus: "State of one attempt at a step",
    vocabulary.OutputKind: "Relation of a recorded output to the result",
    vocabulary.Backoff: "Growth of the delay between attempts",
    vocabulary.EventType: "Type of an event in the log",
    vocabulary.ErrorCode: "Stable codes of a mutation's expected failures",
    vocabulary.InstanceOrderField: "Field that a list of instances is ordered by",
    vocabulary.OrderDirection: "Direction of an order",
    vocabulary.ConflictPolicy: "Behaviour of startWorkflow if the workflow has such an instance",
    vocabulary.Scope: "Permission of a key or token; ADMIN includes WRITE, and WRITE includes READ",
}

for _vocabulary, _description in _DESCRIPTIONS.items():
    strawberry.enum(_vocabulary, description=_description)

_VALUES = {
    vocabulary.ConflictPolicy: {
        "USE_EXISTING": "Return the existing instance",
        "FAIL": "Return InstanceConflict",
    },
    vocabulary.OutputKind: {
        "JSON": "The result itself",
        "UNDEFINED": "Null, because the result was undefined",
        "CONVERTED": "The result, with values that JSON lacks in their documented forms",
        "TRUNCATED": "The size and a preview of a result that is too large or nested too deeply",
        "UNSERIALIZABLE": "The type of a result that JSON cannot express",
        "REDACTED": "Null, because the step is sensitive: its result is never stored",
        "SCRUBBED": "The result without the parts that the configuration scrubs",
    },
    vocabulary.Following: {
        "FOLLOWED": "Its history is recorded",
        "BEHIND": "Its history was recorded, but cannot be read at present; its status is compared"
        " with the engine's instead",
        "NOT_FOLLOWED": "Nothing of its history is recorded: no Workflow is bound for its workflow,"
        " its engine does not tell histories, or it has not begun yet",
    },
    vocabulary.StepKind: {
        "TASK": "Work, done in attempts",
        "SLEEP": "A sleep",
        "WAIT_FOR_EVENT": "A wait for an event from outside",
    },
    vocabulary.StepStatus: {
        "PENDING": "Not started yet",
        "RUNNING": "An attempt is running",
        "RETRYING": "The last attempt failed and another will follow",
        "COMPLETED": "Succeeded",
        "FAILED": "Failed, and will not be retried",
        "CANCELLED": "The run ended before the step did; set by Flowflare, never reported",
    },
    vocabulary.AttemptStatus: {
        "RUNNING": "Running",
        "COMPLETED": "Succeeded",
        "FAILED": "Failed",
        "CANCELLED": "The run ended before the attempt did",
    },
}
for _vocabulary, _values in _VALUES.items():
    for _value in _vocabulary.__strawberry_definition__.values:  # type: ignore[attr-defined]
        _value.description = _values[_value.name]
