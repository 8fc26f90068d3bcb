"""A stand-in for Cloudflare Workflows, which does not run outside of workerd."""

from collections.abc import Sequence

from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports.engine import EngineError, EngineState, Key

_LEADS_TO = {
    "pause": InstanceStatus.PAUSED,
    "resume": InstanceStatus.RUNNING,
    "terminate": InstanceStatus.TERMINATED,
    "restart": InstanceStatus.QUEUED,
}


class RecordingEngine:
    """Performs every change, or refuses it with `failure`, and records the calls.

    `states` holds the state that it reports of an instance, or the error that it reports instead;
    every other instance is running. If it `follows`, `handed_over` holds the instances that were
    handed over to its follower, with True for those whose end was waited for.
    """

    def __init__(self, *workflows: str, failure: str | None = None, follows: bool = False) -> None:
        self.workflows = frozenset(workflows)
        self.follows = follows
        self.handed_over: list[tuple[str, str, bool]] = []
        self.failure = failure
        self.calls: list[tuple[str, ...]] = []
        self.status_requests: list[Key] = []
        self.states: dict[str, EngineState | EngineError] = {}

    def unbound(self, workflow: str) -> str:
        return f"nothing runs {workflow!r}"

    def _record(self, *call: str) -> None:
        self.calls.append(call)
        if self.failure is not None:
            state = self.states.get(call[2])
            raise EngineError(self.failure, state if isinstance(state, EngineState) else None)

    async def create(self, workflow: str, instance_id: str, *, params: str) -> None:
        self._record("create", workflow, instance_id, params)

    async def get_statuses(self, instances: Sequence[Key]) -> list[EngineState | EngineError]:
        self.status_requests += instances
        running = EngineState(InstanceStatus.RUNNING)
        return [self.states.get(instance_id, running) for _, instance_id in instances]

    async def follow(self, instances: Sequence[Key], *, to_end: bool = False) -> None:
        if self.follows:
            self.handed_over += [(*key, to_end) for key in instances if key[0] in self.workflows]

    async def act(self, workflow: str, instance_id: str, *, action: str) -> EngineState:
        self._record(action, workflow, instance_id)
        state = self.states.get(instance_id, EngineState(_LEADS_TO[action]))
        assert isinstance(state, EngineState)
        return state

    async def send_event(
        self, workflow: str, instance_id: str, *, event_type: str, payload: str
    ) -> None:
        self._record("event", workflow, instance_id, event_type, payload)
