"""The workflow itself: started by `startWorkflow`, executed by Cloudflare Workflows.

Input: `{"items": […], "failPayments": 2, "holdMs": 500}`, all optional.
"""

import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from workers import WorkflowEntrypoint

from examples.order_processing.stopping import is_stop, stoppable
from examples.order_processing.tracker import Tracker
from resolvers.instants import format_instant

_RETRIES = 3
_RETRY_DELAY_MS = 300
_HOLD = "hold for stock"


class PaymentDeclined(Exception):
    """The payment provider said no; it may say yes later."""


@stoppable
class OrderProcessing(WorkflowEntrypoint):
    """validate → charge card (retried) → hold for stock (a sleep) → ship."""

    async def run(self, event: Any, step: Any) -> Any:
        """Run one order; the result is what the instance's `output` shows."""
        order = event["payload"] or {}
        tracker = Tracker(event["instanceId"])
        run = _TrackedSteps(step, tracker)
        await run.once("begin", lambda: tracker.instance(status="RUNNING"))
        try:
            items = await run.step("validate", lambda _: _validate(order))
            payment = await run.step("charge card", lambda attempt: _charge(order, attempt))
            await run.sleep(_HOLD, timedelta(milliseconds=order.get("holdMs", 500)))
            parcel = await run.step("ship", lambda _: _ship(items))
        except Exception as error:
            if is_stop(error):
                raise
            failure = _described(error)
            await run.once("errored", lambda: tracker.instance(status="ERRORED", error=failure))
            raise
        result = {**payment, **parcel}
        await run.once("complete", lambda: tracker.instance(status="COMPLETED", output=result))
        return result


class _TrackedSteps:
    """Steps of the engine whose attempts are recorded."""

    def __init__(self, step: Any, tracker: Tracker) -> None:
        self._step = step
        self._tracker = tracker

    async def once(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        """Do something the engine then remembers was done, also when it replays the run."""

        async def told() -> bool:
            await action()
            return True

        await self._step.do(f"flowflare: {name}")(told)()

    async def step(self, name: str, work: Callable[[int], Any]) -> Any:
        """Run `work(attempt)` with retries; its result is the step's output."""
        policy = {"limit": _RETRIES, "delay": _RETRY_DELAY_MS, "backoff": "constant"}

        async def attempt(ctx: Any) -> Any:
            number = int(ctx["attempt"])
            recorded = {**policy, "backoff": "CONSTANT"}
            await self._tracker.step(name, status="RUNNING", attempt=number, retryPolicy=recorded)
            try:
                result = work(number)
            except Exception as error:
                await self._failed(name, number, error)
                raise
            await self._tracker.step(name, status="COMPLETED", attempt=number, output=result)
            return result

        return await self._step.do(name, config={"retries": policy})(attempt)()

    async def sleep(self, name: str, duration: timedelta) -> None:
        """Sleep; the step and the instance show it."""
        await self.once(f"{name} begins", lambda: self._tracker.falls_asleep(name, duration))
        await self._step.sleep(name, int(duration / timedelta(milliseconds=1)))
        await self.once(f"{name} ends", lambda: self._tracker.wakes_up(name))

    async def _failed(self, name: str, attempt: int, error: Exception) -> None:
        failure = _described(error)
        if attempt > _RETRIES:
            await self._tracker.step(name, status="FAILED", attempt=attempt, error=failure)
            return
        retry_at = datetime.now(UTC) + timedelta(milliseconds=_RETRY_DELAY_MS)
        await self._tracker.step(
            name,
            status="RETRYING",
            attempt=attempt,
            error=failure,
            retryAt=format_instant(retry_at),
        )


def _described(error: Exception) -> dict[str, str]:
    stack = "".join(traceback.format_exception(error))
    name = type(error).__name__
    # The engine puts the name in front of the message of a step's error.
    return {"name": name, "message": str(error).removeprefix(f"{name}: "), "stack": stack}


def _validate(order: dict[str, Any]) -> list[Any]:
    items = order.get("items", ["book"])
    if not items:
        raise ValueError("an order needs at least one item")
    return list(items)


def _charge(order: dict[str, Any], attempt: int) -> dict[str, Any]:
    if attempt <= order.get("failPayments", 2):
        raise PaymentDeclined(f"card declined at attempt {attempt}")
    return {"paymentId": f"pay-{attempt}"}


def _ship(items: list[Any]) -> dict[str, Any]:
    return {"parcels": len(items)}
