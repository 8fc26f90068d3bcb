"""The journey of test_workflows.py, in Python."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from js import JSON
from workers import Response

from flowflare import Attempt, Retries, TrackedStep
from flowflare.workflows import TrackedWorkflow

_CROSSING = Retries(limit=3, delay=timedelta(milliseconds=200), backoff="exponential")
_ARRIVING = Retries(limit=1, delay=timedelta(milliseconds=50), backoff="constant")


class Flaky(Exception):
    """A failure that a retry may not have."""


class Journey(TrackedWorkflow):
    """pack → cross (retried) → stops → rest (a sleep) → hear (an event) → arrive."""

    delivery = Retries(limit=40, delay=timedelta(milliseconds=500), backoff="constant")

    async def run(self, event: Any, step: TrackedStep) -> Any:
        params = event["payload"]
        pause_s = params.get("attemptMs", 0) / 1000

        async def note(name: str) -> None:
            url = f"https://witness/attempts/{event['instanceId']}/{name}"
            await self.env.WITNESS.fetch(url, method="POST")

        async def pack() -> list[str]:
            await note("pack")
            return ["coat", "hat"]

        async def cross(attempt: Attempt) -> dict[str, int]:
            await note("cross")
            first_s = params.get("firstMs", pause_s * 1000) / 1000
            await asyncio.sleep(first_s if attempt.number == 1 else pause_s)
            if attempt.number <= params.get("failures", 0):
                raise Flaky(f"no way at attempt {attempt.number}")
            return {"attempt": attempt.number}

        async def stop() -> None:
            await asyncio.sleep(pause_s)

        async def arrive() -> dict[str, Any]:
            await note("arrive")
            if params.get("ending") == "badly":
                raise Flaky("the door is locked")
            return {"packed": packed, "way": way, "message": heard["payload"]}

        packed = await step.do("pack", pack)
        way = await step.do("cross", cross, retries=_CROSSING)
        for number in range(1, params.get("stops", 0) + 1):
            await step.do(f"stop {number}", stop)
        await step.sleep("rest", params.get("restMs", 1))
        heard = await step.wait_for_event("hear", "message", timeout="1 hour")
        return await step.do("arrive", arrive, retries=_ARRIVING)


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """POST /ID starts a journey without the service; PUT /ID sends it an event."""
    instance_id = request.url.rsplit("/", 1)[1]
    body = await request.text()
    if request.method == "POST":
        options = {"id": instance_id, "params": json.loads(body)}
        await env.PYTHON_JOURNEY.create(JSON.parse(json.dumps(options)))
    else:
        instance = await env.PYTHON_JOURNEY.get(instance_id)
        await instance.sendEvent(JSON.parse(body))
    return Response("")
