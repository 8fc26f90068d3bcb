"""The port to the engine: Cloudflare Workflows, found by workflow name."""

from typing import Protocol


class EngineError(Exception):
    """The engine refused or could not be reached; the message is its own."""


class Engine(Protocol):
    """Executes instances. Every method raises EngineError when the engine says no."""

    @property
    def workflows(self) -> frozenset[str]:
        """Names for which a Workflow is bound; instances of any other are only tracked."""
        ...

    async def create(self, workflow: str, instance_id: str, params: str) -> None:
        """Start an instance with `params`, JSON text; one that exists is left as it is."""
        ...

    async def act(self, workflow: str, instance_id: str, action: str) -> None:
        """`pause`, `resume`, `terminate` or `restart` an instance."""
        ...

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: str
    ) -> None:
        """Deliver an event with `payload`, JSON text, to an instance that waits for it."""
        ...
