"""`TrackedStep`: Cloudflare's `WorkflowStep`, tracked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, overload

from flowflare.calls import Attempt, Decorated, Work, call
from flowflare.errors import (
    FlowflareError,
    NonRetryableError,
    Unreachable,
    is_retryable,
    message_of,
)
from flowflare.outbox import Outbox, Update
from flowflare.recording import REDACTED, Recorded, described, recorded
from flowflare.reports import Reports
from flowflare.retries import Duration, Retries, milliseconds, retries_of
from flowflare.transport import IN_WORKER

if TYPE_CHECKING:
    from flowflare.runs import Run, Step
    from flowflare.service import Flowflare, Nowhere

ABORTED = "Aborting engine:"
"""The beginning of the engine's message when a run is paused, terminated or restarted. The run has
not failed then, and whoever asked for it records it (workerd, 2026-11-22)."""
DELIVERY = Retries(limit=8, delay=timedelta(seconds=2), backoff="exponential")
DELIVERY_STEP = "flowflare: deliver"

_NOT_TAKEN = {
    "name": "ResultNotTaken",
    "message": "The engine did not accept the value that this attempt returned.",
}

_log = logging.getLogger("flowflare")


class Undelivered(FlowflareError):
    """Updates are still waiting, so the engine has to try again."""


class TrackedStep:
    """The `step` of a workflow's `run`: Cloudflare's `WorkflowStep`, which reports each step, sleep
    and wait to the service. Steps may run in parallel."""

    def __init__(
        self,
        engine: Any,
        run: Run,
        service: Flowflare | Nowhere,
        *,
        delivery: Retries = DELIVERY,
    ) -> None:
        self.output: Any = None
        """The instance's output, recorded by `tracked`."""
        self.refusal: Exception | None = None
        """The engine's error for the output of the run, if it does not accept it."""
        self._engine = engine
        self._run = run
        self._delivery = delivery
        self._reports = Reports(service, run)
        self._outbox = Outbox(self._reports, f"instance {run.instance_id!r}")
        self._named: dict[str, Decorated] = {}
        self._raised: tuple[BaseException, Mapping[str, str]] | None = None

    @overload
    async def do(
        self,
        name: str,
        work: Work,
        *,
        retries: Retries | None = None,
        timeout: Duration | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Any: ...

    @overload
    def do(
        self,
        name: str | None = None,
        work: Sequence[Decorated] | None = None,
        *,
        retries: Retries | None = None,
        timeout: Duration | None = None,
        config: Mapping[str, Any] | None = None,
        depends: Sequence[Decorated] | None = None,
        concurrent: bool = False,
    ) -> Callable[[Work], Decorated]: ...

    def do(
        self,
        name: str | None = None,
        work: Work | Sequence[Decorated] | None = None,
        *,
        retries: Retries | None = None,
        timeout: Duration | None = None,
        config: Mapping[str, Any] | None = None,
        depends: Sequence[Decorated] | None = None,
        concurrent: bool = False,
    ) -> Any:
        """Run a step: `await step.do("charge", work)` returns the step's output.

        `work` takes nothing or the `Attempt`, and may be asynchronous. It is retried according to
        `retries`, by default the engine's own, unless it raises NonRetryableError; `timeout` limits
        each attempt. The caller gets the error of the last attempt as the engine passes it on.

        Without `work` this is Cloudflare's decorator, `@step.do("charge")`, with its `config`,
        `depends` and `concurrent`.
        """
        settings = _config(config, retries, timeout)
        if callable(work):
            if name is None:
                raise TypeError("A step needs a name.")
            return self._task(name, work, settings)
        depends = work if depends is None else depends

        def decorator(function: Work) -> Decorated:
            named = function.__name__ if name is None else name
            decorated = Decorated(
                function,
                lambda bound: self._task(named, bound, settings),
                depends=depends,
                concurrent=concurrent,
                named=self._named,
            )
            self._named[named] = decorated
            return decorated

        return decorator

    async def sleep(self, name: str, duration: Duration) -> None:
        """Sleep; the instance is SLEEPING meanwhile, unless other steps run."""
        step = self._run.step(name, "SLEEP")
        span_ms = milliseconds(duration)
        until = datetime.now(UTC) + timedelta(milliseconds=span_ms)
        await self._report(lambda: self._run.sleep_begins(step, until))
        await self._pause(step, lambda: self._engine.sleep(name, span_ms))

    async def sleep_until(self, name: str, when: datetime) -> None:
        """Sleep until a datetime with a time zone; one in the past ends the sleep at once."""
        if when.tzinfo is None:
            raise ValueError(f"when must have a time zone, such as datetime.now(UTC); got {when}")
        step = self._run.step(name, "SLEEP")
        if when <= datetime.now(UTC):
            self._note(lambda: self._run.step_completes(step))
            return

        async def engine() -> None:
            try:
                await self._engine.sleep_until(name, when)
            except Exception as error:
                # The engine refuses times in the past, even when it replays a sleep that has
                # ended (miniflare 5.20261117.0, 2026-11-25).
                if is_abort(error) or when > datetime.now(UTC):
                    raise

        await self._report(lambda: self._run.sleep_begins(step, when))
        await self._pause(step, engine)

    async def wait_for_event(
        self, name: str, type: str, *, timeout: Duration = timedelta(hours=24)
    ) -> Any:
        """Wait for an event of a type and return it: `payload`, `timestamp`, `type`. The instance
        is WAITING meanwhile. Past the timeout the engine raises."""
        step = self._run.step(name, "WAIT_FOR_EVENT")
        span_ms = milliseconds(timeout)
        await self._report(lambda: self._run.wait_begins(step))
        return await self._pause(
            step, lambda: self._engine.wait_for_event(name, type, timeout=span_ms)
        )

    async def begin(self) -> None:
        """Read the service's record: the run's number, and the steps that are recorded already."""
        try:
            self._outbox.note_history(await self._reports.recall())
        except Unreachable as error:
            # Then the steps that the engine remembers are reported again, without effect.
            self._outbox.note_failure(error)
        except FlowflareError as error:
            _log.warning(
                "instance %r: its record could not be read: %s", self._run.instance_id, error
            )
        except Exception as error:
            _log.error("instance %r: %s", self._run.instance_id, type(error).__name__)

    async def finish(self, output: Any) -> None:
        """Record that the run has returned, and deliver the updates that are left."""
        self._note(lambda: self._run.completes(recorded(output)))
        await self._deliver()

    async def fail(self, error: BaseException) -> None:
        """Record that the run has raised. A run that the engine has stopped has not failed."""
        if is_abort(error):
            await self._stop(error)
            return
        if not isinstance(error, Exception):
            self._outbox.close()
            return
        known = self._raised
        failure = known[1] if known and known[0] is error else described(error)
        self._note(lambda: self._run.fails(failure))
        await self._deliver()

    async def _task(self, name: str, work: Work, settings: Mapping[str, Any] | None) -> Any:
        task = _Task(self, self._run.step(name, "TASK"), work)
        decorate = self._engine.do(name, config=settings) if settings else self._engine.do(name)
        try:
            result = await decorate(task.attempt)()
        except Exception as error:
            if not is_abort(error):
                failure = task.failure or described(error)
                self._raised = (error, failure)
                self._note(lambda: self._run.step_fails(task.step, failure))
            raise
        returned = task.result if task.has_result else result
        # The engine knows only "output" so far.
        output = REDACTED if (settings or {}).get("sensitive") else recorded(returned)
        self._note(lambda: self._run.step_completes(task.step, output))
        return result

    async def _pause(self, step: Step, engine: Callable[[], Any]) -> Any:
        try:
            result = await engine()
        except Exception as error:
            if not is_abort(error):
                failure = described(error)
                self._raised = (error, failure)
                self._note(lambda: self._run.step_fails(step, failure))
            raise
        self._note(lambda: self._run.step_completes(step, _pause_output(step, result)))
        return result

    def _note(self, plan: Callable[[], list[Update]]) -> None:
        """Queue updates, which travel with the next ones that are sent."""
        try:
            self._outbox.put(*plan())
        except Exception as error:
            _log.error("instance %r: %s", self._run.instance_id, type(error).__name__)

    async def _report(self, plan: Callable[[], list[Update]]) -> None:
        """Send updates, after those that are queued, and wait until they have arrived."""
        self._note(plan)
        try:
            await self._outbox.flush()
        except Exception as error:
            _log.error("instance %r: %s", self._run.instance_id, type(error).__name__)

    async def _deliver(self) -> None:
        """Deliver what is queued; if the service is away, as a step that the engine retries."""
        if not await self._outbox.drain():

            async def deliver() -> int:
                if not await self._outbox.drain():
                    raise Undelivered(f"{len(self._outbox)} updates are waiting for the service")
                return self._outbox.calls

            config = {"retries": self._delivery.as_config()}
            try:
                await self._engine.do(DELIVERY_STEP, config=config)(deliver)()
            except Exception as error:
                if is_abort(error):
                    self._outbox.close()
                    raise
        self._outbox.close()

    async def _stop(self, error: BaseException) -> None:
        """The engine has ended the run: report the steps that have ended, unless it is restarted.
        Whoever ended it reports the instance's status."""
        restarted = "restart" in message_of(error)
        await self._outbox.abandon(lambda update: update.ends_step and not restarted)


class _Task:
    """The work of one step, which the engine calls for each attempt."""

    def __init__(self, tracked: TrackedStep, step: Step, work: Work) -> None:
        self.step = step
        self.was_called = False
        self.has_result = False
        self.result: Any = None
        self.failure: Mapping[str, str] | None = None
        self._tracked = tracked
        self._work = work

    async def attempt(self, ctx: Any = None) -> Any:
        """Run one attempt, as the engine's callback."""
        self.was_called = True
        number, timeout_ms = self._number_and_timeout(ctx)
        run, step = self._tracked._run, self.step
        if self.has_result:
            # The engine could not clone the result of the attempt before, and tries again.
            self._tracked._note(lambda: run.attempt_fails(step, _NOT_TAKEN, retry_at=None))
        self.result, self.has_result = None, False
        await self._tracked._report(lambda: run.attempt_begins(step, number))
        timer = asyncio.ensure_future(self._time_out(number, timeout_ms))
        try:
            result = await call(self._work, Attempt(number, ctx))
            _check_result(result)
        except Exception as error:
            if is_abort(error):
                raise
            await self._failed(number, described(error), again=is_retryable(error))
            if not is_retryable(error) and type(error).__name__ != NonRetryableError.__name__:
                # The engine recognises it by the name of the class alone.
                raise NonRetryableError(message_of(error)) from error
            raise
        finally:
            timer.cancel()
        if step.is_open and step.attempt == number:
            # The engine reports nothing about earlier attempts from here on.
            self.result, self.has_result, self.failure = result, True, None
        return result

    def _number_and_timeout(self, ctx: Any) -> tuple[int, int | None]:
        """The attempt's number and time limit, from the engine's context."""
        context = ctx if isinstance(ctx, Mapping) else {}
        config = context.get("config") or {}
        self.step.retries = retries_of(config)
        try:
            timeout_ms = milliseconds(config["timeout"])
        except (KeyError, TypeError, ValueError):
            timeout_ms = None
        return int(context.get("attempt") or self.step.attempt + 1), timeout_ms

    async def _time_out(self, number: int, timeout_ms: int | None) -> None:
        """Report an attempt that times out, because the engine does not notify the workflow."""
        if timeout_ms is None:
            return
        await asyncio.sleep(timeout_ms / 1000)
        message = f"Execution timed out after {timeout_ms}ms"
        failure = {"name": "WorkflowTimeoutError", "message": message}
        await self._failed(number, failure, again=True)

    async def _failed(self, number: int, failure: Mapping[str, str], *, again: bool) -> None:
        run, step = self._tracked._run, self.step
        if not step.is_open or step.attempt != number:
            return  # this attempt had timed out, and another one has begun
        self.failure = failure
        delay = step.retries.delay_after(number) if step.retries else None
        if not again or (step.retries is not None and delay is None):
            await self._tracked._report(lambda: run.step_fails(step, failure))
            return
        retry_at = None if delay is None else _later(delay)
        await self._tracked._report(lambda: run.attempt_fails(step, failure, retry_at=retry_at))


def _check_result(result: Any) -> None:
    if IN_WORKER:
        from flowflare.edge import check_result  # noqa: PLC0415 - exists only in a Worker

        check_result(result)


def is_abort(error: BaseException) -> bool:
    """True if the engine has ended the run: paused, terminated or restarted it."""
    return ABORTED in message_of(error)


def _pause_output(step: Step, result: Any) -> Recorded | None:
    """The output of a pause: the payload of an event, as the JavaScript client records it."""
    if step.kind == "SLEEP":
        return None
    if not isinstance(result, Mapping):
        return recorded(result)
    return REDACTED if result.get("sensitive") else recorded(result.get("payload"))


def _later(delay: timedelta) -> datetime | None:
    try:
        return datetime.now(UTC) + delay
    except OverflowError:
        return None


def _config(
    config: Mapping[str, Any] | None, retries: Retries | None, timeout: Duration | None
) -> dict[str, Any] | None:
    """A step's config in the form that the engine accepts; None leaves everything to the engine."""
    settings = dict(config or {})
    if retries is not None:
        settings["retries"] = retries.as_config()
    if timeout is not None:
        settings["timeout"] = milliseconds(timeout)
    return settings or None
