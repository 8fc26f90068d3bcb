"""Results of mutations: the instance, or an error with a hint."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from flowflare.cli.errors import CliError, Missing, UsageMistake
from flowflare.cli.render.text import wire
from flowflare.scalars import serialize_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from flowflare.client import InstanceSummary


def instance_of(result: BaseModel, *, hint: str = "", unbound: str = "") -> InstanceSummary:
    """The instance in a mutation's result. Raises CliError for a refusal.

    `hint` is the hint for an engine that was not available, `unbound` that for a workflow that is
    not bound.
    """
    from flowflare.client import InstancePayload  # noqa: PLC0415 - heavy

    if isinstance(result, InstancePayload):
        return result.instance
    raise refusal(result, hint=hint, unbound=unbound)


def refusal(result: BaseModel, *, hint: str = "", unbound: str = "") -> CliError:
    """The error for a mutation's refusal."""
    from flowflare import client  # noqa: PLC0415 - heavy

    if isinstance(result, client.InvalidInput):
        return refused_value(result.message, ".".join(result.path))
    if isinstance(result, client.NotFound):
        return not_found(result.message)
    if isinstance(result, client.AmbiguousInstance):
        return ambiguous([instance.workflow.name for instance in result.instances])
    if isinstance(result, client.UnboundWorkflow):
        return UsageMistake(result.message, hint=unbound)
    if isinstance(result, client.InstanceConflict):
        there = result.existing
        return CliError(
            result.message,
            hint=f"It is {there.status.value}; leave out --fail-if-exists to get it,"
            " or choose another --id.",
        )
    if isinstance(result, client.IllegalTransition):
        return CliError(result.message)
    if isinstance(result, client.EngineUnavailable):
        return CliError(result.message, hint=hint)
    return CliError(f"The service answered with {type(result).__name__}", hint="Update flowflare.")


def refused_value(message: str, path: str) -> UsageMistake:
    """The error for a value that the service refuses; its message usually names the value."""
    name = path.rpartition(".")[2]
    text = message.removeprefix("input.")
    return UsageMistake(f"Refused: {text}" if name in text else f"Refused: {name}: {text}")


def not_found(message: str) -> Missing:
    """The error for an instance that does not exist, or that the token does not show."""
    return Missing(message, hint="`flowflare list` shows the instances there are.")


def no_instance(instance_id: str, workflow: str | None) -> Missing:
    """The error for an id that no instance has, or none of the workflow."""
    of_workflow = f" of {workflow!r}" if workflow is not None else ""
    return not_found(f"There is no instance {instance_id!r}{of_workflow}")


def ambiguous(workflows: Sequence[str]) -> UsageMistake:
    """The error for an id that instances of several workflows have."""
    names = ", ".join(map(repr, workflows))
    return UsageMistake(
        f"Instances of several workflows have this id: {names}",
        hint="Add --workflow with one of these names.",
    )


def document(model: BaseModel) -> Any:
    """A model as the API's JSON: its field names, instants and durations."""
    return _plain(model.model_dump(by_alias=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if name != "__typename"}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return wire(value)
    if isinstance(value, timedelta):
        return serialize_duration(value)
    return value
