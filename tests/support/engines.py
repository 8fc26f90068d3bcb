"""Stand-ins for Cloudflare Workflows, which is not ours to run here."""

from resolvers.engine import EngineError


class RecordingEngine:
    """Does as it is told, or refuses everything with `failure`, and remembers the calls."""

    def __init__(self, *workflows: str, failure: str | None = None) -> None:
        self.workflows = frozenset(workflows)
        self.failure = failure
        self.calls: list[tuple[str, ...]] = []

    def _record(self, *call: str) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise EngineError(self.failure)

    async def create(self, workflow: str, instance_id: str, params: str) -> None:
        self._record("create", workflow, instance_id, params)

    async def act(self, workflow: str, instance_id: str, action: str) -> None:
        self._record(action, workflow, instance_id)

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: str
    ) -> None:
        self._record("event", workflow, instance_id, event_type, payload)
