"""How a transaction says that it must not happen, and how that becomes an answer.

The last write of an update inserts a reason into `refusals` if the row does not stand as the
update wants it. A trigger raises that reason as the statement's error, so D1 rolls the whole
batch back; the reason comes back in the error's message and is read here.
"""

import json
import re
from collections.abc import Sequence

from resolvers.database import DatabaseError
from resolvers.errors import Refusal, invalid_input
from resolvers.vocabulary import ErrorCode, InstanceStatus, StepStatus

_REASON = re.compile(r'\{"refusal":.*\}')
# A table's named CHECK: the field whose stored value it bounds.
_SIZES = {
    "instance_input": "input",
    "instance_output": "output",
    "instance_metadata": "metadata",
    "instance_error": "error",
    "step_output": "output",
    "step_error": "error",
    "workflow_metadata": "metadata",
}
_CHECK = re.compile(r"CHECK constraint failed: (\w+)")
_INDEX_TAKEN = "UNIQUE constraint failed: steps.instance, steps.step_index"

# What a step's status means for the instance, for IllegalTransition's `from` and `to`.
_AS_INSTANCE = {
    StepStatus.PENDING: InstanceStatus.QUEUED,
    StepStatus.RUNNING: InstanceStatus.RUNNING,
    StepStatus.RETRYING: InstanceStatus.RUNNING,
    StepStatus.COMPLETED: InstanceStatus.COMPLETED,
    StepStatus.FAILED: InstanceStatus.ERRORED,
}


def refusal_of(error: DatabaseError, path: Sequence[str]) -> Refusal | None:
    """The Refusal behind a failed batch; None where the failure is none of ours.

    `path` is that of the batch's input.
    """
    message = str(error)
    if match := _REASON.search(message):
        return _refusal(json.loads(match[0]))
    if (check := _CHECK.search(message)) and check[1] in _SIZES:
        field = _SIZES[check[1]]
        return invalid_input(
            f"{field}: the stored value would be larger than the limit (MAX_JSON_BYTES)",
            [*path, field],
            code=ErrorCode.PAYLOAD_TOO_LARGE,
        )
    if _INDEX_TAKEN in message:
        return invalid_input("index: another step of the instance has it", [*path, "index"])
    return None


def not_found(instance_id: str) -> Refusal:
    """NotFound for an instance."""
    return Refusal("NotFound", ErrorCode.NOT_FOUND, f"No instance {instance_id!r} is tracked.")


def unavailable(message: str) -> Refusal:
    """EngineUnavailable, in the engine's own words where it gave any."""
    return Refusal("EngineUnavailable", ErrorCode.ENGINE_UNAVAILABLE, message)


def illegal(source: str, target: str, message: str, **fields: object) -> Refusal:
    """IllegalTransition between two instance statuses."""
    return Refusal(
        "IllegalTransition",
        ErrorCode.ILLEGAL_TRANSITION,
        message,
        **{"from": source, "to": target},
        stepFrom=fields.get("step_from"),
        stepTo=fields.get("step_to"),
    )


def _refusal(reason: dict[str, str | None]) -> Refusal:
    instance_id, source, target = reason["refusal"], reason["from"], reason["to"]
    assert instance_id is not None
    assert target is not None
    if source is None:
        return not_found(instance_id)
    if "step" not in reason:
        return illegal(source, target, f"{instance_id!r} is {source} and cannot become {target}.")
    step, step_from = reason["step"], reason["stepFrom"]
    to = _AS_INSTANCE[StepStatus(target)]
    if step_from is None:
        return illegal(
            source,
            to,
            f"{instance_id!r} is {source}; its step {step!r} cannot become {target}.",
            step_to=target,
        )
    return illegal(
        _AS_INSTANCE[StepStatus(step_from)],
        to,
        f"Step {step!r} of {instance_id!r} is {step_from} and cannot become {target}"
        + (f" with attempt {reason['attempt']}." if reason.get("attempt") else "."),
        step_from=step_from,
        step_to=target,
    )
