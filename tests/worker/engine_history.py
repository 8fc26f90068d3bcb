"""The rows and events that a history of the engine should be recorded as.

A Worker beside the service reads the history.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

from resolvers.following.thrown import parse_thrown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scripts.local_server import LocalServer

LogEvent: TypeAlias = tuple[str, str | None, int | None, str]
"""Type, step, attempt and time of an event of the log."""

_KINDS = {"step": "TASK", "sleep": "SLEEP", "wait": "WAIT_FOR_EVENT"}
_ENDS = {
    "workflow_completed": "COMPLETED",
    "workflow_errored": "ERRORED",
    "workflow_terminated": "TERMINATED",
}
# Events of the log that follow from the open steps, or from the service itself.
DERIVED = {"INSTANCE_SLEEPING", "INSTANCE_WAITING", "INSTANCE_RESUMED", "INSTANCE_UPDATED"}
STEPS = """{ name occurrence kind status error { message } startedAt completedAt
  attempts { number status error { message } startedAt endedAt retryAt } }"""
SHOW = f"""query Followed($id: String!) {{ instance(instanceId: $id) {{
  run status startedAt completedAt output error {{ name message }}
  steps {STEPS}
  runs {{ number status startedAt completedAt output steps {STEPS} }}
  events(first: 1000) {{ events {{ type run attempt at step {{ name occurrence }} }} }} }} }}"""


def at(milliseconds: float) -> str:
    """The text of an instant."""
    moment = datetime.fromtimestamp(round(milliseconds) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_history(server: LocalServer, instance_id: str) -> list[dict[str, Any]]:
    """The history of an instance of the Worker `plain`, as the engine has it."""
    events: list[dict[str, Any]] = server.fetch("plain", f"/{instance_id}").json()
    ids = [event["eventId"] for event in events]
    # A restart that keeps the steps before a certain one leaves gaps.
    assert ids == sorted(set(ids))
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    return events


def is_over(history: Sequence[dict[str, Any]]) -> bool:
    """True if the run has ended."""
    return bool(history) and history[-1]["type"] in _ENDS


def steps_of(history: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps that a history amounts to, in the form of STEPS."""
    steps: dict[str, dict[str, Any]] = {}
    for event in _numbered(history):
        time, error = at(event["timestamp"]), _error(event)
        if (name := event.get("stepName")) is None:
            if event["type"] in _ENDS:
                for step in steps.values():
                    _cancel(step, time)
            continue
        kind, _, change = event["type"].partition("_")
        if kind != "attempt" and change == "started":
            text, _, number = name.rpartition("-")
            steps[name] = {
                "name": text,
                "occurrence": int(number),
                "kind": _KINDS[kind],
                "status": "RUNNING",
                "error": None,
                "startedAt": time,
                "completedAt": None,
                "attempts": [],
            }
            continue
        step = steps[name]
        if kind == "attempt":
            _attempt(step, event, time)
        elif change == "completed":
            step |= {"status": "COMPLETED", "error": None, "completedAt": time}
            # The first attempt is recorded to begin, and the last to end, with its step.
            for attempt in step["attempts"][-1:]:
                attempt["endedAt"] = time
        elif step["status"] != "FAILED":
            step |= {"status": "FAILED", "completedAt": time, "error": error or _TIMED_OUT}
    return list(steps.values())


def _numbered(history: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events with each sleep numbered by its name alone.

    The engine counts sleeps by their name and duration. Those of one name follow each other here.
    """
    counts: dict[str, int] = {}
    for event in history:
        name = event.get("stepName", "")
        text = name.rpartition("-")[0]
        if event["type"] == "sleep_started":
            counts[text] = counts.get(text, 0) + 1
        if event["type"].startswith("sleep_"):
            yield {**event, "stepName": f"{text}-{counts[text]}"}
        else:
            yield event


_TIMED_OUT = {"message": "No event arrived in time."}


def _error(event: dict[str, Any]) -> dict[str, str] | None:
    if "error" not in event:
        return None
    return {"message": parse_thrown(event["error"]["name"], event["error"]["message"]).message}


def _attempt(step: dict[str, Any], event: dict[str, Any], time: str) -> None:
    change, error, attempts = event["type"].partition("_")[2], _error(event), step["attempts"]
    if change == "started":
        # An attempt that a crash has cut off begins again.
        if len(attempts) < event["attempt"]:
            # A crash may also have cut it off without its end.
            for attempt in attempts[-1:]:
                if attempt["status"] == "RUNNING":
                    attempt |= {"status": "FAILED", "endedAt": time}
            begun = step["startedAt"] if event["attempt"] == 1 else time
            attempts.append(
                {
                    "number": event["attempt"],
                    "status": "RUNNING",
                    "error": None,
                    "startedAt": begun,
                    "endedAt": None,
                    "retryAt": None,
                }
            )
            step["status"] = "RUNNING"
        return
    attempts[-1] |= {"status": "COMPLETED", "endedAt": time}
    if change == "errored":
        delay = event.get("retryDelayMs")
        retry_at = None if delay is None else at(event["timestamp"] + delay)
        attempts[-1] |= {"status": "FAILED", "error": error, "retryAt": retry_at}
        ends = {"status": "FAILED", "completedAt": time} if delay is None else {}
        step |= {"status": "RETRYING", "error": error, **ends}


def _cancel(step: dict[str, Any], time: str) -> None:
    if step["status"] in ("RUNNING", "RETRYING"):
        step |= {"status": "CANCELLED", "completedAt": time}
        for attempt in step["attempts"]:
            if attempt["status"] == "RUNNING":
                attempt |= {"status": "CANCELLED", "endedAt": time}


def log_of(history: Iterable[dict[str, Any]]) -> list[LogEvent]:
    """The events of the log that a history amounts to, without those that are DERIVED."""
    log: list[LogEvent] = []
    open_steps: dict[str, int | None] = {}
    failed: set[tuple[str, int | None]] = set()
    has_started = False
    for event in _numbered(history):
        type_, time = event["type"], at(event["timestamp"])
        name: str = event.get("stepName", "")
        attempt = event.get("attempt")
        if type_ == "workflow_running" and not has_started:
            has_started = True
            log.append(("INSTANCE_STARTED", None, None, time))
        elif type_ == "workflow_paused":
            log.append(("INSTANCE_PAUSED", None, None, time))
        elif type_ in _ENDS:
            log += [("STEP_CANCELLED", step, n, time) for step, n in open_steps.items()]
            log.append((f"INSTANCE_{_ENDS[type_]}", None, None, time))
        elif type_ in ("step_started", "sleep_started", "wait_started"):
            open_steps[name] = None
            log.append(("STEP_STARTED", name, None, time))
            if type_ == "step_started":
                open_steps[name] = 1
                log.append(("ATTEMPT_STARTED", name, 1, time))
        elif type_ == "attempt_started" and attempt != open_steps[name]:
            if (name, open_steps[name]) not in failed:
                log.append(("ATTEMPT_FAILED", name, open_steps[name], time))
            open_steps[name] = attempt
            log.append(("ATTEMPT_STARTED", name, attempt, time))
        elif type_ == "attempt_errored":
            log.append(("ATTEMPT_FAILED", name, attempt, time))
            failed.add((name, attempt))
            if "retryDelayMs" not in event:
                log.append(("STEP_FAILED", name, attempt, time))
                del open_steps[name]
        elif type_ in ("step_completed", "sleep_completed", "wait_completed"):
            log.append(("STEP_COMPLETED", name, open_steps.pop(name), time))
        elif type_ == "wait_timed_out":
            log.append(("STEP_FAILED", name, open_steps.pop(name), time))
    return log


def recorded_log(instance: dict[str, Any], run: int) -> list[LogEvent]:
    """The events of a run in the log, without those that are DERIVED."""
    return [
        (
            event["type"],
            event["step"] and f"{event['step']['name']}-{event['step']['occurrence']}",
            event["attempt"],
            event["at"],
        )
        for event in instance["events"]["events"]
        if event["run"] == run
        and event["type"] not in DERIVED | {"INSTANCE_QUEUED", "INSTANCE_RESTARTED"}
    ]


def assert_recorded(
    instance: dict[str, Any], history: Sequence[dict[str, Any]], *, run: int = 1
) -> None:
    """Fail unless a run that has ended is recorded exactly as the engine tells it."""
    assert is_over(history), history[-1:]
    [found] = [each for each in instance["runs"] if each["number"] == run]
    assert found["status"] == _ENDS[history[-1]["type"]]
    began = next(event for event in history if event["type"] == "workflow_running")
    assert found["startedAt"] == at(began["timestamp"])
    assert found["completedAt"] == at(history[-1]["timestamp"])
    for recorded, expected in (
        (found["steps"], steps_of(history)),
        (recorded_log(instance, run), log_of(history)),
    ):
        pairs = zip_longest(recorded, expected)
        assert recorded == expected, next(pair for pair in pairs if pair[0] != pair[1])
