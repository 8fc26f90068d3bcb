"""The transition tables, as data. docs/transitions.md draws them; a test compares the two."""

from resolvers.base.vocabulary import InstanceStatus as I
from resolvers.base.vocabulary import StepStatus as S

TERMINAL = frozenset({I.COMPLETED, I.ERRORED, I.TERMINATED})
UNFINISHED = frozenset(I) - TERMINAL
# An instance in one of these may not have run yet, so it does not get a start time.
UNSTARTED = frozenset({I.QUEUED, I.UNKNOWN})

_ONWARD = frozenset(I) - {I.QUEUED}

# The statuses that an update may lead to, for each status. A terminal status allows none: only
# `restartWorkflow` begins again. UNKNOWN is a status that the engine did not know, so any other
# may follow it.
INSTANCE_TRANSITIONS: dict[I, frozenset[I]] = {
    I.QUEUED: _ONWARD,
    I.RUNNING: _ONWARD,
    I.SLEEPING: _ONWARD,
    I.WAITING: _ONWARD,
    I.WAITING_FOR_PAUSE: _ONWARD,
    I.PAUSED: _ONWARD - {I.WAITING_FOR_PAUSE},
    I.UNKNOWN: frozenset(I),
    I.COMPLETED: frozenset(),
    I.ERRORED: frozenset(),
    I.TERMINATED: frozenset(),
}

# The statuses from which each action is allowed.
PAUSABLE = frozenset({I.QUEUED, I.RUNNING, I.SLEEPING, I.WAITING})
RESUMABLE = frozenset({I.PAUSED, I.WAITING_FOR_PAUSE})
TERMINABLE = UNFINISHED
RESTARTABLE = frozenset(I) - {I.QUEUED}
RECEIVES_EVENTS = UNFINISHED

# A report of one of these ends a step for good. A CANCELLED step has ended with its run, and still
# takes them, because reports may be late.
STEP_TERMINAL = frozenset({S.COMPLETED, S.FAILED})
STEP_ENDED = STEP_TERMINAL | {S.CANCELLED}

# The rank of a step's status grows within one attempt; the next attempt begins at RUNNING again.
# An update changes a step if (attempt, rank) grows and the step is not terminal.
STEP_RANK: dict[S, int] = {
    S.PENDING: 0,
    S.RUNNING: 1,
    S.RETRYING: 2,
    S.CANCELLED: 3,
    S.COMPLETED: 4,
    S.FAILED: 4,
}


def sources(to: I) -> list[str]:
    """Return the statuses from which an update may lead to `to`."""
    return sorted(source for source, targets in INSTANCE_TRANSITIONS.items() if to in targets)
