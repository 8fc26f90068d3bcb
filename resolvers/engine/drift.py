"""Decides how to repair an instance whose tracked status differs from the engine's (drift)."""

from dataclasses import dataclass
from enum import Enum, auto

from resolvers.base.transitions import UNFINISHED
from resolvers.base.vocabulary import InstanceStatus as I
from resolvers.ports.engine import EngineState, Key

# For each status of the engine, the tracked statuses that agree with it. The tracked one is often
# more precise: the local engine reports `running` while an instance sleeps or waits for an event,
# Cloudflare's reports `waiting` for both. A resumed instance is `queued` for a while; that is
# tracked only after UNKNOWN, the one status that may lead to QUEUED.
_AGREES: dict[I, frozenset[I]] = {
    I.QUEUED: UNFINISHED - {I.UNKNOWN},
    I.RUNNING: frozenset({I.RUNNING, I.SLEEPING, I.WAITING}),
    I.WAITING: frozenset({I.SLEEPING, I.WAITING}),
    I.WAITING_FOR_PAUSE: frozenset({I.WAITING_FOR_PAUSE, I.PAUSED}),
    I.PAUSED: frozenset({I.PAUSED}),
    I.UNKNOWN: frozenset({I.UNKNOWN}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """An unfinished instance as it was read, with comparisons by the database's clock."""

    id: int
    workflow: str
    instance_id: str
    status: I
    updated_at: str
    # Number of its run; 0 if it was not read.
    run: int = 0
    # It changed so recently that its reports may be newer than the engine's state.
    recent: bool = False
    # It has not changed for so long that no more reports are expected.
    silent: bool = False
    # Its sleep should have ended some time ago.
    overslept: bool = False
    # Its history is recorded, so that tells its status.
    followed: bool = False
    # Its history could not be read.
    behind: bool = False

    @property
    def key(self) -> Key:
        """Its workflow and id, which identify it in the engine."""
        return (self.workflow, self.instance_id)


class Remedy(Enum):
    """Remedy for a difference."""

    NONE = auto()
    # Copy the engine's status, output and error.
    REPAIR = auto()
    # Ask the engine again to start it.
    START = auto()
    # The engine has no such instance and never will: track it as failed.
    GIVE_UP = auto()


def remedy(tracked: Tracked, state: EngineState) -> Remedy:
    """Choose the remedy for an unfinished instance, given the engine's state of it.

    tracked SLEEPING, engine PAUSED  → REPAIR
    tracked QUEUED, engine has none  → START
    """
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
