"""Records the history of instances, part by part, as a follower reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

from resolvers.base.cache import Cache
from resolvers.base.limits import MAX_FOLLOW_UPDATES, MAX_FOLLOWED
from resolvers.base.transitions import TERMINAL
from resolvers.following.history import Event, epoch_ms, parse_event
from resolvers.following.records import (
    STALE,
    Followed,
    begin_next_run,
    parse_followed,
    record_part,
    select_followed,
)
from resolvers.following.translation import Update  # noqa: TC001
from resolvers.ports.database import Database, DatabaseError
from resolvers.ports.engine import Key


class Follower:
    """Keeps the state of the instances that it follows; it reads again what it has forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Cache[Key, Followed] = Cache(MAX_FOLLOWED)

    async def begin(self, key: Key) -> dict[str, Any]:
        """Return the number of the event to read from, which is the last one that was recorded.

        `{"next": 7}`, with 0 to read from the beginning, or `{"gone": true}`, as `record` does.
        """
        self._known.forget(key)
        followed = await self._get(key)
        if followed is None:
            return {"gone": True}
        return {"next": followed.position.number if followed.position else 0}

    async def record(
        self, key: Key, given: Sequence[Mapping[str, Any]], *, overlaps: bool
    ) -> dict[str, Any]:
        """Record events, in order, and return how to go on.

        With `overlaps` the first event is the last one that was recorded before, unless a restart
        has begun the history again. The result has one of the members

            next      the number of the last event that is recorded; `ended` is true if the
                      instance has ended with it, `until` the end of a sleep, in milliseconds
                      since 1970, if the instance does nothing else
            again     true if the history is to be read from the last recorded event again
            later     true if the history is still that of the run before
            gone      true if the instance is not tracked any more
        """
        followed = await self._get(key)
        if followed is None:
            return {"gone": True}
        before, events = followed.stored, [parse_event(event) for event in given]
        if followed.position is None:
            if not events or events[0].position.at_ms == followed.begun_ms:
                return {"later": True}
            followed.begun_ms = events[0].position.at_ms
        elif overlaps:
            if not events or events[0].position != followed.position:
                return await self._begin_again(key, followed, events)
            events = events[1:]
        updates: list[tuple[Event, Update]] = []
        for event in events:
            updates += [(event, update) for update in followed.translation.updates(event)]
            followed.position = event.position
            if len(updates) >= MAX_FOLLOW_UPDATES:
                break
        # If the batch fails, the state is ahead of the rows.
        self._known.forget(key)
        try:
            await self._database.batch(record_part(followed, before, updates))
        except DatabaseError as error:
            if STALE not in str(error):
                raise
            return {"again": True}
        self._known.put(key, followed)
        assert followed.position is not None
        _, until = followed.translation.status_of_steps()
        return {
            "next": followed.position.number,
            "ended": followed.translation.status in TERMINAL,
            "until": None if until is None else epoch_ms(until),
        }

    async def _begin_again(
        self, key: Key, followed: Followed, events: Sequence[Event]
    ) -> dict[str, Any]:
        """Begin the next run, because the history is no longer the one that was recorded."""
        self._known.forget(key)
        if not events:
            return {"later": True}
        await self._database.batch([begin_next_run(followed, events[0].at)])
        return {"again": True}

    async def _get(self, key: Key) -> Followed | None:
        known = self._known.get(key)
        if known is None:
            [outcome] = await self._database.batch([select_followed(key)])
            if outcome.text is None:
                return None
            known = parse_followed(outcome.text, key)
            self._known.put(key, known)
        return known
