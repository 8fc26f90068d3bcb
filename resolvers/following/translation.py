"""Translates the events of a history into updates of the instance and its steps.

    attempt_errored, attempt 1, retry in 200 ms  → step RETRYING, attempt 1, error, retryAt
    sleep_started, 500 ms, while nothing else runs → step RUNNING, instance SLEEPING until then

The status of an instance follows from the steps that are open: a task that runs makes it RUNNING,
otherwise a wait makes it WAITING, otherwise a sleep SLEEPING. The engine itself reports `running`
during sleeps and waits.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from resolvers.base.limits import MAX_FOLLOW_RESTS
from resolvers.base.names import step_name
from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import Backoff, InstanceStatus, OutputKind, StepKind, StepStatus
from resolvers.following.history import Event, StepKey, epoch_ms
from resolvers.following.thrown import Thrown
from resolvers.writing.inputs import ErrorInput, RetryPolicyInput, UpdateInstance, UpdateStep

Update: TypeAlias = UpdateInstance | UpdateStep

_ACTIVE = frozenset({InstanceStatus.RUNNING, InstanceStatus.SLEEPING, InstanceStatus.WAITING})
_STATUSES = {
    "workflow_queued": InstanceStatus.QUEUED,
    "workflow_running": InstanceStatus.RUNNING,
    "workflow_waiting_for_pause": InstanceStatus.WAITING_FOR_PAUSE,
    "workflow_paused": InstanceStatus.PAUSED,
    "workflow_completed": InstanceStatus.COMPLETED,
    "workflow_errored": InstanceStatus.ERRORED,
    "workflow_terminated": InstanceStatus.TERMINATED,
}
# The type of the event that begins a run, and those of the events that end one.
RUNNING = "workflow_running"
ENDS = frozenset(type_ for type_, status in _STATUSES.items() if status in TERMINAL)
_KINDS = {
    "step": StepKind.TASK,
    "attempt": StepKind.TASK,
    "sleep": StepKind.SLEEP,
    "wait": StepKind.WAIT_FOR_EVENT,
}
_CHANGES = frozenset({"started", "completed", "errored", "timed_out"})
_DURATION = re.compile(r"(\d+(?:\.\d+)?) +(second|minute|hour|day|week|month|year)s?", re.ASCII)
_UNITS_MS = {
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
    "month": 2_592_000_000,
    "year": 31_557_600_000,
}
_SCALARS = (int, float, str, type(None))
# The configurations of steps whose parsed policies are kept.
_POLICIES = 100
_TIMED_OUT = Thrown("WorkflowTimeoutError", "No event arrived in time.")


@dataclass(slots=True)
class Open:
    """A step that has begun and not ended, and when its sleep or its retry delay ends."""

    kind: StepKind
    until: str | None = None


@dataclass(slots=True)
class Translation:
    """The state of one run while its history is translated."""

    workflow: str
    instance_id: str
    status: InstanceStatus
    sleep_until: str | None = None
    has_input: bool = True
    # The open steps, by name and occurrence.
    open: dict[StepKey, Open] = field(default_factory=dict)
    # The number of sleeps and waits of a name so far. The engine counts them by more than their
    # name, so that several come as the first of it.
    rests: dict[str, int] = field(default_factory=dict)
    # What is common to the updates; a copy takes a quarter of the time of a construction.
    _of_this_instance: UpdateInstance = field(init=False)
    _of_any_step: UpdateStep = field(init=False)

    def __post_init__(self) -> None:
        names: dict[str, Any] = {"instance_id": self.instance_id, "workflow": self.workflow}
        self._of_this_instance = UpdateInstance.model_construct(**names)
        self._of_any_step = UpdateStep.model_construct(**names)

    def updates(self, event: Event) -> list[Update]:
        """The updates that an event amounts to; none for types that are not recorded."""
        if event.step is None:
            return self._of_instance(event)
        kind_name, _, change = event.type.partition("_")
        kind = _KINDS.get(kind_name)
        if kind is None or change not in _CHANGES:
            return []
        updates = self._of_step(event, event.step, kind, change)
        return [*updates, *self._derived(event)] if updates else []

    def _of_instance(self, event: Event) -> list[Update]:
        if event.type == "workflow_started":
            # Flowflare has the input of the instances that it has started.
            if self.has_input or event.value in (None, "null"):
                return []
            self.has_input = True
            return [self._instance(input=event.value)]
        status = _STATUSES.get(event.type)
        if status is None:
            return []
        more: dict[str, Any] = {}
        if status is InstanceStatus.RUNNING:
            status, until = self.status_of_steps()
            if status is InstanceStatus.SLEEPING:
                more["sleep_until"] = until
        self.status, self.sleep_until = status, more.get("sleep_until")
        if status is InstanceStatus.COMPLETED:
            more |= _result(event)
        if event.error is not None:
            more["error"] = _error(event.error)
        return [self._instance(status=status, **more)]

    def _of_step(self, event: Event, key: StepKey, kind: StepKind, change: str) -> list[Update]:
        if event.type == "attempt_started" and event.attempt == 1 and key in self.open:
            # It began with its step.
            return []
        if change == "started":
            until = None
            duration_ms = event.details.get("durationMs")
            if kind is StepKind.SLEEP and duration_ms is not None:
                until = event.after(duration_ms)
            if kind is not StepKind.TASK:
                key = self._count_rest(key)
            self.open[key] = Open(kind, until)
            return [self._begins(event, key, kind)]
        if event.type == "attempt_errored":
            return [self._attempt_fails(event, key)]
        if event.type == "attempt_completed":
            return []
        if kind is not StepKind.TASK:
            key = self._first_open(key, kind)
        self.open.pop(key, None)
        if change == "completed":
            given = _result(event) if kind is StepKind.TASK else {}
            return [self._step(key, StepStatus.COMPLETED, kind=kind, **given)]
        error = event.error or (_TIMED_OUT if change == "timed_out" else None)
        failed = {} if error is None else {"error": _error(error)}
        return [self._step(key, StepStatus.FAILED, kind=kind, **failed)]

    def _count_rest(self, key: StepKey) -> StepKey:
        """The step that begins, with the next occurrence of the name."""
        occurrence = max(key.occurrence, self.rests.get(key.name, 0) + 1)
        if key.name in self.rests or len(self.rests) < MAX_FOLLOW_RESTS:
            self.rests[key.name] = occurrence
        return StepKey(key.name, occurrence)

    def _first_open(self, key: StepKey, kind: StepKind) -> StepKey:
        """The open step of the name and kind that ends first."""
        ends = [
            (step.until or "", each.occurrence)
            for each, step in self.open.items()
            if each.name == key.name and step.kind is kind
        ]
        return StepKey(key.name, min(ends)[1]) if ends else key

    def _begins(self, event: Event, key: StepKey, kind: StepKind) -> UpdateStep:
        more: dict[str, Any] = {}
        if kind is StepKind.TASK:
            more["attempt"] = event.attempt or 1
            if (policy := _policy(event.details)) is not None:
                more["retry_policy"] = policy
            # What the engine tells of a sensitive result is a text in its place. The step keeps
            # the kind, and so never gets an output.
            if (event.details.get("config") or {}).get("sensitive"):
                more["output_kind"] = OutputKind.REDACTED
        return self._step(key, StepStatus.RUNNING, kind=kind, **more)

    def _attempt_fails(self, event: Event, key: StepKey) -> UpdateStep:
        error = _error(event.error or Thrown("Error", ""))
        delay = event.details.get("retryDelayMs")
        if delay is None:
            self.open.pop(key, None)
            return self._step(key, StepStatus.FAILED, attempt=event.attempt, error=error)
        retry_at = event.after(delay)
        self.open[key] = Open(StepKind.TASK, retry_at)
        return self._step(
            key, StepStatus.RETRYING, attempt=event.attempt, error=error, retry_at=retry_at
        )

    def _derived(self, event: Event) -> list[Update]:
        """The update of the instance's status, if the open steps have changed it."""
        status, until = self.status_of_steps()
        if self.status not in _ACTIVE or (status, until) == (self.status, self.sleep_until):
            return []
        self.status, self.sleep_until = status, until
        more = {"sleep_until": until} if status is InstanceStatus.SLEEPING else {}
        return [self._instance(status=status, **more)]

    def is_after(self, type_: str) -> bool:
        """True if the status is the one behind a last event of this type."""
        if type_ not in ENDS and self.status in _ACTIVE:
            return self.status is self.status_of_steps()[0]
        return self.status is _STATUSES.get(type_)

    def status_of_steps(self) -> tuple[InstanceStatus, str | None]:
        """The status for the open steps, and the end of the sleep if nothing else is open."""
        return status_of(self.open.values())

    @property
    def is_busy(self) -> bool:
        """True if the instance runs code, so that an event may come at any time."""
        if self.status not in _ACTIVE:
            return False
        runs = any(s.kind is StepKind.TASK and s.until is None for s in self.open.values())
        return runs or not self.open

    @property
    def is_timed(self) -> bool:
        """True if nothing happens before a sleep or a retry delay ends."""
        return self.status in _ACTIVE and all(step.until for step in self.open.values())

    @property
    def rests_until_ms(self) -> int | None:
        """The first end of a sleep or a retry delay, in milliseconds since 1970."""
        ends = [step.until for step in self.open.values() if step.until]
        return epoch_ms(min(ends)) if ends else None

    def _instance(self, **changes: Any) -> UpdateInstance:
        return self._of_this_instance.model_copy(update=changes)

    def _step(self, key: StepKey, status: StepStatus, **changes: Any) -> UpdateStep:
        given = {name: value for name, value in changes.items() if value is not None}
        given |= {
            "name": step_name(key.name),
            "occurrence": key.occurrence,
            "status": status,
        }
        return self._of_any_step.model_copy(update=given)


def status_of(steps: Iterable[Open]) -> tuple[InstanceStatus, str | None]:
    """The status of an instance with these open steps, and the end of its sleep."""
    kinds = {step.kind for step in steps}
    if not kinds or StepKind.TASK in kinds:
        return InstanceStatus.RUNNING, None
    if StepKind.WAIT_FOR_EVENT in kinds:
        return InstanceStatus.WAITING, None
    return InstanceStatus.SLEEPING, min((s.until for s in steps if s.until), default=None)


def _result(event: Event) -> dict[str, Any]:
    """The output of an update, from the event of an end."""
    output = None if event.kind is OutputKind.UNDEFINED else event.value
    return {"output": output, "output_kind": event.kind}


def _error(thrown: Thrown) -> ErrorInput:
    return ErrorInput(name=thrown.name, message=thrown.message, stack=thrown.stack)


def _policy(details: Mapping[str, Any]) -> RetryPolicyInput | None:
    """The retry policy of a step's configuration; None if it is not one that can be recorded."""
    retries = (details.get("config") or {}).get("retries") or {}
    given = [retries.get(name) for name in ("limit", "delay", "backoff")]
    return _parse_policy(*given) if all(isinstance(x, _SCALARS) for x in given) else None


@lru_cache(_POLICIES)
def _parse_policy(limit: object, delay: object, backoff: object) -> RetryPolicyInput | None:
    try:
        return RetryPolicyInput(
            limit=limit,
            delay=_milliseconds(delay),
            backoff=Backoff(str(backoff or "exponential").upper()),
        )
    except (ValueError, OverflowError):
        return None


def _milliseconds(duration: object) -> object:
    """Convert a duration as Workflows write it: 5000, "5000" or "5 seconds"."""
    if not isinstance(duration, str) or (found := _DURATION.fullmatch(duration)) is None:
        return duration
    return round(float(found[1]) * _UNITS_MS[found[2]])
