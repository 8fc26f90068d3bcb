"""Stand-ins for Cloudflare Workflows, which is not ours to run here."""

from collections.abc import Sequence

from resolvers.engine import EngineError, Key, Seen
from resolvers.vocabulary import InstanceStatus

_LEADS_TO = {
    "pause": InstanceStatus.PAUSED,
    "resume": InstanceStatus.RUNNING,
    "terminate": InstanceStatus.TERMINATED,
    "restart": InstanceStatus.QUEUED,
}


class RecordingEngine:
    """Does as it is told, or refuses every change with `failure`, and remembers the calls.

    `seen` is what it says of an instance, or that it cannot be asked; of any other one it says
    that it runs.
    """

    def __init__(self, *workflows: str, failure: str | None = None) -> None:
        self.workflows = frozenset(workflows)
        self.failure = failure
        self.calls: list[tuple[str, ...]] = []
        self.looks: list[Key] = []
        self.seen: dict[str, Seen | EngineError] = {}

    def unbound(self, workflow: str) -> str:
        return f"nothing runs {workflow!r}"

    def _record(self, *call: str) -> None:
        self.calls.append(call)
        if self.failure is not None:
            seen = self.seen.get(call[2])
            raise EngineError(self.failure, seen if isinstance(seen, Seen) else None)

    async def create(self, workflow: str, instance_id: str, params: str) -> None:
        self._record("create", workflow, instance_id, params)

    async def look(self, instances: Sequence[Key]) -> list[Seen | EngineError]:
        self.looks += instances
        running = Seen(InstanceStatus.RUNNING)
        return [self.seen.get(instance_id, running) for _, instance_id in instances]

    async def act(self, workflow: str, instance_id: str, action: str) -> Seen:
        self._record(action, workflow, instance_id)
        seen = self.seen.get(instance_id, Seen(_LEADS_TO[action]))
        assert isinstance(seen, Seen)
        return seen

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: str
    ) -> None:
        self._record("event", workflow, instance_id, event_type, payload)
