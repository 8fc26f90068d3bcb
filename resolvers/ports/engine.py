"""The port to the engine: Cloudflare Workflows, found by workflow name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from resolvers.base.vocabulary import InstanceStatus, OutputKind

# The engine's names of statuses
# (developers.cloudflare.com/workflows/build/workers-api, InstanceStatus).
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
class EngineState:
    """The engine's state of an instance; `status` is None if it has no instance of this id."""

    status: InstanceStatus | None
    # JSON text, and what it is of the result; None unless it is complete.
    output: str | None = None
    output_kind: OutputKind | None = None
    # `name` and `message`; None unless it is errored.
    error: tuple[str, str] | None = None


class EngineError(Exception):
    """The engine refused a request or could not be reached; the message is the engine's.

    `state` is the instance's state, if the engine reported it.
    """

    def __init__(self, message: str, state: EngineState | None = None) -> None:
        super().__init__(message)
        self.state = state


# An instance's workflow and id.
Key: TypeAlias = tuple[str, str]


class Engine(Protocol):
    """Executes instances. Every method raises EngineError if the engine refuses."""

    @property
    def workflows(self) -> frozenset[str]:
        """Names of the bound workflows; instances of any other are only tracked."""
        ...

    @property
    def follows(self) -> bool:
        """True if the histories of instances are recorded."""
        ...

    def unbound(self, workflow: str) -> str:
        """Explain why no Workflow is bound for this name, and how to bind one."""
        ...

    async def create(self, workflow: str, instance_id: str, *, params: str) -> None:
        """Start an instance with `params`, JSON text; one that exists is left unchanged."""
        ...

    async def get_statuses(self, instances: Sequence[Key]) -> list[EngineState | EngineError]:
        """Get the state of each instance, in order. Nothing is raised."""
        ...

    async def follow(self, instances: Sequence[Key], *, to_end: bool = False) -> None:
        """Have the histories of instances recorded, from where they are recorded to.

        With `to_end` a moment is waited for their ends to be recorded. Instances of unbound
        workflows are ignored, all of them unless the engine `follows`. Nothing is raised.
        """
        ...

    async def act(self, workflow: str, instance_id: str, *, action: str) -> EngineState:
        """`pause`, `resume`, `terminate` or `restart` an instance, and return its state afterwards.

        The action may take effect later: the engine finishes a running step before a pause.
        """
        ...

    async def send_event(
        self, workflow: str, instance_id: str, *, event_type: str, payload: str
    ) -> None:
        """Deliver an event with `payload`, JSON text, to an unfinished instance."""
        ...
