"""Reconciliation: the cron job that repairs lost notifications, lost starts and drift."""

import json
import logging
import time
from collections import Counter
from collections.abc import Sequence

from resolvers.base.limits import RECONCILE_BATCH, RECONCILE_PAGE, RECONCILE_SECONDS
from resolvers.engine import repairs
from resolvers.engine.drift import Remedy, Tracked, remedy
from resolvers.ports.database import Database, DatabaseError, Statement
from resolvers.ports.engine import Engine, EngineError, Key
from resolvers.ports.sql import HEAD
from resolvers.writing.instances import forget_engine_input

_log = logging.getLogger("flowflare")

_NEVER_REPORTED = (
    "The engine has no instance with this id, and nothing was reported about it for a long time."
)
_NO_INPUT = (
    "The engine has no instance with this id, and its input is not known: a part of it is scrubbed."
)


async def renotify_trackers(database: Database) -> None:
    """Notify the trackers if the log has grown since the last run, in case a notification was lost.

    The write to `trackers` notifies them, like any write. It changes nothing if the log is idle.
    """
    await database.batch([Statement(f"UPDATE trackers SET checked={HEAD} WHERE checked<{HEAD}")])


async def reconcile(database: Database, engine: Engine) -> dict[str, int]:
    """Compare the unfinished instances of bound workflows with the engine, and repair differences.

    Starts that the engine never got are requested again, and instances that are not followed are
    handed over to the follower. Where that follows, a difference that the history has not told is
    repaired by the next run. Returns the number of instances that were "repaired", "started",
    "given up", and of those for which the engine "failed".

    A run compares up to RECONCILE_BATCH queued instances and as many others, for RECONCILE_SECONDS
    at most. The next run continues after the last compared instance.
    """
    counts: Counter[str] = Counter()
    if engine.workflows:
        run = _Run(database, engine, counts)
        for lane in repairs.LANES:
            await run.reconcile_lane(lane)
    if counts:
        _log.info("Reconciled with the engine: %s", dict(counts))
    return dict(counts)


class _Run:
    """One run of the cron job."""

    def __init__(self, database: Database, engine: Engine, counts: Counter[str]) -> None:
        self._database = database
        self._engine = engine
        self._counts = counts
        self._deadline = time.monotonic() + RECONCILE_SECONDS

    @property
    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    async def reconcile_lane(self, lane: str) -> None:
        """Compare the pages of a lane until its end or a limit of the run is reached."""
        for _ in range(0, RECONCILE_BATCH, RECONCILE_PAGE):
            page = repairs.page(lane, sorted(self._engine.workflows))
            [outcome] = await self._database.batch([page])
            rows = json.loads(outcome.text)
            writes, handed_over = await self._compare([repairs.tracked(row) for row in rows])
            more = len(rows) == RECONCILE_PAGE
            position = json.dumps(rows[-1][:2]) if more else repairs.START
            await self._write([*writes, repairs.store_position(lane, position)])
            # Afterwards, because the history supersedes what was written.
            await self._engine.follow(handed_over)
            if not more or self._is_late:
                return

    async def _compare(self, instances: Sequence[Tracked]) -> tuple[list[Statement], list[Key]]:
        """Compare the instances of a page with the engine.

        Returns the writes that repair them, and those to hand over to the follower.
        """
        settled = [instance for instance in instances if not instance.recent]
        states = await self._engine.get_statuses([instance.key for instance in settled])
        writes, starts = [], []
        if not self._engine.follows:
            # Nobody follows them any longer, so reports must have effect again.
            writes += [repairs.fall_behind(i) for i in instances if i.followed]
        # Those that change often are never settled.
        handed_over = [i.key for i in instances if i.recent and not i.followed]
        for instance, state in zip(settled, states, strict=True):
            if isinstance(state, EngineError):
                self._count_failure(instance, state)
                continue
            decision = remedy(instance, state)
            if state.status and (decision is Remedy.REPAIR or not instance.followed):
                handed_over.append(instance.key)
            match decision:
                case Remedy.REPAIR if self._engine.follows and not instance.behind:
                    # Its history may yet tell the difference, with the engine's times.
                    writes.append(repairs.fall_behind(instance))
                case Remedy.REPAIR:
                    self._counts["repaired"] += 1
                    writes.append(repairs.repair(instance, state))
                case Remedy.GIVE_UP:
                    self._counts["given up"] += 1
                    writes.append(repairs.give_up(instance, _NEVER_REPORTED))
                case Remedy.START:
                    starts.append(instance)
        return [*writes, *await self._start(starts)], handed_over

    async def _start(self, instances: Sequence[Tracked]) -> list[Statement]:
        """Request starts again that the engine never got.

        Returns the writes that give up those it has refused for too long.
        """
        if not instances:
            return []
        outcomes = await self._database.batch([repairs.awaiting(i) for i in instances])
        writes = []
        for instance, outcome in zip(instances, outcomes, strict=True):
            if self._is_late:
                continue
            if outcome.text is None:
                # It has changed meanwhile, so this writes nothing; or its input is scrubbed.
                if instance.silent:
                    writes.append(repairs.give_up(instance, _NO_INPUT))
                continue
            try:
                await self._engine.create(*instance.key, params=outcome.text)
                self._counts["started"] += 1
                writes.append(forget_engine_input(*instance.key))
            except EngineError as error:
                self._count_failure(instance, error)
                if instance.silent:
                    self._counts["given up"] += 1
                    message = f"The engine never accepted it: {error}."
                    writes.append(repairs.give_up(instance, message))
        return writes

    async def _write(self, statements: Sequence[Statement]) -> None:
        """Run all statements in one transaction, or one by one if that fails.

        So one failing repair does not prevent the others.
        """
        try:
            await self._database.batch(statements)
        except DatabaseError:
            for statement in statements:
                try:
                    await self._database.batch([statement])
                except DatabaseError as error:
                    _log.error("A repair failed: %s", error)

    def _count_failure(self, instance: Tracked, error: EngineError) -> None:
        self._counts["failed"] += 1
        workflow, instance_id = instance.key
        _log.warning("The engine failed for instance %s of %s: %s", instance_id, workflow, error)
