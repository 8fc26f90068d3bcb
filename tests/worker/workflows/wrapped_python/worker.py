"""A tracked Workflow whose parameters are the plan of what it does, as for plain/worker.mjs.

GET /ID reads its history from the engine; POST /ID/event sends it an event.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from js import JSON
from workers import Response

from flowflare import Attempt, NonRetryableError, Retries, TrackedStep
from flowflare.workflows import TrackedWorkflow

_QUIET_S = 2


class WrappedPython(TrackedWorkflow):
    """Each line of the plan is a kind of deed with its arguments."""

    def reference(self, event: Any) -> tuple[str, str]:
        return "plan", event["instanceId"]

    async def run(self, event: Any, step: TrackedStep) -> Any:
        last = None
        for kind, *values in event["payload"]:
            last = await getattr(self, f"_{kind}")(step, *values)
        return last

    async def _do(self, step: TrackedStep, name: str, value: Any) -> Any:
        return await step.do(name, lambda: value)

    async def _busy(self, step: TrackedStep, name: str, ms: int) -> Any:
        return await step.do(name, lambda: asyncio.sleep(ms / 1000))

    async def _loop(self, step: TrackedStep, name: str, count: int) -> None:
        for _ in range(count):
            await step.do(name, lambda: None)

    async def _retry(
        self, step: TrackedStep, name: str, retries: dict[str, Any], failures: int
    ) -> Any:
        def work(attempt: Attempt) -> int:
            if attempt.number <= failures:
                raise TypeError(f"attempt {attempt.number} fails")
            return attempt.number

        delay = timedelta(milliseconds=retries["delay"])
        policy = Retries(limit=retries["limit"], delay=delay, backoff=retries["backoff"])
        return await step.do(name, work, retries=policy)

    async def _stop(self, step: TrackedStep, name: str) -> Any:
        def work() -> None:
            raise NonRetryableError("stop")

        return await step.do(name, work)

    async def _throw(self, step: TrackedStep) -> None:
        raise ArithmeticError("outside of a step")

    async def _sleep(self, step: TrackedStep, name: str, ms: int) -> None:
        await step.sleep(name, timedelta(milliseconds=ms))

    async def _wait(self, step: TrackedStep, name: str, type_: str) -> Any:
        return (await step.wait_for_event(name, type_))["payload"]


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Answer a request as the Worker of plain/ does."""
    instance_id, _, method = request.url.split("/", 3)[3].partition("/")
    instance = await env.WRAPPED_PYTHON.get(instance_id)
    if method:
        await instance.sendEvent(JSON.parse('{"type":"nudge","payload":null}'))
        return Response("")
    subscription = await instance.subscribe()
    events = []
    try:
        while True:
            result = await asyncio.wait_for(subscription.next(), _QUIET_S)
            if result.done:
                break
            value = json.loads(JSON.stringify(result.value))
            events.append({k: v for k, v in value.items() if k not in ("output", "params")})
    except TimeoutError:
        pass
    return Response(json.dumps(events))
