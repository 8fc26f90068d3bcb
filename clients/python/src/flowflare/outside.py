"""Steps outside a Workflow. There is no engine to retry them, so this module does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowflare.calls import Attempt, Work, call
from flowflare.errors import is_retryable
from flowflare.outbox import Outbox
from flowflare.recording import described, recorded
from flowflare.reports import Reports
from flowflare.retries import Retries
from flowflare.runs import Run, Step

if TYPE_CHECKING:
    from flowflare.service import Flowflare

_DELIVERY_ATTEMPTS = 4
_DELIVERY_DELAY_S = 0.5


async def track_step(
    flowflare: Flowflare,
    instance_id: str,
    name: str,
    fn: Work,
    *,
    workflow: str | None = None,
    occurrence: int = 1,
    index: int | None = None,
    retries: Retries | None = None,
    timeout: timedelta | None = None,
) -> Any:
    """Run `fn` as a step of an instance that the service tracks, and return its result.

    `workflow` is needed only if instances of several workflows have the id. `occurrence` numbers
    the steps of a run that have the same name. If the instance is restarted before the step ends,
    the step does not change the next run.

    `fn` takes nothing or the `Attempt`, and may be asynchronous. It is retried according to
    `retries` (by default five times, after 1, 2, 4, 8 and 16 seconds), unless it raises
    NonRetryableError; the error of the last attempt is raised. `timeout` limits each attempt of an
    asynchronous `fn`. `fn` also runs while the service is away.
    """
    retries = Retries() if retries is None else retries
    run = Run(instance_id, workflow, begun=True, reported="COMPLETED")
    step = Step(name, index, "TASK", occurrence, retries)
    outbox = Outbox(Reports(flowflare, run), f"instance {instance_id!r}")
    try:
        return await _attempts(run, step, outbox, fn, timeout)
    finally:
        await _deliver(outbox)


async def _attempts(
    run: Run, step: Step, outbox: Outbox, fn: Work, timeout: timedelta | None
) -> Any:
    assert step.retries is not None
    number = 0
    while True:
        number += 1
        outbox.put(*run.attempt_begins(step, number))
        await outbox.flush()
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                result = await call(fn, Attempt(number))
        except Exception as error:
            delay = step.retries.delay_after(number) if is_retryable(error) else None
            if delay is None:
                outbox.put(*run.step_fails(step, described(error)))
                raise
            retry_at = datetime.now(UTC) + delay
            outbox.put(*run.attempt_fails(step, described(error), retry_at=retry_at))
            await outbox.flush()
            await asyncio.sleep(delay.total_seconds())
        else:
            outbox.put(*run.step_completes(step, recorded(result)))
            return result


async def _deliver(outbox: Outbox) -> None:
    for attempt in range(_DELIVERY_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_DELIVERY_DELAY_S * 2 ** (attempt - 1))
        if await outbox.drain():
            break
    outbox.close()
