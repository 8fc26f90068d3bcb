"""The transition tables, as data. docs/transitions.md draws them; a test compares the two."""

from resolvers.base.vocabulary import InstanceStatus as I
from resolvers.base.vocabulary import StepStatus as S

TERMINAL = frozenset({I.COMPLETED, I.ERRORED, I.TERMINATED})
UNFINISHED = frozenset(I) - TERMINAL

_ONWARD = frozenset(I) - {I.QUEUED}

# From each status, where an update may go. A terminal one leads nowhere: only
# `restartWorkflow` begins again. UNKNOWN is what the engine could not tell, so it may turn
# out to be anything.
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

# Actions: from which statuses each may be asked for, and the status it leads to.
PAUSABLE = frozenset({I.QUEUED, I.RUNNING, I.SLEEPING, I.WAITING})
RESUMABLE = frozenset({I.PAUSED, I.WAITING_FOR_PAUSE})
TERMINABLE = UNFINISHED
RESTARTABLE = frozenset(I) - {I.QUEUED}
RECEIVES_EVENTS = UNFINISHED

STEP_TERMINAL = frozenset({S.COMPLETED, S.FAILED})

# A step moves up this order within one attempt; the next attempt begins at RUNNING again.
# An update changes a step when (attempt, rank) grows and the step is not terminal.
STEP_RANK: dict[S, int] = {S.PENDING: 0, S.RUNNING: 1, S.RETRYING: 2, S.COMPLETED: 3, S.FAILED: 3}


def sources(to: I) -> list[str]:
    """The statuses an update may leave for `to`."""
    return sorted(source for source, targets in INSTANCE_TRANSITIONS.items() if to in targets)
