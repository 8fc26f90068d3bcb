"""The updates that a run of a workflow reports: plain decisions, without clock or network.

A `Run` knows what was reported and which steps are running, and turns each event of the run into
the updates that the service still lacks. For a replay it starts from the service's own record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from flowflare.outbox import Update
from flowflare.recording import encode
from flowflare.scalars import serialize_datetime

if TYPE_CHECKING:
    from flowflare.retries import Retries

Kind = Literal["TASK", "SLEEP", "WAIT_FOR_EVENT"]
Described = Mapping[str, str]

TERMINAL = frozenset({"COMPLETED", "ERRORED", "TERMINATED"})
_STEP_TERMINAL = frozenset({"COMPLETED", "FAILED"})


@dataclass(eq=False)
class Step:
    """A step of a run. `name` is the service's: the second `load` of a run is `load (2)`."""

    name: str
    index: int | None
    kind: Kind
    retries: Retries | None = None
    attempt: int = 0
    """The attempt that began last; 0 before the first, and when the engine replays the step."""
    is_open: bool = False
    """True while that attempt runs."""
    is_failure_reported: bool = False
    until: datetime | None = None


@dataclass
class Run:
    """One run of one instance, from its beginning or replayed."""

    instance_id: str
    workflow: str
    creation: str = ""
    """JSON of further members of the first update: `input`, `reference`, `metadata`."""
    reported: str | None = None
    """The instance's status as the service has it; None if it is not tracked yet."""
    begun: bool = False
    known: Mapping[str, str] = field(default_factory=dict)
    """The statuses of the steps in the service's record."""
    active: list[Step] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def step(self, name: str, kind: Kind) -> Step:
        """Begin the next step; its index and name depend only on the order of calls."""
        self._count += 1
        used = self._names[name] = self._names.get(name, 0) + 1
        return Step(name if used == 1 else f"{name} ({used})", self._count, kind)

    def recall(self, found: Mapping[str, Any] | None) -> None:
        """Take over the service's record of the instance; None if it has none."""
        if found is None:
            return
        self.begun = True
        self.reported = found["status"]
        self.known = {step["name"]: step["status"] for step in found["steps"]}

    def attempt_begins(self, step: Step, number: int) -> list[Update]:
        """An attempt at a task begins. An earlier attempt that never ended was interrupted."""
        updates = self._beginning()
        if step.attempt == 0 and number > 1:
            # The attempt before ran in another process. If its end was reported already, the
            # report is repeated, which changes nothing.
            step.attempt, step.is_open = number - 1, True
        if step.is_open and step.attempt < number:
            error = {
                "name": "AttemptInterrupted",
                "message": "The engine began the next attempt before this one had ended.",
            }
            updates += self.attempt_fails(step, error, retry_at=None)
        step.attempt, step.is_open = number, True
        more: dict[str, Any] = {"attempt": number}
        if step.retries is not None:
            more["retryPolicy"] = step.retries.as_input()
        updates.append(self._moved(step, "RUNNING", more))
        return updates + self._activated(step)

    def attempt_fails(
        self, step: Step, error: Described, *, retry_at: datetime | None
    ) -> list[Update]:
        """The attempt under way has failed and will be followed by another."""
        step.is_open = False
        more: dict[str, Any] = {"attempt": step.attempt, "error": error}
        if retry_at is not None:
            more["retryAt"] = serialize_datetime(retry_at)
        return [self._moved(step, "RETRYING", more)]

    def sleep_begins(self, step: Step, until: datetime | None) -> list[Update]:
        """A sleep begins, or continues in a replay."""
        step.until = until
        return self._pause_begins(step)

    def wait_begins(self, step: Step) -> list[Update]:
        """A wait for an event begins, or continues in a replay."""
        return self._pause_begins(step)

    def step_completes(self, step: Step, output: str | None = None) -> list[Update]:
        """A step has succeeded; `output` is JSON text. Nothing is reported twice."""
        step.is_open = False
        updates = self._beginning()
        if self.known.get(step.name) not in _STEP_TERMINAL:
            more = {"attempt": step.attempt} if step.attempt else {}
            updates.append(self._moved(step, "COMPLETED", more, output=output))
        return updates + self._deactivated(step)

    def step_fails(self, step: Step, error: Described) -> list[Update]:
        """A step has failed for good. Nothing is reported twice."""
        step.is_open = False
        updates = self._beginning()
        if not step.is_failure_reported and self.known.get(step.name) not in _STEP_TERMINAL:
            step.is_failure_reported = True
            more: dict[str, Any] = {"error": error}
            if step.attempt:
                more["attempt"] = step.attempt
            updates.append(self._moved(step, "FAILED", more))
        return updates + self._deactivated(step)

    def completes(self, output: str) -> list[Update]:
        """The run has returned; `output` is JSON text."""
        return self._ends("COMPLETED", f',"output":{output}')

    def fails(self, error: Described) -> list[Update]:
        """The run has raised."""
        return self._ends("ERRORED", f',"error":{encode(error)}')

    def _beginning(self) -> list[Update]:
        """The update that creates the instance as running, before all others."""
        if self.begun:
            return self._status() if self.reported in ("QUEUED", "UNKNOWN") else []
        self.begun = True
        self.reported = "RUNNING"
        fields = {"instanceId": self.instance_id, "workflow": self.workflow, "status": "RUNNING"}
        text = encode(fields)[:-1] + self.creation
        return [Update(f'{{"instance":{text}}}}}', "the start of the instance", creates=True)]

    def _pause_begins(self, step: Step) -> list[Update]:
        updates = self._beginning()
        if self.known.get(step.name) in _STEP_TERMINAL:
            return updates  # replayed: the engine ends it at once, without a pause
        if step.name not in self.known:
            updates.append(self._moved(step, "RUNNING", {}))
        return updates + self._activated(step)

    def _activated(self, step: Step) -> list[Update]:
        if step not in self.active:
            self.active.append(step)
        return self._status()

    def _deactivated(self, step: Step) -> list[Update]:
        if step not in self.active:
            return []
        self.active.remove(step)
        return self._status()

    def _status(self) -> list[Update]:
        """The update of the instance's status, if the running steps have changed it."""
        status, until = _status_of(self.active)
        if status == self.reported or self.reported in TERMINAL:
            return []
        self.reported = status
        fields = {"instanceId": self.instance_id, "status": status}
        if until is not None:
            fields["sleepUntil"] = serialize_datetime(until)
        return [self._instance(encode(fields), status)]

    def _ends(self, status: str, more: str) -> list[Update]:
        updates = self._beginning()
        self.reported = status
        fields = encode({"instanceId": self.instance_id, "status": status})
        return [*updates, self._instance(f"{fields[:-1]}{more}}}", status)]

    def _instance(self, text: str, status: str) -> Update:
        return Update(f'{{"instance":{text}}}', f"the instance's status {status}")

    def _moved(
        self, step: Step, status: str, more: Mapping[str, Any], *, output: str | None = None
    ) -> Update:
        fields = {
            "instanceId": self.instance_id,
            "name": step.name,
            "index": step.index,
            "kind": step.kind,
            "status": status,
            **more,
        }
        text = encode(fields)
        if output is not None:
            text = f'{text[:-1]},"output":{output}}}'
        label = f"step {step.name!r} {status}"
        return Update(f'{{"step":{text}}}', label, ends_step=status in _STEP_TERMINAL)


def _status_of(active: Iterable[Step]) -> tuple[str, datetime | None]:
    """The status of an instance with these running steps, and the end of its sleep."""
    kinds = {step.kind for step in active}
    if not kinds or "TASK" in kinds:
        return "RUNNING", None
    if "WAIT_FOR_EVENT" in kinds:
        return "WAITING", None
    return "SLEEPING", min((step.until for step in active if step.until), default=None)
