"""How a transaction says that it must not happen, and how that becomes an answer.

The last write of an update inserts a reason into `refusals` if the row does not stand as the
update wants it. A trigger raises that reason as the statement's error, so D1 rolls the whole
batch back; the reason comes back in the error's message and is read here.
"""

import json
from collections.abc import Sequence
from typing import Any

from resolvers.base.errors import Refusal, invalid_input
from resolvers.base.foreign_errors import REFUSAL
from resolvers.base.limits import MAX_ATTEMPT, MAX_JSON_BYTES, MAX_STEP_INDEX
from resolvers.base.transitions import STEP_TERMINAL, TERMINAL
from resolvers.base.vocabulary import ErrorCode, InstanceStatus, StepStatus
from resolvers.ports.database import DatabaseError

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

    `path` is that of the batch's input, or of its list of inputs.
    """
    match = REFUSAL.search(str(error))
    return _refusal(json.loads(match[0]), path) if match else None


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


def _refusal(reason: dict[str, Any], path: Sequence[str]) -> Refusal:
    instance_id, source, target = reason["refusal"], reason["from"], reason["to"]
    if source is None:
        return not_found(instance_id)
    is_step = "step" in reason
    if (number := reason["number"]) is not None:
        path = [*path, str(number), "step" if is_step else "instance"]
    if is_step:
        return _of_bounds(reason, path) or _of_step(reason)
    if reason["metadata"]:
        return invalid_input(
            f"metadata: the merged value would have more than {MAX_JSON_BYTES} bytes"
            " (MAX_JSON_BYTES)",
            [*path, "metadata"],
            code=ErrorCode.PAYLOAD_TOO_LARGE,
        )
    return illegal(source, target, f"{instance_id!r} is {source} and cannot become {target}.")


def _of_bounds(reason: dict[str, Any], path: Sequence[str]) -> Refusal | None:
    """InvalidInput where the step cannot have its index or its next attempt."""
    step_from, to = reason["stepFrom"], reason["to"]
    is_new = step_from is None and (reason["from"] not in TERMINAL or to in STEP_TERMINAL)
    if is_new and (index := reason["index"]) is not None:
        last = " (MAX_STEP_INDEX); name one that is free" if index == MAX_STEP_INDEX else ""
        message = f"index: another step of the instance has {index}{last}"
        return invalid_input(message, [*path, "index"])
    begins = step_from == StepStatus.RETRYING and to in (StepStatus.RUNNING, StepStatus.COMPLETED)
    if begins and reason["attempt"] is None and reason["current"] >= MAX_ATTEMPT:
        return invalid_input(
            f"attempt: the step has had {MAX_ATTEMPT} attempts (MAX_ATTEMPT)", [*path, "attempt"]
        )
    return None


def _of_step(reason: dict[str, Any]) -> Refusal:
    instance_id, source, target = reason["refusal"], reason["from"], reason["to"]
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
