"""A poll: reading the log once for all subscribers of a shard.

Subscribers of one plan at one position are a group, which is read for once. All live groups share
`live_position` and advance together. Those that came later catch up, a window a poll, in the same
batch of D1, and so meet the others exactly at their position. The result of a poll is stored before
anything is sent, so a poll that is lost is simply made again.
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
from tracker_do import replays
from tracker_do.polls import Advance, Group, PollRequest, PollResult

HEAD_OF_LOG = Statement(f"SELECT {HEAD}")
# Fails where the database as a whole does not serve what plans read.
_PROBE = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM events e JOIN instances i ON i.id=e.instance LIMIT 1)"
)
MAX_POSITION = 2**53 - 1  # behind every event
_SHRINK = 8


@dataclass(slots=True)
class _Own:
    """How far nothing is of a caller's own, and how many of its events a replay has in all; that
    is asked once."""

    reached: int
    events: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """What a poll reads for a group: a window, the object as it is, or nothing but the head."""

    group: int
    after: int
    to: int
    initial: bool = False
    nothing: bool = False


async def poll(database: Database, request: PollRequest, window: int) -> PollResult:
    """Read the log for all groups, at most `window` events each.

    Raises DatabaseError where the database did not answer. A group whose statement fails by
    itself is refused, and the others go on.
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
        # JavaScript knows no rule by which windows grow, so it begins when they have grown.
        result.repeatable = result.repeatable and result.window >= widest
        return result


def widest_window(groups: Sequence[Group]) -> int:
    """How many events a poll may read for each of these groups."""
    return min((group.plan.window for group in groups), default=MAX_POLL_EVENTS)


async def unregister(database: Database, shard: str) -> None:
    """The shard has no subscribers: writes need not poke it."""
    await database.batch([Statement("DELETE FROM trackers WHERE shard=?1", (shard,))])


class _Poll:
    def __init__(self, database: Database, request: PollRequest) -> None:
        self._database = database
        self._request = request
        self._groups = request.groups
        self._refused: dict[int, list[dict[str, Any]]] = {}
        # What the last batch read.
        self._tried: Sequence[_Read] = ()

    @property
    def _live(self) -> list[int]:
        return [
            n
            for n, group in enumerate(self._groups)
            if group.position is None and n not in self._refused
        ]

    async def run(self, window: int) -> PollResult:
        """One try."""
        live = self._live
        upper = self._upper(live, window)
        first = [HEAD_OF_LOG]
        if not self._request.registered:
            # In the batch that says from where on writes have to be told of.
            first = [HEAD_OF_LOG, _registration(self._request.shard)]
        # With many plans it is asked first which of them an event may be for.
        ask = len(live) > MAX_POLL_STATEMENTS
        reads = [] if ask else self._reads(live, upper, window)
        together = self._tried = reads[:MAX_POLL_STATEMENTS]
        first += (
            [_touched(self._request.live_position, upper)]
            if ask
            else self._statements(together, share=share_of(len(reads)))
        )
        outcomes = await self._database.batch(first)
        head = int(outcomes[0].text)
        found = list(outcomes[1 if self._request.registered else 2 :])
        upper = min(upper, head)
        if ask:
            touched = Touched(json.loads(found.pop().text))
            concerned = [n for n in live if self._groups[n].plan.concerns(touched)]
            reads = self._reads(concerned, upper, window)
        for start in range(len(together), len(reads), MAX_POLL_STATEMENTS):
            # These see a later log, but read no further than the first batch did.
            self._tried = reads[start : start + MAX_POLL_STATEMENTS]
            chunk = self._statements(self._tried, head, share=share_of(len(reads)))
            found += await self._database.batch(chunk) if chunk else ()
        read = [read for read in reads if not read.nothing]
        outcomes = await self._reread(read, found, head)
        own = await self._own(reads, upper, head)
        known = dict(zip(read, outcomes, strict=True))
        return self._result(live, reads, known, own, head=head, upper=upper)

    async def _own(self, reads: Sequence[_Read], upper: int, head: int) -> dict[int, _Own]:
        """What the groups of callers with few events need not have read of a long replay."""
        end = min(upper, head)
        statements: list[tuple[_Read, bool, Statement]] = []
        for read in reads:
            caller, position = self._principal(read), self._groups[read.group].position
            if (
                position is None
                or not caller.sees_few_instances
                or end - read.to <= MAX_POLL_EVENTS
            ):
                continue
            statements.append((read, False, replays.next_own(caller, read.to, end)))
            if isinstance(position, str):
                statements.append((read, True, replays.count_own(caller, read.after)))
        own: dict[int, _Own] = {}
        batch = [statement for *_, statement in statements]
        outcomes = await self._database.batch(batch) if batch else ()
        for (read, is_count, _), outcome in zip(statements, outcomes, strict=True):
            number = int(outcome.text)
            if is_count:
                own[read.group].events = number
            else:
                own[read.group] = _Own(number)
        return own

    def _principal(self, read: _Read) -> Principal:
        return self._groups[read.group].plan.principal

    async def _reread(
        self, reads: Sequence[_Read], outcomes: Sequence[Outcome], head: int
    ) -> list[Outcome]:
        """Read those that were longer than their share of the first batches, as far as all together
        hold MAX_RESULT_BYTES; the others are left without a text."""
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

    async def isolate(self, error: DatabaseError) -> None:
        """Refuse the groups whose statements fail by themselves; raise if none does."""
        await self._database.batch([_PROBE])
        found = len(self._refused)
        await self._refuse_failing(self._tried)
        if len(self._refused) == found:
            raise error

    async def _refuse_failing(self, reads: Sequence[_Read]) -> None:
        """Halve what fails until it is one: few round trips, however many reads succeed."""
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
        """How far the live groups may go: not past anybody who waits for them further on."""
        if not live:
            return MAX_POSITION
        live_position = self._request.live_position
        others = (int(group.position) for group in self._groups if group.position)
        return min([live_position + window, *(n for n in others if n > live_position)])

    def _reads(self, live: Sequence[int], upper: int, window: int) -> list[_Read]:
        """Live groups first; of those that catch up, as many as a poll takes."""
        reads = [_Read(n, self._request.live_position, upper) for n in live]
        taken = 0
        for n, group in enumerate(self._groups):
            if group.position is None or n in self._refused:
                continue
            if group.position == "":
                selects_events = group.plan.selects_events
                reads.append(
                    _Read(n, 0, MAX_POSITION, initial=not selects_events, nothing=selects_events)
                )
            elif (after := int(group.position)) < upper:
                taken += 1
                if taken <= MAX_POLL_REPLAYS:
                    reads.append(_Read(n, after, min(after + window, upper)))
            elif isinstance(group.position, str):
                # Ahead of the live ones, which come to it; only whether it may wait is asked.
                reads.append(_Read(n, after, after, nothing=True))
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
            if not read.nothing
        ]

    def _result(
        self,
        live: Sequence[int],
        reads: Sequence[_Read],
        outcomes: Mapping[_Read, Outcome],
        own: Mapping[int, _Own],
        *,
        head: int,
        upper: int,
    ) -> PollResult:
        live_position = upper if live else head
        result = PollResult(live_position, refused=dict(self._refused))
        # Live groups move on whether or not what happened concerned them.
        result.advances = dict.fromkeys(live, Advance(None))
        for read in reads:
            outcome = outcomes.get(read)
            position = self._groups[read.group].position
            few = own.get(read.group)
            if isinstance(position, str) and position:
                events = head - int(position) if few is None else few.events
                if errors := replays.refusal(self._principal(read), events):
                    result.refused[read.group] = errors
                    continue
            if outcome is not None and outcome.is_oversized:
                # It is read in a later poll, with fewer others. A live group stays behind for it.
                result.advances.pop(read.group, None)
                if position is None:
                    result.advances[read.group] = Advance(self._request.live_position)
                continue
            reached = min(read.to, head) if few is None else few.reached
            text = None if outcome is None else outcome.text
            result.advances[read.group] = Advance(
                None if reached == live_position else reached, text
            )
        for n, group in enumerate(self._groups):
            # The live ones have come to who was ahead of them.
            if (
                group.position == live_position
                and n not in result.advances
                and n not in result.refused
            ):
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


def _touched(after: int, to: int) -> Statement:
    """The instances that a window is about, as `Touched` takes them; those that left a reference
    also with that one."""
    window = "FROM events WHERE id>CAST(?1 AS INTEGER) AND id<=CAST(?2 AS INTEGER)"
    return Statement(
        "SELECT json_group_array(json_array(i.instance_id,i.workflow,e.ref_type,e.ref_id)) FROM"
        f" (SELECT e.instance,i.ref_type,i.ref_id FROM (SELECT DISTINCT instance {window}) e"
        "  JOIN instances i ON i.id=e.instance"
        f" UNION SELECT instance,moved_from->>0,moved_from->>1 {window} AND moved_from IS NOT NULL)"
        " e JOIN instances i ON i.id=e.instance",
        (after, to),
    )
