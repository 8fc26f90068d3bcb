"""What to do where the engine and the tracked state of an instance differ: a pure decision."""

from dataclasses import dataclass
from enum import Enum, auto

from resolvers.base.transitions import UNFINISHED
from resolvers.base.vocabulary import InstanceStatus as I
from resolvers.ports.engine import EngineState

# Tracked statuses that each status of the engine leaves as they are. The tracker often knows more:
# the local engine calls an instance `running` while it sleeps or waits for an event, Cloudflare's
# calls it `waiting` for either. What is resumed is `queued` for a while, which cannot be taken over
# except from UNKNOWN: it would be a restart.
_AGREES: dict[I, frozenset[I]] = {
    I.QUEUED: UNFINISHED - {I.UNKNOWN},
    I.RUNNING: frozenset({I.RUNNING, I.SLEEPING, I.WAITING}),
    I.WAITING: frozenset({I.SLEEPING, I.WAITING}),
    I.WAITING_FOR_PAUSE: frozenset({I.WAITING_FOR_PAUSE, I.PAUSED}),
    I.PAUSED: frozenset({I.PAUSED}),
    I.UNKNOWN: frozenset({I.UNKNOWN}),
}


@dataclass(frozen=True, slots=True)
class Tracked:
    """An unfinished instance as it was read, with what the database's clock says of it."""

    id: int
    workflow: str
    instance_id: str
    status: I
    updated_at: str
    # It has changed just now: whoever reports on it is ahead of the engine's answer.
    recent: bool = False
    # Nothing was heard of it for so long that nothing more is to be expected.
    silent: bool = False
    # Its sleep should have ended a while ago.
    overslept: bool = False


class Remedy(Enum):
    """What to do about a difference."""

    NONE = auto()
    # Give it the status, output and error that the engine has for it.
    REPAIR = auto()
    # Ask the engine once more to start it.
    START = auto()
    # The engine has no such instance and never will: it is over.
    GIVE_UP = auto()


def remedy(tracked: Tracked, state: EngineState) -> Remedy:
    """What is to be done about an unfinished instance, given what the engine says of it."""
    if tracked.recent:
        return Remedy.NONE
    if state.status is None:
        if tracked.status is I.QUEUED:
            return Remedy.START
        return Remedy.GIVE_UP if tracked.silent else Remedy.NONE
    if tracked.status is I.SLEEPING and tracked.overslept and state.status is I.RUNNING:
        return Remedy.REPAIR
    agrees = tracked.status in _AGREES.get(state.status, frozenset())
    return Remedy.NONE if agrees else Remedy.REPAIR
