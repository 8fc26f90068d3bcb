"""Replays: from how far back the log is read for a subscriber, and which of it can be left out.

A caller that sees one reference or one instance has few events. Only these are counted, and what
lies between them is not read: it neither waits for what happens elsewhere nor learns of it.
"""

from typing import Any

from resolvers.access.principals import Principal
from resolvers.base.limits import MAX_REPLAY_EVENTS
from resolvers.executing.reporting import error_of
from resolvers.ports.database import Statement
from resolvers.writing.statements import Parameters


def count_own(principal: Principal, after: int) -> Statement:
    """The number of the caller's own events past a position, one more than MAX_REPLAY_EVENTS at
    most."""
    bound = Parameters(principal)
    return bound.statement(
        "SELECT count(*) FROM (SELECT 1 FROM instances i CROSS JOIN events e"
        f" WHERE e.instance=i.id AND e.id>{bound.bind_integer(after)}{bound.within('i')}"
        f" LIMIT {MAX_REPLAY_EVENTS + 1})"
    )


def next_own(principal: Principal, after: int, upper: int) -> Statement:
    """The position in front of the caller's next event past `after`, `upper` at most."""
    bound = Parameters(principal)
    by_after, by_upper = bound.bind_integer(after), bound.bind_integer(upper)
    following = f"(SELECT min(id) FROM events WHERE instance=i.id AND id>{by_after})"
    return bound.statement(
        f"SELECT min({by_upper},coalesce(min({following})-1,{by_upper}))"
        f" FROM instances i WHERE 1{bound.within('i')}"
    )


def refusal(principal: Principal, events: int) -> list[dict[str, Any]] | None:
    """The errors for a cursor that is so many events behind; None if they can be replayed."""
    # A caller with restrictions would learn from it how far the log has come.
    if events < 0 and not principal.is_restricted:
        message = "after: the log has not come to this cursor."
        return [error_of(message, "INVALID_ARGUMENT", argument="after")]
    if events > MAX_REPLAY_EVENTS:
        count = "too many" if principal.is_restricted else str(events)
        message = (
            f"The log is {count} events past this cursor; {MAX_REPLAY_EVENTS} are replayed"
            " (MAX_REPLAY_EVENTS). Read `events` up to now, and subscribe from there."
        )
        return [error_of(message, "REPLAY_TOO_LONG", limit="MAX_REPLAY_EVENTS")]
    return None
