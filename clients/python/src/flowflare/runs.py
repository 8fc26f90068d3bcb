"""The updates that a run of a workflow reports: plain decisions, without clock or network.

A `Run` knows what was reported and which steps are running, and turns each event of the run into
the updates that the service still lacks. For a replay it starts from the service's own record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from flowflare.names import recorded_name
from flowflare.outbox import Update
from flowflare.recording import encode
from flowflare.scalars import serialize_datetime

if TYPE_CHECKING:
    from flowflare.recording import Recorded
    from flowflare.retries import Retries

Kind = Literal["TASK", "SLEEP", "WAIT_FOR_EVENT"]
Described = Mapping[str, str]

TERMINAL = frozenset({"COMPLETED", "ERRORED", "TERMINATED"})
_STEP_TERMINAL = frozenset({"COMPLETED", "FAILED"})
_SHOWN_NAME = 80
"""Characters of a step's name in the log."""


@dataclass(eq=False)
class Step:
    """A step of a run. `name` is the engine's and may be any text; the third `load` of a run has
    the `occurrence` 3."""

    name: str
    index: int | None
    kind: Kind
    occurrence: int = 1
    retries: Retries | None = None
    attempt: int = 0
    """The attempt that began last; 0 before the first, and when the engine replays the step."""
    is_open: bool = False
    """True while that attempt runs."""
    is_failure_reported: bool = False
    until: datetime | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The name and occurrence that the step has in the service's record."""
        return recorded_name(self.name), self.occurrence


@dataclass
class Run:
    """One run of one instance, from its beginning or replayed."""

    instance_id: str
    workflow: str | None
    """Name of the workflow; if it is None, that of the record is used."""
    creation: str = ""
    """JSON of a further member of the first update, `input`."""
    metadata: str = ""
    """JSON of the `metadata` in the first update."""
    reference: str = ""
    """JSON of the `reference` in the first update, unless the record has one."""
    reported: str | None = None
    """The instance's status as the service has it; None if it is not tracked yet."""
    begun: bool = False
    number: int | None = None
    """Number of the run, from 1; None until the service's record has been read."""
    known: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """The statuses of the steps in the service's record, by name and occurrence."""
    active: list[Step] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def step(self, name: str, kind: Kind) -> Step:
        """Begin the next step; its index and occurrence depend only on the order of calls."""
        self._count += 1
        occurrence = self._names[name] = self._names.get(name, 0) + 1
        return Step(name, self._count, kind, occurrence)

    def identify(self, found: Mapping[str, Any] | None) -> None:
        """Take the number of the run from the service's record of the instance.

        An instance without a record (None) is in run 1.
        """
        self.number = 1 if found is None else found["run"]
        if found is not None and self.workflow is None:
            self.workflow = found["workflow"]["name"]

    def recall(self, found: Mapping[str, Any] | None) -> None:
        """Continue from the service's record of the instance; None if it has none."""
        self.identify(found)
        if found is None:
            return
        # A service that follows may have recorded the beginning first, without what it lacks.
        is_new = found.get("following") == "FOLLOWED" and found["steps"] == []
        self.begun = found["status"] != "QUEUED" and not is_new
        self.reported = found["status"]
        if found["reference"] is not None:
            self.reference = ""
        self.known = {
            (step["name"], step["occurrence"]): step["status"] for step in found["steps"] or ()
        }

    def text_of(self, update: Update) -> str:
        """Return the JSON text of an update for the service; the run must have its number."""
        assert self.number is not None
        identity: dict[str, Any] = {"instanceId": self.instance_id, "run": self.number}
        if self.workflow is not None:
            identity["workflow"] = self.workflow
        return f'{{"{update.kind}":{{{encode(identity)[1:-1]},{update.members}}}}}'

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

    def step_completes(self, step: Step, output: Recorded | None = None) -> list[Update]:
        """A step has succeeded. Nothing is reported twice."""
        step.is_open = False
        updates = self._beginning()
        if self.known.get(step.key) not in _STEP_TERMINAL:
            more = {"attempt": step.attempt} if step.attempt else {}
            updates.append(self._moved(step, "COMPLETED", more, output=output))
        return updates + self._deactivated(step)

    def step_fails(self, step: Step, error: Described) -> list[Update]:
        """A step has failed for good. Nothing is reported twice."""
        step.is_open = False
        updates = self._beginning()
        if not step.is_failure_reported and self.known.get(step.key) not in _STEP_TERMINAL:
            step.is_failure_reported = True
            more: dict[str, Any] = {"error": error}
            if step.attempt:
                more["attempt"] = step.attempt
            updates.append(self._moved(step, "FAILED", more))
        return updates + self._deactivated(step)

    def completes(self, output: Recorded) -> list[Update]:
        """The run has returned."""
        return self._ends("COMPLETED", f",{output.as_output}")

    def fails(self, error: Described) -> list[Update]:
        """The run has raised."""
        return self._ends("ERRORED", f',"error":{encode(error)}', is_needed="stack" in error)

    def _beginning(self) -> list[Update]:
        """The update that begins the run, and creates the instance if it is not tracked yet."""
        if self.begun:
            return self._status() if self.reported == "UNKNOWN" else []
        self.begun = True
        self.reported = "RUNNING"
        given = self.metadata + self.reference
        return [
            Update(
                "instance",
                '"status":"RUNNING"' + self.creation + given,
                "the start of the instance",
                creates=True,
                is_needed=bool(given),
            )
        ]

    def _pause_begins(self, step: Step) -> list[Update]:
        updates = self._beginning()
        if self.known.get(step.key) in _STEP_TERMINAL:
            return updates  # replayed: the engine ends it at once, without a pause
        if step.key not in self.known:
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
        until_text = f',"sleepUntil":"{serialize_datetime(until)}"' if until is not None else ""
        return [_instance(status, until_text)]

    def _ends(self, status: str, more: str, *, is_needed: bool = False) -> list[Update]:
        updates = self._beginning()
        self.reported = status
        return [*updates, _instance(status, more, is_needed=is_needed)]

    def _moved(
        self, step: Step, status: str, more: Mapping[str, Any], *, output: Recorded | None = None
    ) -> Update:
        fields = {
            "occurrence": step.occurrence,
            "index": step.index,
            "kind": step.kind,
            "status": status,
            **more,
        }
        # `json.dumps` escapes lone surrogates, which UTF-8 cannot encode.
        members = f'"name":{json.dumps(step.name)},{encode(fields)[1:-1]}'
        if output is not None:
            members += f",{output.as_output}"
        return Update(
            "step",
            members,
            f"{_shown(step)} {status}",
            ends_step=status in _STEP_TERMINAL,
            is_needed="stack" in more.get("error", ()),
        )


def _instance(status: str, more: str, *, is_needed: bool = False) -> Update:
    label = f"the instance's status {status}"
    return Update("instance", f'"status":"{status}"{more}', label, is_needed=is_needed)


def _shown(step: Step) -> str:
    """A step in the log."""
    name = step.name
    if len(name) > _SHOWN_NAME:
        name = name[: _SHOWN_NAME - 1] + "…"
    return f"step {name!r}" + (f" (occurrence {step.occurrence})" if step.occurrence > 1 else "")


def _status_of(active: Iterable[Step]) -> tuple[str, datetime | None]:
    """The status of an instance with these running steps, and the end of its sleep."""
    kinds = {step.kind for step in active}
    if not kinds or "TASK" in kinds:
        return "RUNNING", None
    if "WAIT_FOR_EVENT" in kinds:
        return "WAITING", None
    return "SLEEPING", min((step.until for step in active if step.until), default=None)
