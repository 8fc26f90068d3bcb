"""The workflows in Python; driver/worker.ts has those in TypeScript, and the way in."""

from __future__ import annotations

from typing import Any

from js import Date
from workers import Response, WorkflowEntrypoint

from flowflare import Flowflare, tracked


async def _work() -> int:
    return 1


class Bare(WorkflowEntrypoint):
    """Cloudflare's own steps."""

    async def run(self, event: Any, step: Any) -> int:
        """The run's milliseconds."""
        start = Date.now()
        for number in range(1, event["payload"]["steps"] + 1):
            await step.do(f"step {number}")(_work)()
        return int(Date.now() - start)


class Tracked(WorkflowEntrypoint):
    """The same steps, tracked from the beginning of the run to its end."""

    def service(self) -> Any:
        """The binding to report over."""
        return self.env.FLOWFLARE

    async def run(self, event: Any, step: Any) -> int:
        """The run's milliseconds."""
        start = Date.now()
        service = Flowflare(service_binding=self.service())
        async with tracked(service, event, step, workflow=event["workflowName"]) as tracking:
            for number in range(1, event["payload"]["steps"] + 1):
                await tracking.do(f"step {number}", _work)
        return int(Date.now() - start)


class Counted(Tracked):
    """The same, with its calls counted."""

    def service(self) -> Any:
        """The binding to report over."""
        return self.env.COUNTER


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Nothing: the driver starts the workflows."""
    return Response("")
