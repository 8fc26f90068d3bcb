"""The workflows in Python. driver/worker.ts contains those in TypeScript, and starts them all."""

from __future__ import annotations

from typing import Any

from js import Date
from workers import Response, WorkflowEntrypoint

from flowflare import Flowflare, tracked


async def _work() -> int:
    return 1


class Bare(WorkflowEntrypoint):
    """A workflow with Cloudflare's own steps."""

    async def run(self, event: Any, step: Any) -> int:
        """Run the steps; returns the duration in milliseconds."""
        start = Date.now()
        for number in range(1, event["payload"]["steps"] + 1):
            await step.do(f"step {number}")(_work)()
        return int(Date.now() - start)


class Tracked(WorkflowEntrypoint):
    """A workflow with the same steps, tracked by the client."""

    def service(self) -> Any:
        """Return the binding to report over."""
        return self.env.FLOWFLARE

    async def run(self, event: Any, step: Any) -> int:
        """Run the steps; returns the duration in milliseconds."""
        start = Date.now()
        service = Flowflare(service_binding=self.service())
        async with tracked(service, event, step, workflow=event["workflowName"]) as tracking:
            for number in range(1, event["payload"]["steps"] + 1):
                await tracking.do(f"step {number}", _work)
        return int(Date.now() - start)


class Counted(Tracked):
    """A tracked workflow whose calls are counted."""

    def service(self) -> Any:
        """Return the binding to report over."""
        return self.env.COUNTER


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Return an empty response; the driver starts the workflows."""
    return Response("")
