"""Tracking of a whole run, for workflows that keep their base class."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flowflare.errors import message_of
from flowflare.recording import encode, json_text
from flowflare.runs import Run
from flowflare.service import Flowflare, Nowhere
from flowflare.steps import DELIVERY, TrackedStep

if TYPE_CHECKING:
    from types import TracebackType

    from flowflare.retries import Retries

_log = logging.getLogger("flowflare")


class tracked:  # noqa: N801 - it is called like a function
    """Track the steps of the block as the run of a workflow.

    ```python
    async with tracked(self.env, event, step, workflow="send-invoice") as step:
        step.output = await step.do("send", lambda: send(event["payload"]))
    ```

    The first argument is a Worker's `env` or a `Flowflare`. The instance is COMPLETED with
    `step.output` when the block ends, and ERRORED when it raises.
    """

    def __init__(
        self,
        service: Any,
        event: Mapping[str, Any],
        step: Any,
        *,
        workflow: str,
        reference: tuple[str, str] | None = None,
        metadata: Any = None,
        delivery: Retries = DELIVERY,
    ) -> None:
        if not isinstance(service, (Flowflare, Nowhere)):
            service = found(lambda: Flowflare.from_env(service), str(event["instanceId"]))
        creation = ""
        if (payload := event.get("payload")) is not None:
            creation = f',"input":{json_text(payload)}'
        run = Run(str(event["instanceId"]), workflow, creation)
        if metadata is not None:
            run.metadata = f',"metadata":{json_text(metadata)}'
        if reference is not None:
            ref_type, ref_id = reference
            run.reference = f',"reference":{encode({"refType": ref_type, "refId": ref_id})}'
        self._step = TrackedStep(step, run, service, delivery=delivery)

    async def __aenter__(self) -> TrackedStep:
        await self._step.begin()
        return self._step

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        error = error or self._step.refusal
        if error is None:
            await self._step.finish(self._step.output)
        else:
            await self._step.fail(error)


def found(service: Callable[[], Flowflare], instance_id: str) -> Flowflare | Nowhere:
    """The service, or `Nowhere` if it is not configured: that is logged, and the workflow runs."""
    try:
        return service()
    except Exception as error:
        _log.error("instance %r is not tracked: %s", instance_id, message_of(error))
        return Nowhere()
