"""The queue of updates to the service: ordered, bounded, and sent one batch at a time.

Nothing here fails the workflow: an update that cannot be delivered is logged by its label,
without its content.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from flowflare.errors import Denied, Refused, Unreachable

MAX_UPDATES = 1_000
MAX_BYTES = 16_000_000
MAX_BATCH_UPDATES = 100
MAX_BATCH_BYTES = 1_500_000
"""Below the service's limit for the body of a request (docs/limits.md)."""
LINGER_S = 0.25
"""Time that the end of a step waits for the start of the next, to travel in one call."""
FIRST_RETRY_S = 0.25
MAX_RETRY_S = 10.0
HOLD_S = 30.0
"""Time after which the service is asked again whether it follows the instance."""
_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Times to wait, one after the other, for the first part of a history."""
_RUN_MISMATCH = "RUN_MISMATCH"

_log = logging.getLogger("flowflare")


History = Literal["none", "awaited", "recorded"]
"""State of the service's record of the engine's history of an instance. With a history it needs no
updates. One that is `awaited` will be recorded, unless its first part cannot be read."""


@dataclass(frozen=True, slots=True)
class Update:
    """One `TrackingUpdate` of a run, with a label for the log."""

    kind: Literal["instance", "step"]
    members: str
    """JSON of its members, without those that every update of the run has."""
    label: str
    ends_step: bool = False
    creates: bool = False
    """True if the service would refuse all later updates without this one; never dropped then."""
    is_needed: bool = False
    """True if it has what the engine's history lacks: a stack, a reference, or metadata."""


class Service(Protocol):
    """Accepts updates."""

    async def track(self, updates: Sequence[Update]) -> bool:
        """Apply them all, or raise a FlowflareError. True if the service follows the instance."""
        ...

    async def history(self) -> History:
        """State of the service's record of the engine's history; may raise a FlowflareError."""
        ...


class Outbox:
    """The updates of one run. There is one sender at a time, so that retries keep the order too; a
    repeated update changes nothing in the service. Once a restart of the instance has begun the
    next run, all updates are dropped.

    If the service follows the instance, it has most updates from the engine's history. They are
    then held until the service is asked again: if it still follows, they are dropped, else sent.
    Those that it needs are sent at once, after the updates before them."""

    def __init__(
        self,
        service: Service,
        subject: str,
        *,
        max_updates: int = MAX_UPDATES,
        max_bytes: int = MAX_BYTES,
        linger_s: float = LINGER_S,
        hold_s: float = HOLD_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._service = service
        self._subject = subject
        self._max_updates = max_updates
        self._max_bytes = max_bytes
        self._linger_s = linger_s
        self._hold_s = hold_s
        self._first_retry_s = first_retry_s
        self._queue: list[Update] = []
        self._bytes = 0
        self._in_flight = 0
        # Positions: of the last update that was put, the last that has to be sent now, the last
        # that has left the queue, and the last that was sent without an answer.
        self._put = 0
        self._wanted = 0
        self._gone = 0
        self._uncertain = 0
        self._failures = 0
        self._is_superseded = False
        # The history, the time at which the service said last that it has it, and the number of
        # updates that were dropped since then.
        self._history: History = "none"
        self._followed_at = 0.0
        self._spilled = 0
        self._one_at_a_time = asyncio.Lock()
        self._sender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.calls = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_away(self) -> bool:
        """True if the last call failed, so that no caller should wait for the next one."""
        return self._failures > 0

    @property
    def _holds(self) -> bool:
        return self._history != "none"

    @property
    def _has_needed(self) -> bool:
        return any(update.is_needed for update in self._queue)

    def put(self, *updates: Update) -> None:
        """Queue updates; they are sent with the next `flush`, or after a short time without one."""
        if self._is_superseded:
            return
        for update in updates:
            self._queue.append(update)
            self._bytes += len(update.members)
            self._put += 1
        self._drop_excess()
        self._linger()

    def note_history(self, history: History) -> None:
        """Record what the service has said of the engine's history."""
        self._history = history
        self._followed_at = asyncio.get_running_loop().time()

    async def flush(self) -> None:
        """Send the queue and wait until it has arrived; does not wait while the service is away, or
        for updates that are held."""
        if not self._queue or (self._holds and not self._has_needed):
            return
        self._start()
        if self.is_away:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((self._put, waiter))
        await waiter

    async def drain(self) -> bool:
        """Try once, now, to send everything; True if nothing is left."""
        async with self._one_at_a_time:
            self._stop()
            while self._queue:
                try:
                    await self._send_batch()
                except Unreachable as error:
                    self.note_failure(error)
                    return False
        return True

    async def abandon(self, keep: Callable[[Update], bool]) -> None:
        """Drop all updates that `keep` does not select, and try once to send the others."""
        async with self._one_at_a_time:
            self._stop()
            self._queue = [update for update in self._queue if keep(update)]
            self._bytes = sum(len(update.members) for update in self._queue)
        await self.drain()
        self._gone += len(self._queue)
        self._queue.clear()

    def note_failure(self, error: Unreachable) -> None:
        """Record that a call was not answered, so the updates are kept."""
        self._failures += 1
        if self._failures == 1:
            _log.warning("%s: the service is away, updates are kept: %s", self._subject, error)
        self._wake(everyone=True)

    def close(self) -> None:
        """Stop. Updates that are left are lost, which is logged."""
        self._stop()
        self.lost += len(self._queue)
        if self._queue:
            labels = ", ".join(update.label for update in islice(self._queue, 5))
            _log.error(
                "%s: %d updates could not be delivered to the service, first: %s",
                self._subject,
                len(self._queue),
                labels,
            )
        self._queue.clear()

    def _linger(self) -> None:
        """Send the queue after a short time, unless a `flush` sends it first."""
        if self._queue and self._timer is None and self._sender is None:
            loop = asyncio.get_running_loop()
            delay = self._linger_s
            if self._holds:
                delay = max(0, self._followed_at + self._hold_s - loop.time())
            self._timer = loop.call_later(delay, self._start)

    def _start(self) -> None:
        self._cancel_timer()
        self._wanted = self._put
        if self._sender is None and self._queue:
            self._sender = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._queue and self._gone < self._wanted:
                try:
                    async with self._one_at_a_time:
                        await self._send_batch()
                except Unreachable as error:
                    self.note_failure(error)
                    pause = self._first_retry_s * 2 ** min(self._failures - 1, 16)
                    await asyncio.sleep(min(pause, MAX_RETRY_S))
        finally:
            if self._sender is asyncio.current_task():
                self._sender = None
                self._linger()
            self._wake(everyone=True)

    async def _send_batch(self) -> None:
        """Send the oldest updates; raises Unreachable, and then they stay.

        If the run is no longer the current one, all updates are dropped. If the service follows the
        instance, those that it does not need are dropped.
        """
        if not self._queue:
            return
        if self._history == "none" or (self._history == "recorded" and self._has_needed):
            await self._send_next()
        else:
            await self._ask()
        if self._holds:
            self._drop_held()
        elif self._spilled:
            self._lose(self._spilled)
            self._spilled = 0

    async def _ask(self) -> None:
        """Ask whether the service still has the history; raises Unreachable, also if the first part
        of it is awaited for too long."""
        for pause in (*_WAITS_S, None):
            self.calls += 1
            try:
                history = await self._service.history()
            except Unreachable:
                raise
            except Exception:
                # The updates are sent then, which shows what is wrong.
                history = "none"
            self._failures = 0
            if history != "awaited":
                self.note_history(history)
                return
            if pause is not None:
                await asyncio.sleep(pause)
        raise Unreachable("the engine's history is not recorded yet")

    def _drop_held(self) -> None:
        """Drop the updates that the service has from the history."""
        kept = [update for update in self._queue if update.is_needed]
        self._gone += len(self._queue) - len(kept)
        self._queue = kept
        self._bytes = sum(len(update.members) for update in kept)
        self._spilled = 0
        self._wake()

    async def _send_next(self) -> None:
        """Send the oldest updates; raises Unreachable, and then they stay."""
        batch = self._batch()
        self._in_flight = len(batch)
        try:
            if not await self._is_refused(batch, logs=len(batch) == 1):
                self._confirm(len(batch))
                return
            if len(batch) == 1:
                self._confirm(1)
                return
            # A batch is applied as a whole or not at all, so find the update that is refused.
            for update in batch:
                await self._is_refused([update], logs=True)
                self._confirm(1)
        except Refused as error:
            self._supersede(error)
        finally:
            self._in_flight = 0

    async def _is_refused(self, batch: Sequence[Update], *, logs: bool) -> bool:
        """Send updates; true if the service refuses one of them.

        Raises Unreachable, or Refused if they belong to an earlier run.
        """
        self.calls += 1
        try:
            # Without a history before, it is now that its first part is recorded.
            self.note_history("recorded" if await self._service.track(batch) else "none")
        except Unreachable:
            self._uncertain = max(self._uncertain, self._gone + len(batch))
            raise
        except Denied as error:
            # All updates will be refused until somebody corrects the key.
            _log.error("%s: the service denies access: %s", self._subject, error)
            self.lost += len(batch)
            return False
        except Refused as error:
            if error.code == _RUN_MISMATCH:
                raise
            if logs:
                # It may have been applied before, when only the answer got lost.
                repeated = self._gone < self._uncertain and error.code == "ILLEGAL_TRANSITION"
                level = logging.INFO if repeated else logging.WARNING
                _log.log(level, "%s: %s was refused: %s", self._subject, batch[0].label, error)
            return True
        except Exception as error:
            # An unforeseen error must not reach the workflow; the updates are sent again.
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        self._failures = 0
        return False

    def _batch(self) -> list[Update]:
        batch: list[Update] = []
        size = 0
        for update in islice(self._queue, MAX_BATCH_UPDATES):
            size += 4 * len(update.members) if not update.members.isascii() else len(update.members)
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(update)
        return batch

    def _confirm(self, count: int) -> None:
        self._bytes -= sum(len(update.members) for update in self._queue[:count])
        del self._queue[:count]
        self._in_flight -= count
        self._gone += count
        self._failures = 0
        self._wake()

    def _supersede(self, error: Refused) -> None:
        """Drop the updates of this run, present and future: a restart has begun the next one."""
        _log.info(
            "%s: it was restarted, so %d updates of the run before are dropped: %s",
            self._subject,
            len(self._queue),
            error,
        )
        self._is_superseded = True
        self._bytes = 0
        self._failures = 0
        self._gone += len(self._queue)
        self._queue.clear()
        self._wake()

    def _wake(self, *, everyone: bool = False) -> None:
        """Wake the callers whose updates have left the queue, or all callers."""
        still = []
        for position, waiter in self._waiting:
            if everyone or position <= self._gone:
                if not waiter.done():
                    waiter.set_result(None)
            else:
                still.append((position, waiter))
        self._waiting = still

    def _drop_excess(self) -> None:
        dropped = 0
        while len(self._queue) > self._max_updates or self._bytes > self._max_bytes:
            oldest = next(
                (
                    number
                    for number in range(self._in_flight, len(self._queue) - 1)
                    if not self._queue[number].creates
                ),
                None,
            )
            if oldest is None:
                break
            self._bytes -= len(self._queue.pop(oldest).members)
            self._gone += 1
            dropped += 1
        if self._holds:
            self._spilled += dropped
        elif dropped:
            self._lose(dropped)

    def _lose(self, count: int) -> None:
        self.lost += count
        _log.error("%s: too many updates are waiting; dropped the oldest %d", self._subject, count)

    def _stop(self) -> None:
        """Cancel the sender; called between two calls, or when the last call no longer matters."""
        self._cancel_timer()
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.cancel()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
