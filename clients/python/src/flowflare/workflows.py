"""Python Workflows on Cloudflare that track themselves. Works inside a Worker only."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from flowflare.edge import WorkflowEntrypoint, refusal, rejected
from flowflare.errors import message_of
from flowflare.runners import found, tracked
from flowflare.service import Flowflare
from flowflare.steps import ABORTED, DELIVERY, TrackedStep, is_abort

if TYPE_CHECKING:
    from flowflare.retries import Retries

__all__ = ["TrackedStep", "TrackedWorkflow", "tracked"]


class TrackedWorkflow(WorkflowEntrypoint):
    """Base of a workflow whose runs are tracked, from start to end.

    `run(self, event, step)` is written as for Cloudflare's `WorkflowEntrypoint`; `step` is a
    `TrackedStep`, and the result of `run` is the instance's output.
    """

    workflow: ClassVar[str | None] = None
    """The name under which the service starts the workflow; by default the engine's, or the class
    name in kebab-case."""
    delivery: ClassVar[Retries] = DELIVERY
    """Retries of the delivery at the end of a run, if the service is away."""

    def flowflare(self) -> Flowflare:
        """The service to report to; by default that of `env`, see `Flowflare.from_env`."""
        return Flowflare.from_env(self.env)

    def reference(self, event: Mapping[str, Any]) -> tuple[str, str] | None:
        """Type and id of the entity the instance works on, unless they are recorded already."""
        return None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        run = cls.__dict__.get("run")
        if run is None:
            super().__init_subclass__(**kwargs)
            return
        # The SDK wraps `run` too, between these two wrappers.
        setattr(cls, "run", _tracking(run))  # noqa: B010 - untyped in the SDK
        super().__init_subclass__(**kwargs)
        setattr(cls, "run", _stoppable(cls.__dict__["run"]))  # noqa: B010


def _tracking(run: Any) -> Any:
    @functools.wraps(run)
    async def tracked_run(self: TrackedWorkflow, event: Any, step: Any) -> Any:
        workflow = self.workflow or event.get("workflowName") or _kebab(type(self).__name__)
        async with tracked(
            found(self.flowflare, str(event["instanceId"])),
            event,
            step,
            workflow=workflow,
            reference=self.reference(event),
            delivery=self.delivery,
        ) as tracked_step:
            result = run(self, event, tracked_step)
            tracked_step.output = await result if inspect.isawaitable(result) else result
            tracked_step.refusal = refusal(tracked_step.output)
        return tracked_step.output

    return tracked_run


def _stoppable(run: Any) -> Any:
    """Return the engine's own exception to it unchanged, or the engine would take a paused run for
    a failed one, which cannot be resumed."""

    @functools.wraps(run)
    async def stoppable_run(self: Any, event: Any = None, step: Any = None, /, *more: Any) -> Any:
        try:
            return await run(self, event, step, *more)
        except Exception as error:
            if not is_abort(error):
                raise
            text = message_of(error)
            return rejected(text[text.index(ABORTED) :].strip())

    return stoppable_run


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
