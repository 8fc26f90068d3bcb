"""What the cron trigger repairs: pokes that were lost, starts that were, and drift."""

import json
import logging
import time
from collections import Counter
from collections.abc import Sequence

from resolvers.base.limits import RECONCILE_BATCH, RECONCILE_PAGE, RECONCILE_SECONDS
from resolvers.engine import repairs
from resolvers.engine.drift import Remedy, Tracked, remedy
from resolvers.ports.database import Database, DatabaseError, Statement
from resolvers.ports.engine import Engine, EngineError
from resolvers.ports.sql import HEAD

_log = logging.getLogger("flowflare")


async def renotify_trackers(database: Database) -> None:
    """Have the tracker look at the log, where it has grown since this was last asked for: what a
    lost poke left behind is found then.

    Writing to `trackers` is what pokes them, like any write; an idle log wakes no one.
    """
    await database.batch([Statement(f"UPDATE trackers SET checked={HEAD} WHERE checked<{HEAD}")])


async def reconcile(database: Database, engine: Engine) -> dict[str, int]:
    """Compare the unfinished instances of bound workflows with the engine, and bring them to what
    it says; ask it again for starts that it never got. Returns how many of each there were.

    A run takes on RECONCILE_BATCH starts, as many others, and RECONCILE_SECONDS. The next one goes
    on where it ended, so all have their turn.
    """
    done: Counter[str] = Counter()
    if engine.workflows:
        run = _Run(database, engine, done)
        for lane in repairs.LANES:
            await run.lane(lane)
    if done:
        _log.info("Reconciled with the engine: %s", dict(done))
    return dict(done)


class _Run:
    """One run of the trigger."""

    def __init__(self, database: Database, engine: Engine, done: Counter[str]) -> None:
        self._database = database
        self._engine = engine
        self._done = done
        self._deadline = time.monotonic() + RECONCILE_SECONDS

    @property
    def _late(self) -> bool:
        return time.monotonic() > self._deadline

    async def lane(self, lane: str) -> None:
        """Pages of a lane, until they or the run's limits end."""
        for _ in range(0, RECONCILE_BATCH, RECONCILE_PAGE):
            page = repairs.page(lane, sorted(self._engine.workflows))
            [outcome] = await self._database.batch([page])
            rows = json.loads(outcome.text)
            writes = await self._compare([repairs.tracked(row) for row in rows])
            more = len(rows) == RECONCILE_PAGE
            place = json.dumps(rows[-1][:2]) if more else repairs.START
            await self._write([*writes, repairs.keep_place(lane, place)])
            if not more or self._late:
                return

    async def _compare(self, instances: Sequence[Tracked]) -> list[Statement]:
        """The writes that the instances of a page need."""
        asked = [instance for instance in instances if not instance.recent]
        answers = await self._engine.get_statuses([(i.workflow, i.instance_id) for i in asked])
        writes, starts = [], []
        for instance, state in zip(asked, answers, strict=True):
            if isinstance(state, EngineError):
                self._failed(instance, state)
                continue
            match remedy(instance, state):
                case Remedy.REPAIR:
                    self._done["repaired"] += 1
                    writes.append(repairs.repair(instance, state))
                case Remedy.GIVE_UP:
                    self._done["given up"] += 1
                    reason = "The engine has no instance of this id, and nothing was reported on it"
                    writes.append(repairs.give_up(instance, f"{reason} for long."))
                case Remedy.START:
                    starts.append(instance)
        return [*writes, *await self._start(starts)]

    async def _start(self, instances: Sequence[Tracked]) -> list[Statement]:
        """Ask the engine again for starts that it never got; the writes for those it refuses for
        good."""
        if not instances:
            return []
        outcomes = await self._database.batch([repairs.awaiting(i) for i in instances])
        writes = []
        for instance, outcome in zip(instances, outcomes, strict=True):
            if outcome.text is None or self._late:
                continue
            try:
                await self._engine.create(instance.workflow, instance.instance_id, outcome.text)
                self._done["started"] += 1
            except EngineError as error:
                self._failed(instance, error)
                if instance.silent:
                    self._done["given up"] += 1
                    message = f"The engine never took it: {error}."
                    writes.append(repairs.give_up(instance, message))
        return writes

    async def _write(self, statements: Sequence[Statement]) -> None:
        """All in one transaction; one by one where that fails, so that none holds up the others."""
        try:
            await self._database.batch(statements)
        except DatabaseError:
            for statement in statements:
                try:
                    await self._database.batch([statement])
                except DatabaseError as error:
                    _log.error("A repair failed: %s", error)

    def _failed(self, instance: Tracked, error: EngineError) -> None:
        self._done["failed"] += 1
        _log.warning("The engine, asked for %s: %s", instance.instance_id, error)
