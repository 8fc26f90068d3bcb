"""The port to the engine: Cloudflare Workflows, found by workflow name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from resolvers.vocabulary import InstanceStatus

# The engine's own words (developers.cloudflare.com/workflows/build/workers-api, InstanceStatus).
STATUSES = {
    "queued": InstanceStatus.QUEUED,
    "running": InstanceStatus.RUNNING,
    "waiting": InstanceStatus.WAITING,
    "waitingForPause": InstanceStatus.WAITING_FOR_PAUSE,
    "paused": InstanceStatus.PAUSED,
    "complete": InstanceStatus.COMPLETED,
    "errored": InstanceStatus.ERRORED,
    "terminated": InstanceStatus.TERMINATED,
    "unknown": InstanceStatus.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine says of an instance; `status` is None where it has none of this id."""

    status: InstanceStatus | None
    # JSON text; null unless it is complete.
    output: str | None = None
    # `name` and `message`; None unless it is errored.
    error: tuple[str, str] | None = None


class EngineError(Exception):
    """The engine refused or could not be reached; the message is its own.

    `seen` is what it said of the instance, where it did.
    """

    def __init__(self, message: str, seen: Seen | None = None) -> None:
        super().__init__(message)
        self.seen = seen


# An instance's workflow and id.
Key: TypeAlias = tuple[str, str]


class Engine(Protocol):
    """Executes instances. Every method raises EngineError when the engine says no."""

    @property
    def workflows(self) -> frozenset[str]:
        """Names for which a Workflow is bound; instances of any other are only tracked."""
        ...

    def unbound(self, workflow: str) -> str:
        """Why no Workflow is bound for this name, and what to do about it."""
        ...

    async def create(self, workflow: str, instance_id: str, params: str) -> None:
        """Start an instance with `params`, JSON text; one that exists is left as it is."""
        ...

    async def look(self, instances: Sequence[Key]) -> list[Seen | EngineError]:
        """What the engine says of each, in order. Nothing is raised."""
        ...

    async def act(self, workflow: str, instance_id: str, action: str) -> Seen:
        """`pause`, `resume`, `terminate` or `restart` an instance; how it stands then.

        The engine's work may go on after that: a running step is finished before a pause.
        """
        ...

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: str
    ) -> None:
        """Deliver an event with `payload`, JSON text, to an unfinished instance."""
        ...
