"""Polling: reading the log once for all subscribers of a shard.

Subscribers of one plan at one position are a group, which is read for once. All live groups share
`live_position` and advance together. Later ones catch up window by window in the same D1 batches,
so they meet the live groups exactly at their position. A result is stored before anything of it is
sent, so a poll that gets lost is simply made again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.access.principals import Principal
from resolvers.base.foreign_errors import TOO_BIG_MESSAGE
from resolvers.base.limits import (
    D1_MAX_STRING_BYTES,
    MAX_POLL_EVENTS,
    MAX_POLL_REPLAYS,
    MAX_POLL_STATEMENTS,
    MAX_RESULT_BYTES,
)
from resolvers.executing.reporting import report
from resolvers.ports.database import Database, DatabaseError, Outcome, Statement, share_of
from resolvers.ports.sql import HEAD
from resolvers.subscriptions.plans import Touched
from tracker_do.polls import Advance, Group, PollRequest, PollResult
from tracker_do.replays import OwnEvents, Replay, find_own_events, refusal

HEAD_OF_LOG = Statement(f"SELECT {HEAD}")
MAX_POSITION = 2**53 - 1  # after every event; JavaScript represents no larger integer exactly
# Fails if the database as a whole cannot read the tables that plans read.
_PROBE = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM events e JOIN instances i ON i.id=e.instance LIMIT 1)"
)
_SHRINK = 8


@dataclass(frozen=True, slots=True)
class _Read:
    """One read for a group: the events of a window; with `initial`, the current object.

    An `empty` read runs no statement: the group only needs the head of the log.
    """

    group: int
    after: int
    to: int
    initial: bool = False
    empty: bool = False


async def poll(database: Database, request: PollRequest, window: int) -> PollResult:
    """Read the log for all groups, at most `window` events each.

    Raises DatabaseError if the database did not answer. A group whose own statement fails is
    refused, and the others go on.
    """
    widest = widest_window(request.groups)
    window = min(window, widest)
    attempt = _Poll(database, request)
    while True:
        try:
            result = await attempt.run(window)
        except DatabaseError as error:
            if error.is_too_big and window > 1:
                window = max(1, window // _SHRINK)
                continue
            if not error.is_of_statement:
                raise
            await attempt.isolate(error)
            continue
        result.window = min(window * 2, MAX_POLL_EVENTS)
        # Only Python lets windows grow, so JavaScript repeats no poll whose window still grows.
        result.repeatable = result.repeatable and result.window >= widest
        return result


def widest_window(groups: Sequence[Group]) -> int:
    """The number of events that one poll may read for each of these groups."""
    return min((group.plan.window for group in groups), default=MAX_POLL_EVENTS)


async def unregister(database: Database, shard: str) -> None:
    """Have writes stop notifying a shard, because it has no subscribers."""
    await database.batch([Statement("DELETE FROM trackers WHERE shard=?1", (shard,))])


class _Poll:
    def __init__(self, database: Database, request: PollRequest) -> None:
        self._database = database
        self._request = request
        self._groups = request.groups
        self._refused: dict[int, list[dict[str, Any]]] = {}
        # The reads of the last batch.
        self._tried: Sequence[_Read] = ()

    @property
    def _live(self) -> list[int]:
        return [
            n
            for n, group in enumerate(self._groups)
            if group.position is None and n not in self._refused
        ]

    async def run(self, window: int) -> PollResult:
        """Try once, without the groups that were refused."""
        live = self._live
        upper = self._upper(live, window)
        first = [HEAD_OF_LOG]
        if not self._request.registered:
            # In the batch that reads the head: writes after it notify the shard.
            first.append(_registration(self._request.shard))
        prologue = len(first)
        # With many plans, it is cheaper to find out first which of them the events may concern.
        asks_first = len(live) > MAX_POLL_STATEMENTS
        reads = [] if asks_first else self._reads(live, upper, window)
        together = self._tried = reads[:MAX_POLL_STATEMENTS]
        if asks_first:
            first.append(Touched.statement(self._request.live_position, upper))
        else:
            first += self._statements(together, share=share_of(len(reads)))
        outcomes = await self._database.batch(first)
        head = int(outcomes[0].text)
        found = list(outcomes[prologue:])
        upper = min(upper, head)
        if asks_first:
            touched = Touched(json.loads(found.pop().text))
            concerned = [n for n in live if self._groups[n].plan.concerns(touched)]
            reads = self._reads(concerned, upper, window)
        for start in range(len(together), len(reads), MAX_POLL_STATEMENTS):
            # These batches see a later log, but read no further than the head of the first.
            self._tried = reads[start : start + MAX_POLL_STATEMENTS]
            chunk = self._statements(self._tried, head, share=share_of(len(reads)))
            found += await self._database.batch(chunk) if chunk else ()
        executed = [read for read in reads if not read.empty]
        texts = dict(zip(executed, await self._reread(executed, found, head), strict=True))
        own = await self._find_own_events(reads, upper)
        return self._result(live, reads, texts, own, head=head, upper=upper)

    async def isolate(self, error: DatabaseError) -> None:
        """Refuse the groups whose own statements fail; raise the error if none does."""
        await self._database.batch([_PROBE])
        before = len(self._refused)
        await self._refuse_failing(self._tried)
        if len(self._refused) == before:
            raise error

    async def _refuse_failing(self, reads: Sequence[_Read]) -> None:
        """Search by halves, which takes few round trips however many reads succeed."""
        try:
            statements = self._statements(reads)
            outcomes = await self._database.batch(statements) if statements else ()
            if any(outcome.is_oversized for outcome in outcomes):
                raise DatabaseError(TOO_BIG_MESSAGE)
        except DatabaseError as error:
            if not error.is_of_statement:
                raise
            if len(reads) == 1:
                self._refused[reads[0].group] = report(error).errors
                return
            middle = len(reads) // 2
            await self._refuse_failing(reads[:middle])
            await self._refuse_failing(reads[middle:])

    def _upper(self, live: Sequence[int], window: int) -> int:
        """The position that the live groups may advance to: not past a group ahead of them, which
        waits there to become live."""
        if not live:
            return MAX_POSITION
        live_position = self._request.live_position
        others = (int(group.position) for group in self._groups if group.position)
        return min([live_position + window, *(n for n in others if n > live_position)])

    def _reads(self, live: Sequence[int], upper: int, window: int) -> list[_Read]:
        """The reads of live groups, then of groups that catch up, MAX_POLL_REPLAYS at most."""
        reads = [_Read(n, self._request.live_position, upper) for n in live]
        replays = 0
        for n, group in enumerate(self._groups):
            if group.position is None or n in self._refused:
                continue
            if group.position == "":
                is_events = group.plan.selects_events
                reads.append(_Read(n, 0, MAX_POSITION, initial=not is_events, empty=is_events))
            elif (after := int(group.position)) < upper:
                replays += 1
                if replays <= MAX_POLL_REPLAYS:
                    reads.append(_Read(n, after, min(after + window, upper)))
            elif isinstance(group.position, str):
                # Its cursor is ahead of the live groups: it waits, unless it is ahead of the head.
                reads.append(_Read(n, after, after, empty=True))
        return reads

    def _statements(
        self, reads: Sequence[_Read], head: int = MAX_POSITION, *, share: int | None = None
    ) -> list[Statement]:
        share = share or share_of(len(reads))
        return [
            self._groups[read.group].plan.statement(
                read.after, min(read.to, head), initial=read.initial, max_bytes=share
            )
            for read in reads
            if not read.empty
        ]

    async def _reread(
        self, reads: Sequence[_Read], outcomes: Sequence[Outcome], head: int
    ) -> list[Outcome]:
        """Read texts that were longer than their share of a batch, as long as all texts together
        stay within MAX_RESULT_BYTES. The others remain oversized."""
        room = MAX_RESULT_BYTES - sum(o.size for o in outcomes if not o.is_oversized)
        again = []
        for number, outcome in enumerate(outcomes):
            if outcome.is_oversized and outcome.size > D1_MAX_STRING_BYTES:
                raise DatabaseError(TOO_BIG_MESSAGE)
            if outcome.is_oversized and outcome.size <= room:
                room -= outcome.size
                again.append(number)
        found = list(outcomes)
        if again:
            self._tried = [reads[number] for number in again]
            statements = self._statements(self._tried, head, share=D1_MAX_STRING_BYTES)
            for number, outcome in zip(again, await self._database.batch(statements), strict=True):
                found[number] = outcome
        return found

    async def _find_own_events(self, reads: Sequence[_Read], upper: int) -> dict[int, OwnEvents]:
        """The own events behind the windows of long replays, for callers that have few."""
        replays = []
        for read in reads:
            position, caller = self._groups[read.group].position, self._principal(read)
            is_long = position is not None and upper - read.to > MAX_POLL_EVENTS
            if is_long and caller.sees_few_instances:
                is_first = isinstance(position, str)
                replays.append(Replay(read.group, caller, read.after, read.to, is_first))
        return await find_own_events(self._database, replays, upper)

    def _principal(self, read: _Read) -> Principal:
        return self._groups[read.group].plan.principal

    def _result(
        self,
        live: Sequence[int],
        reads: Sequence[_Read],
        outcomes: Mapping[_Read, Outcome],
        own: Mapping[int, OwnEvents],
        *,
        head: int,
        upper: int,
    ) -> PollResult:
        live_position = upper if live else head
        result = PollResult(live_position, refused=dict(self._refused))
        # Live groups advance even if the events did not concern them.
        result.advances = dict.fromkeys(live, Advance(None))
        for read in reads:
            outcome = outcomes.get(read)
            position = self._groups[read.group].position
            skip = own.get(read.group)
            if isinstance(position, str) and position:
                events = head - int(position) if skip is None else skip.count
                if errors := refusal(self._principal(read), events):
                    result.refused[read.group] = errors
                    continue
            if outcome is not None and outcome.is_oversized:
                # A later poll reads it with fewer others. A live group stays behind until then.
                result.advances.pop(read.group, None)
                if position is None:
                    result.advances[read.group] = Advance(self._request.live_position)
                continue
            reached = min(read.to, head) if skip is None else skip.reached
            text = None if outcome is None else outcome.text
            following = None if reached == live_position else reached
            result.advances[read.group] = Advance(following, text)
        for n, group in enumerate(self._groups):
            # The live groups have reached those that were ahead of them.
            if group.position == live_position and n not in {*result.advances, *result.refused}:
                result.advances[n] = Advance(None)
        arrived = sum(advance.position is None for advance in result.advances.values())
        waiting = len(self._groups) - len(result.refused) - arrived
        result.more = waiting > 0 or live_position < head
        result.repeatable = (
            arrived == len(live) == len(reads) == len(self._groups) <= MAX_POLL_STATEMENTS
        )
        return result


def _registration(shard: str) -> Statement:
    return Statement("INSERT INTO trackers (shard) VALUES (?1) ON CONFLICT DO NOTHING", (shard,))
