"""Workflows in Workers of their own, JavaScript and Python, whose every change is tracked.

Both run the same journey (tests/worker/workflows): pack, cross (flaky, retried), rest (a sleep),
hear (an event), arrive. A third Worker, the witness, forwards their calls to the service. It
records the calls, and the attempts at steps.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT, parse_jsonc
from tests.support.servers import REPORTS_ALONE
from tests.support.timing import until
from tests.worker.api import Api
from tests.worker.event_log import events_after, head
from tests.worker.runs import Run
from tests.worker.subscribers import NodeClients

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.worker.conftest import StartServer
    from tests.worker.inbox import Inbox

Event: TypeAlias = tuple[str, str | None, int | None]
"""Its type, step and attempt."""

FOLDER = ROOT / "tests" / "worker" / "workflows"
WORKERS = {"javascript-journey": "in-javascript", "python-journey": "in-python"}
EVENTS = """KIND Events($filter: EventFilter, $after: EventCursor) {
  FIELD(filter: $filter, after: $after) {
    events { cursor type status attempt at data step { name } } MORE
  }
}"""
SUBSCRIPTION = (
    EVENTS.replace("KIND", "subscription").replace("FIELD", "workflowEvents").replace("MORE", "")
)
QUERY = (
    EVENTS.replace("KIND", "query")
    .replace("FIELD", "events")
    .replace("MORE", "page: cursor more: hasMore")
)
MESSAGE = {"from": "home"}
PROMPTLY = timedelta(seconds=5)
"""The longest delay of a report on a machine that is busy with other tests."""

WORKFLOWS = sorted(WORKERS)
in_each_language = pytest.mark.parametrize("workflow", WORKFLOWS)


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service, which follows nothing, the witness, and a Worker of each language."""
    names = ("witness", "in_javascript", "in_python")
    folders = [FOLDER / name for name in names]
    with LocalServer(vars=REPORTS_ALONE, beside=folders) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of that server, with all rights."""
    with Api(server) as caller:
        yield caller


@pytest.fixture(scope="module")
def node() -> Iterator[NodeClients]:
    """Real subscription clients."""
    with NodeClients() as clients:
        yield clients


class EventFollower:
    """A subscriber to all events of one workflow, which reconnects by itself."""

    def __init__(self, node: NodeClients, server: LocalServer, workflow: str, after: str) -> None:
        name = f"follower-{workflow}-{after}"
        self.filter = {"workflow": [workflow]}
        self.after = after
        node.open(name, server)
        variables = {"filter": self.filter, "after": after}
        self.inbox: Inbox = node.subscribe(
            name, f"{name}-events", SUBSCRIPTION, variables=variables, resume=True
        )

    def assert_received_all(self, api: Api) -> None:
        """Fail unless it has received every event of the log once and in order."""
        log = events_after(api, self.after, query=QUERY, filter_=self.filter)
        assert log
        self.inbox.until(lambda inbox: len(inbox.events) >= len(log))
        assert self.inbox.events == log


@pytest.fixture
def follower(node: NodeClients, server: LocalServer, api: Api, workflow: str) -> EventFollower:
    return EventFollower(node, server, workflow, head(api))


def calls(server: LocalServer, run: Run) -> list[str]:
    """The bodies of all calls to the service for an instance."""
    rows = server.query(
        "SELECT body FROM calls WHERE instance_id = ? ORDER BY rowid",
        [run.instance_id],
        worker="witness",
        binding="RECORD",
    )
    return [row["body"] for row in rows]


def noted(server: LocalServer, run: Run, step: str) -> list[datetime]:
    """The times at which the attempts at a step really began."""
    rows = server.query(
        "SELECT at FROM attempts WHERE instance_id = ? AND step = ? ORDER BY rowid",
        [run.instance_id, step],
        worker="witness",
        binding="RECORD",
    )
    return [instant(row["at"]) for row in rows]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def once(step: str) -> list[Event]:
    """The events of a task that succeeds at once."""
    return [
        ("STEP_STARTED", step, None),
        ("ATTEMPT_STARTED", step, 1),
        ("STEP_COMPLETED", step, 1),
    ]


def flaky(step: str, failures: int) -> list[Event]:
    """The events of a task that succeeds after some failures."""
    found: list[Event] = [("STEP_STARTED", step, None)]
    for attempt in range(1, failures + 1):
        found += [("ATTEMPT_STARTED", step, attempt), ("ATTEMPT_FAILED", step, attempt)]
    return [*found, ("ATTEMPT_STARTED", step, failures + 1), ("STEP_COMPLETED", step, failures + 1)]


def of_step(instance: Any, name: str | None) -> list[Event]:
    """The events of one step, or with None those that belong to no step."""
    return [event for event in Run.events(instance) if event[1] == name]


def the_whole_journey(failures: int) -> dict[str | None, list[Event]]:
    """The events of each step, and under None those of the instance."""
    pauses: dict[str | None, list[Event]] = {
        name: [("STEP_STARTED", name, None), ("STEP_COMPLETED", name, None)]
        for name in ("rest", "hear")
    }
    # Sending the instance an event is an update.
    instance = ["QUEUED", "STARTED", "SLEEPING", "RESUMED"]
    instance += ["WAITING", "UPDATED", "RESUMED", "COMPLETED"]
    return {
        "pack": once("pack"),
        "cross": flaky("cross", failures),
        **pauses,
        "arrive": once("arrive"),
        None: [(f"INSTANCE_{name}", None, None) for name in instance],
    }


@in_each_language
def test_a_whole_journey_is_tracked(
    server: LocalServer, api: Api, follower: EventFollower, workflow: str
) -> None:
    run = Run.start(api, workflow, failures=2, restMs=700)
    instance = finish(run)

    assert run.steps(instance) == [
        ("pack", "TASK", "COMPLETED", 1),
        ("cross", "TASK", "COMPLETED", 3),
        ("rest", "SLEEP", "COMPLETED", 0),
        ("hear", "WAIT_FOR_EVENT", "COMPLETED", 0),
        ("arrive", "TASK", "COMPLETED", 1),
    ]
    assert [step["index"] for step in instance["steps"]] == [1, 2, 3, 4, 5]
    output = {"packed": ["coat", "hat"], "way": {"attempt": 3}, "message": MESSAGE}
    assert instance["output"] == output
    assert instance["error"] is None
    assert run.step(instance, "pack")["output"] == ["coat", "hat"]
    assert run.step(instance, "hear")["output"] == MESSAGE
    assert run.step(instance, "arrive")["output"] == output
    for step, expected in the_whole_journey(failures=2).items():
        assert of_step(instance, step) == expected

    cross = run.step(instance, "cross")
    assert cross["retryPolicy"] == {"limit": 3, "delay": 200, "backoff": "EXPONENTIAL"}
    assert (cross["error"], cross["nextRetryAt"]) == (None, None)
    for number, attempt in enumerate(cross["attempts"][:2], 1):
        assert attempt["status"] == "FAILED"
        assert attempt["error"]["name"] == "Flaky"
        assert attempt["error"]["message"] == f"no way at attempt {number}"
        assert f"no way at attempt {number}" in attempt["error"]["stack"]
    follower.assert_received_all(api)


@in_each_language
def test_tracked_times_are_those_of_the_run(server: LocalServer, api: Api, workflow: str) -> None:
    run = Run.start(api, workflow, failures=2, attemptMs=150, restMs=1_500)
    asleep = run.until("SLEEPING")
    began = instant(run.step(asleep, "rest")["startedAt"])
    assert abs(instant(asleep["sleepUntil"]) - began - timedelta(milliseconds=1_500)) < PROMPTLY
    instance = finish(run)

    attempts = run.step(instance, "cross")["attempts"]
    happened = noted(server, run, "cross")
    assert len(happened) == len(attempts) == 3
    for attempt, at in zip(attempts, happened, strict=True):
        assert abs(instant(attempt["startedAt"]) - at) < PROMPTLY
        assert instant(attempt["endedAt"]) >= at
        assert instant(attempt["startedAt"]) <= instant(attempt["endedAt"])
    for attempt, at, delay_ms in zip(attempts, happened[1:], (200, 400), strict=False):
        # The engine waits for the delay and a little longer.
        due = instant(attempt["retryAt"])
        assert timedelta() <= at - due + timedelta(milliseconds=50) < PROMPTLY
        assert abs(due - instant(attempt["endedAt"]) - timedelta(milliseconds=delay_ms)) < PROMPTLY
    rest = run.step(instance, "rest")
    slept = instant(rest["completedAt"]) - instant(rest["startedAt"])
    assert timedelta(milliseconds=500) < slept < timedelta(milliseconds=1_500) + PROMPTLY
    times = [instant(event["at"]) for event in instance["events"]["events"]]
    assert times == sorted(times)


@in_each_language
def test_a_failed_journey_has_its_error_and_the_failed_step(
    api: Api, follower: EventFollower, workflow: str
) -> None:
    run = Run.start(api, workflow, ending="badly")
    instance = finish(run, "ERRORED")
    assert instance["output"] is None
    assert instance["error"]["name"] == "Flaky"
    assert instance["error"]["message"] == "the door is locked"
    arrive = run.step(instance, "arrive")
    assert (arrive["status"], arrive["attemptCount"]) == ("FAILED", 2)
    assert [attempt["status"] for attempt in arrive["attempts"]] == ["FAILED", "FAILED"]
    assert [attempt["retryAt"] is None for attempt in arrive["attempts"]] == [False, True]
    assert run.events(instance)[-2:] == [
        ("STEP_FAILED", "arrive", 2),
        ("INSTANCE_ERRORED", None, None),
    ]
    follower.assert_received_all(api)


@in_each_language
@pytest.mark.parametrize(
    ("attempt_ms", "failures"), [(0, 0), (80, 0), (0, 2)], ids=["quick", "slow", "flaky"]
)
def test_a_step_costs_at_most_one_call(
    server: LocalServer, api: Api, workflow: str, attempt_ms: int, failures: int
) -> None:
    run = Run.start(api, workflow, stops=10, attemptMs=attempt_ms, failures=failures)
    instance = finish(run)
    steps = len(instance["steps"])
    assert steps == 15
    made = calls(server, run)
    # A run may make one call at its beginning and one at its end. A failed attempt may make two:
    # one for the failure, with the time of the next attempt, and one when that begins.
    assert len(made) <= steps + 2 + 2 * failures, [len(made), *made]


@pytest.mark.timeout(240)  # three starts of Python Workers, on a machine that may be busy
def test_a_crash_neither_loses_nor_repeats_an_event(
    server: LocalServer, api: Api, node: NodeClients
) -> None:
    followers = [EventFollower(node, server, workflow, head(api)) for workflow in WORKFLOWS]
    runs = {w: Run.start(api, w, firstMs=100_000, restMs=1_000) for w in WORKFLOWS}
    for run in runs.values():
        until(partial(is_running, run, "cross"), seconds=30)
        until(partial(noted, server, run, "cross"), seconds=30)
    server.crash()  # during an attempt, which is repeated
    server.start()
    for workflow, run in runs.items():
        wake(server, run, workflow)
    for run in runs.values():
        run.until("WAITING")
    server.crash()  # while they wait for an event
    server.start()
    for run in runs.values():
        assert run.send_event("message", MESSAGE) == "InstancePayload"

    for run in runs.values():
        instance = run.until("COMPLETED")
        assert len(noted(server, run, "pack")) == 1
        assert len(noted(server, run, "cross")) == 2
        assert run.steps(instance) == [
            ("pack", "TASK", "COMPLETED", 1),
            ("cross", "TASK", "COMPLETED", 2),
            ("rest", "SLEEP", "COMPLETED", 0),
            ("hear", "WAIT_FOR_EVENT", "COMPLETED", 0),
            ("arrive", "TASK", "COMPLETED", 1),
        ]
        assert instance["output"]["message"] == MESSAGE
        cut_off, _ = run.step(instance, "cross")["attempts"]
        assert cut_off["error"]["name"] == "AttemptInterrupted"
        for step, expected in the_whole_journey(failures=1).items():
            assert of_step(instance, step) == expected
    for follower in followers:
        follower.assert_received_all(api)


def finish(run: Run, status: str = "COMPLETED") -> Any:
    """Send an instance the event that it waits for, wait for its end and return the instance."""
    run.until("WAITING")
    assert run.send_event("message", MESSAGE) == "InstancePayload"
    return run.until(status)


def is_running(run: Run, step: str) -> bool:
    """True if a step is RUNNING."""
    steps = (run.show() or {"steps": []})["steps"]
    return any(found["name"] == step and found["status"] == "RUNNING" for found in steps)


def wake(server: LocalServer, run: Run, workflow: str) -> None:
    """Make the local engine continue an instance after a restart; Cloudflare's needs no event."""
    send_directly(server, run, workflow, {"type": "wake", "payload": None})


def send_directly(server: LocalServer, run: Run, workflow: str, event: dict[str, Any]) -> None:
    """Send an instance an event without the service."""
    reply = server.fetch(
        WORKERS[workflow], f"/{run.instance_id}", method="PUT", body=json.dumps(event)
    )
    assert reply.status == 200


def elsewhere(server: LocalServer, workflow: str, folder: Path) -> Path:
    """Copy a Worker, to call a service in another process over HTTP with its key."""
    source = FOLDER / WORKERS[workflow].replace("-", "_")
    copied = folder / source.name
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__"))
    config = parse_jsonc((copied / "wrangler.jsonc").read_text())
    config["services"] = [s for s in config["services"] if s["binding"] != "FLOWFLARE"]
    config["vars"] = {"FLOWFLARE_URL": server.url}
    (copied / "wrangler.jsonc").write_text(json.dumps(config))
    (copied / ".dev.vars").write_text(f"FLOWFLARE_API_KEY={server.key}\n")
    return copied


@pytest.mark.timeout(240)
def test_workflows_continue_while_the_service_is_down(
    server: LocalServer, api: Api, start_server: StartServer, node: NodeClients, tmp_path: Path
) -> None:
    workers = start_server(
        beside=[FOLDER / "witness", *(elsewhere(server, w, tmp_path) for w in WORKFLOWS)]
    )
    followers = [EventFollower(node, server, workflow, head(api)) for workflow in WORKFLOWS]
    runs = {workflow: Run(api, f"{workflow}-elsewhere") for workflow in WORKFLOWS}
    params = json.dumps({"firstMs": 4_000, "failures": 1, "stops": 3})
    for workflow, run in runs.items():
        workers.fetch(WORKERS[workflow], f"/{run.instance_id}", method="POST", body=params)
    for run in runs.values():
        until(partial(is_running, run, "cross"), seconds=30)
    server.crash()
    for workflow, run in runs.items():
        send_directly(workers, run, workflow, {"type": "message", "payload": MESSAGE})
        until(partial(noted, workers, run, "arrive"), seconds=30)
    server.start()

    for run in runs.values():
        instance = run.until("COMPLETED")
        assert instance["output"]["message"] == MESSAGE
        assert len(instance["steps"]) == 8
        events = the_whole_journey(failures=1)
        # It was neither started through the service nor sent its event.
        for past in ("INSTANCE_QUEUED", "INSTANCE_UPDATED"):
            events[None].remove((past, None, None))
        for step, expected in events.items():
            assert of_step(instance, step) == expected
    for follower in followers:
        follower.assert_received_all(api)
