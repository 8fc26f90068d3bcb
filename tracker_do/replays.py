"""Replays: the windows that subscribers read between their cursor and the live position.

A caller that sees few instances has few events of its own. Only these are counted, and the log
between them is skipped: the caller neither waits for the events of others nor learns of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.access.principals import Principal
from resolvers.base.limits import MAX_REPLAY_EVENTS
from resolvers.executing.reporting import error_of
from resolvers.ports.database import Database, Statement
from resolvers.writing.statements import Parameters


@dataclass(frozen=True, slots=True)
class Replay:
    """The next window of a group that replays."""

    group: int
    principal: Principal
    after: int
    to: int
    # True if nothing was read for the group yet.
    is_first: bool


@dataclass(slots=True)
class OwnEvents:
    """The caller's own events behind a window: the position in front of the next one, and, if the
    window was the first, how many there are from the cursor on."""

    reached: int
    count: int = 0


async def find_own_events(
    database: Database, replays: Sequence[Replay], end: int
) -> dict[int, OwnEvents]:
    """The own events of callers that see few instances, up to `end`, by group."""
    nexts = [_next_own(replay.principal, replay.to, end) for replay in replays]
    counted = [replay for replay in replays if replay.is_first]
    counts = [_count_own(replay.principal, replay.after) for replay in counted]
    if not replays:
        return {}
    outcomes = [int(each.text) for each in await database.batch([*nexts, *counts])]
    own = {
        replay.group: OwnEvents(reached)
        for replay, reached in zip(replays, outcomes[: len(nexts)], strict=True)
    }
    for replay, count in zip(counted, outcomes[len(nexts) :], strict=True):
        own[replay.group].count = count
    return own


def refusal(principal: Principal, events: int) -> list[dict[str, Any]] | None:
    """The errors for a cursor that is so many events behind the head; None if it can be resumed
    from."""
    # With restrictions, the error would show the caller where the head of the log is.
    if events < 0 and not principal.is_restricted:
        message = "after: the cursor is past the end of the log."
        return [error_of(message, "INVALID_ARGUMENT", argument="after")]
    if events > MAX_REPLAY_EVENTS:
        count = "too many" if principal.is_restricted else str(events)
        message = (
            f"The log is {count} events past this cursor; {MAX_REPLAY_EVENTS} are replayed"
            " (MAX_REPLAY_EVENTS). Read `events` up to now, and subscribe from there."
        )
        return [error_of(message, "REPLAY_TOO_LONG", limit="MAX_REPLAY_EVENTS")]
    return None


def _count_own(principal: Principal, after: int) -> Statement:
    """The number of the caller's own events after a position, at most MAX_REPLAY_EVENTS + 1."""
    bound = Parameters(principal)
    return bound.statement(
        "SELECT count(*) FROM (SELECT 1 FROM instances i CROSS JOIN events e"
        f" WHERE e.instance=i.id AND e.id>{bound.bind_integer(after)}{bound.within('i')}"
        f" LIMIT {MAX_REPLAY_EVENTS + 1})"
    )


def _next_own(principal: Principal, after: int, upper: int) -> Statement:
    """The position in front of the caller's next own event after `after`, at most `upper`."""
    bound = Parameters(principal)
    by_after, by_upper = bound.bind_integer(after), bound.bind_integer(upper)
    following = f"(SELECT min(id) FROM events WHERE instance=i.id AND id>{by_after})"
    return bound.statement(
        f"SELECT min({by_upper},coalesce(min({following})-1,{by_upper}))"
        f" FROM instances i WHERE 1{bound.within('i')}"
    )
