"""The vocabularies as GraphQL enums."""

from enum import EnumMeta

import strawberry

from resolvers.base import vocabulary

_DESCRIPTIONS: dict[EnumMeta, str] = {
    vocabulary.InstanceStatus: (
        "State of one workflow instance."
        " Every status Cloudflare Workflows reports maps to one of these without loss"
    ),
    vocabulary.StepStatus: "State of one step",
    vocabulary.StepKind: "What a step does",
    vocabulary.AttemptStatus: "State of one attempt at a step",
    vocabulary.Backoff: "How the delay between attempts grows",
    vocabulary.EventType: "What an entry of the log records",
    vocabulary.ErrorCode: "Stable codes of a mutation's expected failures",
    vocabulary.InstanceOrderField: "What a list of instances is ordered by",
    vocabulary.OrderDirection: "Direction of an order",
    vocabulary.ConflictPolicy: "What startWorkflow answers where the instance id is taken",
    vocabulary.Scope: "What a key or token allows; ADMIN includes WRITE, and WRITE includes READ",
}

for _vocabulary, _description in _DESCRIPTIONS.items():
    strawberry.enum(_vocabulary, description=_description)

_VALUES = {
    vocabulary.ConflictPolicy: {
        "USE_EXISTING": "Return the instance that already has this id",
        "FAIL": "Answer with InstanceConflict",
    },
    vocabulary.StepKind: {
        "TASK": "Work, made in attempts",
        "SLEEP": "A sleep",
        "WAIT_FOR_EVENT": "A wait for an event from outside",
    },
    vocabulary.StepStatus: {
        "PENDING": "Known, not begun",
        "RUNNING": "An attempt is under way",
        "RETRYING": "The last attempt failed and another is due",
        "COMPLETED": "Succeeded",
        "FAILED": "Failed for good",
    },
}
for _vocabulary, _values in _VALUES.items():
    for _value in _vocabulary.__strawberry_definition__.values:  # type: ignore[attr-defined]
        _value.description = _values[_value.name]
