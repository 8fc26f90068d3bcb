"""Records the history of instances, part by part, as a follower reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from resolvers.base.cache import Cache
from resolvers.base.limits import (
    FOLLOW_REST_MS,
    FOLLOW_RETRY_MS,
    MAX_FOLLOW_UPDATES,
    MAX_FOLLOWED,
)
from resolvers.base.scrubbing import Scrubber
from resolvers.following.history import Event, parse_event, scrub_event
from resolvers.following.records import (
    STALE,
    Followed,
    begin_next_run,
    parse_followed,
    record_part,
    select_followed,
)
from resolvers.following.translation import ENDS, Update
from resolvers.ports.database import Database, DatabaseError
from resolvers.ports.engine import Key


@dataclass(slots=True)
class _Reading:
    """One reading of a history, with the state of the instance that its next part continues."""

    followed: Followed
    # The first event must be the last that was recorded, unless the history has begun again.
    overlaps: bool
    # The history is read from its beginning to find the last recorded event in it.
    is_search: bool
    # The time of the first event of a search.
    begins_at: str | None = None


class Follower:
    """Records what readers of histories send; each reading has a state of its own."""

    def __init__(self, database: Database, scrubber: Scrubber) -> None:
        self._database = database
        self._scrubber = scrubber
        self._readings: Cache[int, _Reading] = Cache(MAX_FOLLOWED)
        self._numbers = count(1)

    async def begin(self, key: Key, *, search: bool) -> dict[str, Any]:
        """Begin to read the history of an instance: `{"reading": 3, "after": 6}`.

        It is read behind the event `after`, so that the last recorded event comes first, or with
        `search` from its beginning. The result is `{"ended": true}` if the instance is not tracked.
        """
        [outcome] = await self._database.batch([select_followed(key)])
        if outcome.text is None:
            return {"ended": True}
        followed = parse_followed(outcome.text, key)
        position = followed.position
        is_search = search and position is not None
        number = next(self._numbers)
        self._readings.put(number, _Reading(followed, position is not None, is_search))
        return {
            "reading": number,
            "after": 0 if position is None or is_search else position.number - 1,
        }

    async def record(
        self, number: int, given: Sequence[Mapping[str, Any]], *, is_over: bool, now_ms: int
    ) -> dict[str, Any]:
        """Record events, in order, and return how to go on.

        No events mean that none have come for a while, or with `is_over` that none follow. The
        result has one of the members

            next      the number of the last event that is recorded: read on behind it
            again     true to begin another reading; `search` is true if it is to be a search
            due       the time at which to read again, in milliseconds since 1970
            ended     true if the instance has ended, and nothing is left to read
        """
        reading = self._readings.get(number)
        if reading is None:
            return {"again": True}
        # If the batch fails, the state is ahead of the rows.
        self._readings.forget(number)
        rules = self._scrubber.rules(reading.followed.translation.workflow)
        events = [scrub_event(parse_event(event), rules) for event in given]
        if reading.is_search:
            result = await self._search(reading, events, now_ms)
        elif not events:
            return _rest(reading, is_over=is_over, now_ms=now_ms)
        else:
            result = await self._record(reading, events, now_ms)
        if "next" in result:
            self._readings.put(number, reading)
        return result

    async def _record(
        self, reading: _Reading, events: Sequence[Event], now_ms: int
    ) -> dict[str, Any]:
        followed, before = reading.followed, reading.followed.stored
        if followed.position is None:
            if events[0].position.at_ms == followed.begun_ms:
                # It is still the history of the run before.
                return {"due": now_ms + FOLLOW_RETRY_MS}
            followed.begun_ms = events[0].position.at_ms
        elif reading.overlaps:
            if events[0].position != followed.position:
                return await self._begin_next_run(followed, events[0].at)
            reading.overlaps, events = False, events[1:]
        reading.overlaps = False
        updates: list[tuple[Event, Update]] = []
        for event in events:
            updates += [(event, update) for update in followed.translation.updates(event)]
            followed.position = event.position
            if len(updates) >= MAX_FOLLOW_UPDATES:
                break
        if events:
            try:
                await self._database.batch(record_part(followed, before, updates))
            except DatabaseError as error:
                if STALE not in str(error):
                    raise
                return {"again": True}
        assert followed.position is not None
        if followed.position.type in ENDS:
            return {"ended": True}
        return {"next": followed.position.number}

    async def _search(
        self, reading: _Reading, events: Sequence[Event], now_ms: int
    ) -> dict[str, Any]:
        """Begin the next run unless the last recorded event is still in the history."""
        position = reading.followed.position
        assert position is not None
        later = {"due": now_ms + FOLLOW_RETRY_MS}
        if any(event.position == position for event in events):
            return later
        if events:
            reading.begins_at = reading.begins_at or events[0].at
            last = events[-1].position.number
            if last < position.number:
                return {"next": last}
        if reading.begins_at is None:
            return later
        return await self._begin_next_run(reading.followed, reading.begins_at)

    async def _begin_next_run(self, followed: Followed, at: str) -> dict[str, Any]:
        """Begin the next run, because the history is no longer the one that was recorded."""
        await self._database.batch([begin_next_run(followed, at)])
        return {"again": True}


def _rest(reading: _Reading, *, is_over: bool, now_ms: int) -> dict[str, Any]:
    """Decide how to go on if no event has come for a while."""
    if reading.overlaps:
        # The last recorded event is gone.
        return {"again": True, "search": True}
    if is_over or reading.followed.position is None:
        # A history without an end or a beginning was cut off by a restart.
        return {"due": now_ms + FOLLOW_RETRY_MS}
    translation = reading.followed.translation
    if translation.is_busy:
        return {"again": True}
    latest = now_ms + FOLLOW_REST_MS
    until_ms = translation.rests_until_ms
    if until_ms is None or until_ms <= now_ms:
        return {"due": latest}
    return {"due": until_ms if translation.is_timed else min(until_ms, latest)}
