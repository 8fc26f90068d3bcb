"""A plain model of docs/transitions.md: one instance, and what each report does to it.

It shares nothing with the service but the names of statuses. `apply` returns the result of a call
as the service words it, and the events that the call adds to the log.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Result: TypeAlias = dict[str, Any]
Event: TypeAlias = tuple[Any, ...]

OPEN = ("PENDING", "RUNNING", "RETRYING")
REPORTED_ENDS = ("COMPLETED", "FAILED")
TERMINAL = ("COMPLETED", "ERRORED", "TERMINATED")
RANK = {"PENDING": 0, "RUNNING": 1, "RETRYING": 2, "CANCELLED": 3, "COMPLETED": 4, "FAILED": 4}
OF_ATTEMPT = {"RUNNING": "RUNNING", "COMPLETED": "COMPLETED", "CANCELLED": "CANCELLED"}
AS_INSTANCE = {
    "PENDING": "QUEUED",
    "RUNNING": "RUNNING",
    "RETRYING": "RUNNING",
    "COMPLETED": "COMPLETED",
    "FAILED": "ERRORED",
    "CANCELLED": "TERMINATED",
}


class Refused(Exception):
    """A report is refused, with the member of the result union."""

    def __init__(self, typename: str, **fields: Any) -> None:
        super().__init__(typename)
        self.result: Result = {"__typename": typename, **fields}


@dataclass
class Step:
    """A step with its attempts: number to status and error."""

    index: int
    status: str
    attempt: int
    output: Any = None
    error: str | None = None
    has_started: bool = False
    attempts: dict[int, list[str | None]] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """True if the current attempt has failed, and the step has not ended by a report."""
        if self.status == "CANCELLED":
            return self.attempts.get(self.attempt, [None])[0] == "FAILED"
        return self.status == "RETRYING"

    def shown(self, run: int, name: str, occurrence: int) -> dict[str, Any]:
        """The step as the API shows it."""
        return {
            "run": run,
            "name": name,
            "occurrence": occurrence,
            "index": self.index,
            "status": self.status,
            "attemptCount": self.attempt,
            "output": self.output,
            "error": message(self.error),
            "attempts": [
                {"number": number, "status": status, "error": message(error)}
                for number, (status, error) in sorted(self.attempts.items())
            ],
        }


def message(error: str | None) -> dict[str, str] | None:
    """An error as the API shows it."""
    return None if error is None else {"message": error}


@dataclass
class Instance:
    """An instance in its current run, with the runs before it."""

    run: int = 1
    status: str = "QUEUED"
    output: Any = None
    error: str | None = None
    metadata: dict[str, Any] | None = None
    steps: dict[tuple[int, str, int], Step] = field(default_factory=dict)
    earlier: dict[int, dict[str, Any]] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """The instance as the API shows it, with all runs, newest first."""
        current = {"status": self.status, "output": self.output, "error": message(self.error)}
        runs = [{"number": self.run, **current}]
        runs += [{"number": n, **self.earlier[n]} for n in sorted(self.earlier, reverse=True)]
        for run in runs:
            steps = [
                step.shown(*key) for key, step in self.steps.items() if key[0] == run["number"]
            ]
            run["steps"] = sorted(steps, key=lambda step: int(step["index"]))
        return {"run": self.run, **current, "metadata": self.metadata, "runs": runs}


def apply(before: Instance, call: dict[str, Any]) -> tuple[Instance, Result, list[Event]]:
    """The instance after a call, the call's result, and the events that it writes.

    A call has one member: `instance` or `step` (the input of a report), `track` (a list of those),
    or `restart`.
    """
    [(kind, given)] = call.items()
    after, events = deepcopy(before), list[Event]()
    try:
        match kind:
            case "instance":
                _instance(after, given, events)
                shown = after.shown()
                del shown["runs"]
                return after, {"__typename": "InstancePayload", "instance": shown}, events
            case "step":
                key = _step(after, given, events)
                step = after.steps[key].shown(*key)
                return after, {"__typename": "StepPayload", "step": step}, events
            case "track":
                applied = 0
                for update in given:
                    unchanged = deepcopy(after)
                    for name, value in update.items():
                        _step(after, value, events) if name == "step" else _instance(
                            after, value, events
                        )
                    applied += after != unchanged
                return after, {"__typename": "TrackPayload", "applied": applied}, events
            case _:
                _restart(after, events)
                result = {"run": after.run, "status": after.status}
                return after, {"__typename": "InstancePayload", "instance": result}, events
    except Refused as refused:
        return before, refused.result, []


def refuse_restart(instance: Instance) -> Result | None:
    """The result of a restart if the instance does not allow it, which is read before it."""
    if instance.status != "QUEUED":
        return None
    return _illegal("QUEUED", "QUEUED").result


def _illegal(source: str, target: str, *steps: str | None) -> Refused:
    step_from, step_to = steps or (None, None)
    transition = {"from": source, "to": target, "stepFrom": step_from, "stepTo": step_to}
    return Refused("IllegalTransition", **transition)


def _refuse_other_run(instance: Instance, given: dict[str, Any]) -> None:
    if given.get("run") not in (None, instance.run):
        raise Refused("RunMismatch", run=instance.run)


def _event(instance: Instance, type_: str, *, error: str | None = None) -> Event:
    return (type_, instance.run, instance.status, None, None, None, error)


def _instance(instance: Instance, given: dict[str, Any], events: list[Event]) -> None:
    _refuse_other_run(instance, given)
    unchanged = deepcopy(instance)
    old, new = instance.status, given.get("status") or instance.status
    is_allowed = old not in TERMINAL and (old, new) != ("PAUSED", "WAITING_FOR_PAUSE")
    if new != old and not (is_allowed and (new != "QUEUED" or old == "UNKNOWN")):
        raise _illegal(old, new)
    if "output" in given:
        instance.output = given["output"]
    if "error" in given:
        instance.error = given["error"]["message"]
    if "metadata" in given:
        merged = {**(instance.metadata or {}), **given["metadata"]}
        instance.metadata = {name: value for name, value in merged.items() if value is not None}
    if new in TERMINAL and old not in TERMINAL:
        _cancel_steps(instance, events)
    instance.status = new
    if instance != unchanged:
        failure = instance.error if new == "ERRORED" and new != old else None
        events.append(_event(instance, _event_type(old, new), error=failure))


def _event_type(old: str, new: str) -> str:
    if new == old or new in ("WAITING_FOR_PAUSE", "UNKNOWN"):
        return "INSTANCE_UPDATED"
    if new == "RUNNING":
        return "INSTANCE_STARTED" if old in ("QUEUED", "UNKNOWN") else "INSTANCE_RESUMED"
    return f"INSTANCE_{new}"


def _cancel_steps(instance: Instance, events: list[Event]) -> None:
    """End the open steps of the current run, whose events still have the instance's status."""
    for (run, name, occurrence), step in instance.steps.items():
        if run == instance.run and step.status in OPEN:
            step.status = "CANCELLED"
            if step.attempts.get(step.attempt, [None])[0] == "RUNNING":
                step.attempts[step.attempt][0] = "CANCELLED"
            about = (name, occurrence, step.attempt or None)
            events.append(("STEP_CANCELLED", run, instance.status, *about, None))


def _restart(instance: Instance, events: list[Event]) -> None:
    if instance.status not in TERMINAL:
        _cancel_steps(instance, events)
    instance.earlier[instance.run] = {
        "status": instance.status if instance.status in TERMINAL else "TERMINATED",
        "output": instance.output,
        "error": message(instance.error),
    }
    instance.run += 1
    instance.status, instance.output, instance.error = "QUEUED", None, None
    events.append(_event(instance, "INSTANCE_RESTARTED"))


def _step(instance: Instance, given: dict[str, Any], events: list[Event]) -> tuple[int, str, int]:
    _refuse_other_run(instance, given)
    key = (instance.run, str(given["name"]), int(given.get("occurrence", 1)))
    status, attempt = given["status"], given.get("attempt")
    error = given["error"]["message"] if "error" in given else None
    step = instance.steps.get(key)
    if step is None:
        if instance.status in TERMINAL and status not in REPORTED_ENDS:
            raise _illegal(instance.status, AS_INSTANCE[status], None, status)
        index = 1 + sum(run == instance.run for run, *_ in instance.steps)
        step = instance.steps[key] = Step(index, "PENDING", 0)
        if status == "PENDING":
            events.append(("INSTANCE_UPDATED", instance.run, instance.status, *key[1:], None, None))
        else:
            _advance(instance, key, status, attempt or 1, error=error, events=events)
        step.output = given.get("output")
        return key
    target = _target(step, status, attempt)
    if _may_advance(instance, step, status, target, is_named=attempt is not None):
        if "output" in given:
            step.output = given["output"]
        _advance(instance, key, status, target, error=error, events=events)
        return key
    is_late_failure = repeats = False
    if attempt is not None:
        is_failure = error is not None and status in ("RETRYING", "FAILED")
        is_late_failure = is_failure and attempt < step.attempt
        is_open = status in ("RUNNING", "RETRYING") and step.status in OPEN
        repeats = is_open and attempt <= step.attempt
    if not (step.status == status or is_late_failure or repeats):
        raise _illegal(AS_INSTANCE[step.status], AS_INSTANCE[status], step.status, status)
    if attempt is not None and is_late_failure and step.attempts.get(attempt) == ["FAILED", None]:
        step.attempts[attempt][1] = error
        about = (instance.run, instance.status, *key[1:], attempt, error)
        events.append(("ATTEMPT_FAILED", *about))
    return key


def _target(step: Step, status: str, attempt: int | None) -> int:
    """The attempt that a report is about."""
    if status == "PENDING":
        return step.attempt
    if attempt is not None:
        return attempt
    begins_next = (status == "RUNNING" and step.status == "RETRYING") or (
        status == "COMPLETED" and step.has_failed
    )
    return step.attempt + 1 if begins_next else max(step.attempt, 1)


def _may_advance(
    instance: Instance, step: Step, status: str, target: int, *, is_named: bool
) -> bool:
    """True if a report about attempt `target` changes the step."""
    if step.status in REPORTED_ENDS:
        return False
    if status not in REPORTED_ENDS and (step.status == "CANCELLED" or instance.status in TERMINAL):
        return False
    if status == "COMPLETED" and is_named and step.has_failed and target <= step.attempt:
        return False
    return (target, RANK[status]) > (step.attempt, RANK[step.status])


def _advance(
    instance: Instance,
    key: tuple[int, str, int],
    status: str,
    target: int,
    *,
    error: str | None,
    events: list[Event],
) -> None:
    step = instance.steps[key]

    def add(type_: str, attempt: int | None, failure: str | None = None) -> None:
        events.append((type_, instance.run, instance.status, *key[1:], attempt, failure))

    if not step.has_started:
        step.has_started = True
        add("STEP_STARTED", None)
    if target > step.attempt:
        current = step.attempts.get(step.attempt)
        if current and current[0] in ("RUNNING", "CANCELLED"):
            current[0] = "FAILED"
            add("ATTEMPT_FAILED", step.attempt)
        add("ATTEMPT_STARTED", target)
        for number in range(step.attempt + 1, target):
            step.attempts[number] = ["FAILED", None]
    if status == "COMPLETED":
        step.error = None
    elif error is not None:
        step.error = error
    current = step.attempts.get(target)
    if current is None or current[0] in ("RUNNING", "CANCELLED"):
        if status in ("RETRYING", "FAILED"):
            add("ATTEMPT_FAILED", target, error)
            step.attempts[target] = ["FAILED", error]
        else:
            step.attempts[target] = [OF_ATTEMPT[status], None]
    step.status, step.attempt = status, target
    if status in REPORTED_ENDS:
        add(f"STEP_{status}", target, error if status == "FAILED" else None)
