"""Refusals of a mutation, made here or by a transaction that refuses itself.

The last write of an update is a guard: it inserts a reason into `refusals` if the row is not as the
update requires. A trigger raises that reason as the statement's error, so D1 rolls back the batch.
The reason is read from the error's message:

    {"refusal":"i-1","from":"COMPLETED","to":"RUNNING",…} → IllegalTransition
"""

import json
from collections.abc import Sequence
from typing import Any

from graphql.pyutils import did_you_mean, suggestion_list

from resolvers.access.principals import Principal
from resolvers.base.errors import Refusal, invalid_input
from resolvers.base.foreign_errors import REFUSAL
from resolvers.base.limits import MAX_ATTEMPT, MAX_JSON_BYTES, MAX_STEP_INDEX, MAX_SUGGESTIONS
from resolvers.base.transitions import STEP_TERMINAL, TERMINAL
from resolvers.base.vocabulary import ErrorCode, InstanceStatus, StepStatus
from resolvers.ports.database import DatabaseError
from resolvers.ports.engine import Engine

# The instance status that corresponds to a step status, for IllegalTransition's `from` and `to`.
_AS_INSTANCE = {
    StepStatus.PENDING: InstanceStatus.QUEUED,
    StepStatus.RUNNING: InstanceStatus.RUNNING,
    StepStatus.RETRYING: InstanceStatus.RUNNING,
    StepStatus.COMPLETED: InstanceStatus.COMPLETED,
    StepStatus.FAILED: InstanceStatus.ERRORED,
    StepStatus.CANCELLED: InstanceStatus.TERMINATED,
}


def refusal_of(error: DatabaseError, path: Sequence[str]) -> Refusal | None:
    """Return the Refusal that made a batch fail, or None if it failed for another reason.

    `path` leads to the batch's input, or to its list of inputs.
    """
    match = REFUSAL.search(str(error))
    return _refusal(json.loads(match[0]), path) if match else None


def not_found(instance_id: str) -> Refusal:
    """Make a NotFound for an instance."""
    return Refusal("NotFound", ErrorCode.NOT_FOUND, f"No instance {instance_id!r} is tracked.")


def ambiguous(instance_id: str, workflows: Sequence[str] | None = None) -> Refusal:
    """Make an AmbiguousInstance for an id that several visible instances have.

    The instances are read for the response (see mutation_fields.py), all of them or those of some
    workflows.
    """
    return Refusal(
        "AmbiguousInstance",
        ErrorCode.AMBIGUOUS,
        f"Instances of several workflows have the id {instance_id!r}. Name one with `workflow`.",
        instance_id=instance_id,
        workflows=None if workflows is None else json.dumps(workflows),
    )


def followed(instance_id: str) -> dict[str, str]:
    """The values of an InstanceFollowed, whose instance is read in the batch of the update."""
    return {
        "code": ErrorCode.FOLLOWED,
        "message": f"{instance_id!r} is followed: the engine's history is recorded, so only"
        " reference, metadata and the stack of an error are taken from reports.",
    }


def unbound(engine: Engine, workflow: str, principal: Principal, *, advice: str = "") -> Refusal:
    """Make an UnboundWorkflow that suggests bound workflows which the caller may see."""
    allowed = principal.restrictions.workflows
    bound = engine.workflows if allowed is None else engine.workflows.intersection(allowed)
    suggestions = suggestion_list(workflow, sorted(bound))[:MAX_SUGGESTIONS]
    message = f"{engine.unbound(workflow)}{did_you_mean(suggestions)}{advice}"
    return Refusal("UnboundWorkflow", ErrorCode.UNBOUND_WORKFLOW, message, suggestions=suggestions)


def not_only_tracked(workflow: str, path: Sequence[str]) -> Refusal:
    """Make an InvalidInput for `trackOnly` of a bound workflow, in the input at `path`."""
    message = f"trackOnly: must be false or absent, because a Workflow is bound for {workflow!r}"
    return invalid_input(message, [*path, "trackOnly"])


def unavailable(message: str) -> Refusal:
    """Make an EngineUnavailable; the message quotes the engine's own, if it gave one."""
    return Refusal("EngineUnavailable", ErrorCode.ENGINE_UNAVAILABLE, message)


def illegal(
    message: str,
    *,
    source: str,
    target: str,
    step_source: str | None = None,
    step_target: str | None = None,
) -> Refusal:
    """Make an IllegalTransition between two instance statuses, and two step statuses if given."""
    return Refusal(
        "IllegalTransition",
        ErrorCode.ILLEGAL_TRANSITION,
        message,
        **{"from": source, "to": target},
        stepFrom=step_source,
        stepTo=step_target,
    )


def _refusal(reason: dict[str, Any], path: Sequence[str]) -> Refusal:
    instance_id, source, target = reason["refusal"], reason["from"], reason["to"]
    if source is None:
        return ambiguous(instance_id) if reason["several"] else not_found(instance_id)
    run, current_run = reason["run"], reason["currentRun"]
    if run is not None and run != current_run:
        return Refusal(
            "RunMismatch",
            ErrorCode.RUN_MISMATCH,
            f"{instance_id!r} is in run {current_run}; a report about run {run} changes nothing.",
            run=current_run,
        )
    is_step = "step" in reason
    if (number := reason["number"]) is not None:
        path = [*path, str(number), "step" if is_step else "instance"]
    if is_step:
        return _out_of_bounds(reason, path) or _illegal_step(reason)
    if reason["metadata"]:
        return invalid_input(
            f"metadata: the merged value would have more than {MAX_JSON_BYTES} bytes"
            " (MAX_JSON_BYTES)",
            [*path, "metadata"],
            code=ErrorCode.PAYLOAD_TOO_LARGE,
        )
    message = f"{instance_id!r} is {source} and cannot become {target}."
    return illegal(message, source=source, target=target)


def _out_of_bounds(reason: dict[str, Any], path: Sequence[str]) -> Refusal | None:
    """Make an InvalidInput if the step cannot have its index or a next attempt."""
    step_from, to = reason["stepFrom"], reason["to"]
    is_new = step_from is None and (reason["from"] not in TERMINAL or to in STEP_TERMINAL)
    if is_new and (index := reason["index"]) is not None:
        last = " (MAX_STEP_INDEX); give a free one" if index == MAX_STEP_INDEX else ""
        message = f"index: another step of the instance has {index}{last}"
        return invalid_input(message, [*path, "index"])
    begins = (step_from == StepStatus.RETRYING and to == StepStatus.RUNNING) or (
        step_from in (StepStatus.RETRYING, StepStatus.CANCELLED) and to == StepStatus.COMPLETED
    )
    if begins and reason["attempt"] is None and reason["current"] >= MAX_ATTEMPT:
        return invalid_input(
            f"attempt: the step has had {MAX_ATTEMPT} attempts (MAX_ATTEMPT)", [*path, "attempt"]
        )
    return None


def _illegal_step(reason: dict[str, Any]) -> Refusal:
    instance_id, source, target = reason["refusal"], reason["from"], reason["to"]
    step, step_from = repr(reason["step"]), reason["stepFrom"]
    if (occurrence := reason["occurrence"]) > 1:
        step += f" (occurrence {occurrence})"
    to = _AS_INSTANCE[StepStatus(target)]
    if step_from is None:
        return illegal(
            f"{instance_id!r} is {source}; its step {step} cannot become {target}.",
            source=source,
            target=to,
            step_target=target,
        )
    return illegal(
        f"Step {step} of {instance_id!r} is {step_from} and cannot become {target}"
        + (f" with attempt {reason['attempt']}." if reason.get("attempt") else "."),
        source=_AS_INSTANCE[StepStatus(step_from)],
        target=to,
        step_source=step_from,
        step_target=target,
    )
