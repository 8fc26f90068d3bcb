"""The service follows Workflows that import nothing of it: what the engine tells is recorded.

A Worker beside the service reads the same histories, which the tests compare event by event with
what is recorded.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.support.timing import until
from tests.worker.api import Api, act
from tests.worker.engine_history import SHOW, assert_recorded, is_over, read_history, steps_of
from tests.worker.event_log import START, events_after, head
from tests.worker.runs import SEND
from tests.worker.subscribers import NodeClients
from tests.worker.test_workflows import QUERY, SUBSCRIPTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = ROOT / "tests" / "worker" / "workflows" / "plain"
DEADLINE_S = 75.0
PROMPTLY_S = 2.0
RETRIES = [
    {"limit": 3, "delay": 100, "backoff": backoff}
    for backoff in ("constant", "linear", "exponential")
]

Deed: TypeAlias = list[object]
"""A line of a plan: see `DEEDS` in workflows/plain/worker.mjs."""


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service, which follows, and a Worker with a plain Workflow."""
    with LocalServer(vars={"FOLLOWER_SHARDS": "1"}, beside=[FOLDER]) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of that server."""
    with Api(server) as caller:
        yield caller


def start(api: Api, plan: Sequence[Deed]) -> str:
    """Start an instance, and return its id."""
    instance_id = f"plain-{uuid.uuid4()}"
    given = {"workflow": "plain", "instanceId": instance_id, "input": plan}
    answer = api.data(START, input=given)["startWorkflow"]
    assert answer["__typename"] == "InstancePayload", answer
    return instance_id


def show(api: Api, instance_id: str) -> Any:
    return api.data(SHOW, id=instance_id)["instance"]


def until_status(api: Api, instance_id: str, *statuses: str, run: int = 1) -> Any:
    """Wait until the instance has one of the statuses in a run, and return it."""

    def reached(data: Any) -> bool:
        found = data["instance"]
        return found["run"] == run and found["status"] in statuses

    return api.until(SHOW, reached, seconds=DEADLINE_S, id=instance_id)["instance"]


def until_step(api: Api, instance_id: str, name: str, status: str, *, run: int = 1) -> Any:
    """Wait until a step of the instance has a status, and return the instance."""

    def reached(data: Any) -> bool:
        found = data["instance"]
        steps = [step["status"] for step in found["steps"] if step["name"] == name]
        return found["run"] == run and status in steps

    return api.until(SHOW, reached, seconds=DEADLINE_S, id=instance_id)["instance"]


def send(api: Api, instance_id: str, type_: str, payload: object = None) -> None:
    event = {"instanceId": instance_id, "type": type_, "payload": payload}
    answer = api.data(SEND, input=event)["sendWorkflowEvent"]
    assert answer["__typename"] == "InstancePayload", answer


def whole_history(server: LocalServer, instance_id: str) -> list[dict[str, Any]]:
    """The history of an instance whose run has ended, which a busy machine may read in parts."""
    for _ in range(10):
        if is_over(history := read_history(server, instance_id)):
            return history
    raise AssertionError(f"the history of {instance_id} has not ended")


def assert_followed(
    server: LocalServer, api: Api, instance_id: str, status: str = "COMPLETED"
) -> Any:
    """Wait for the end of the first run, and compare it with the engine's history."""
    instance = until_status(api, instance_id, status)
    assert_recorded(instance, whole_history(server, instance_id))
    return instance


PLANS: dict[str, tuple[str, list[Deed]]] = {
    "steps": ("COMPLETED", [["do", "one", 1], ["do", "two", {"a": [1]}]]),
    **{
        f"{retries['backoff']} retries": ("COMPLETED", [["retry", "pay", retries, 3]])
        for retries in RETRIES
    },
    "retries that fail": ("ERRORED", [["retry", "pay", RETRIES[0], 9]]),
    "a caught failure": ("COMPLETED", [["caught", "risky"], ["do", "next", 1]]),
    "a step that stops": ("ERRORED", [["stop", "charge"], ["do", "never", 1]]),
    "a step that takes too long": ("ERRORED", [["timeout", "slow"]]),
    "an error outside of a step": ("ERRORED", [["do", "one", 1], ["throw"]]),
    "parallel steps": ("COMPLETED", [["parallel", 5, 30]]),
    "one name in a loop": ("COMPLETED", [["loop", "page", 12], ["do", "page", 1]]),
    "names with hyphens": (
        "COMPLETED",
        [["do", "a-1", 1], ["do", "a", 1], ["do", "a-1", 2], ["do", "-", 1], ["do", "2-", 1]],
    ),
    "odd names": ("COMPLETED", [["do", "naïve 🦊 name", 1], ["do", " ", 2]]),
    "sleeps": ("COMPLETED", [["sleep", "nap", 200], ["until", "dawn", 300]]),
    "a wait that times out": ("COMPLETED", [["missed", "approval", "approve", 200]]),
    "a task, a sleep and a longer sleep at once": ("COMPLETED", [["mixed", "m", 200]]),
    "nothing": ("COMPLETED", []),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plain_workflow_is_recorded_as_the_engine_tells_it(
    server: LocalServer, api: Api, name: str
) -> None:
    status, plan = PLANS[name]
    assert_followed(server, api, start(api, plan), status)


def test_the_status_follows_from_the_open_steps(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["mixed", "m", 300], ["wait", "w", "go"]])
    until_status(api, instance_id, "WAITING")
    send(api, instance_id, "go", {"by": "me"})
    instance = assert_followed(server, api, instance_id)
    assert instance["output"] == {"by": "me"}
    types = [e["type"] for e in instance["events"]["events"] if e["type"].startswith("INSTANCE")]
    # While the task runs beside the sleeps the instance is RUNNING.
    expected = "QUEUED STARTED SLEEPING RESUMED SLEEPING RESUMED WAITING UPDATED RESUMED COMPLETED"
    assert types == [f"INSTANCE_{word}" for word in expected.split()]


def test_a_wait_is_answered_by_the_service_and_by_others(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["wait", "first", "nudge"], ["do", "between", 1]])
    until_status(api, instance_id, "WAITING")
    server.fetch("plain", f"/{instance_id}/event", method="POST")
    assert_followed(server, api, instance_id)


def test_a_pause_and_a_resumption_are_followed(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["busy", "work", 500], ["do", "after", 1], ["sleep", "nap", 500]])
    until_step(api, instance_id, "work", "RUNNING")
    answer = act(api, "pauseWorkflow", instance_id)
    assert answer["__typename"] == "InstancePayload", answer
    instance = until_status(api, instance_id, "PAUSED")
    assert act(api, "resumeWorkflow", instance_id)["__typename"] == "InstancePayload"
    instance = until_status(api, instance_id, "COMPLETED")
    history = read_history(server, instance_id)
    assert instance["steps"] == steps_of(history)
    assert "workflow_paused" in [event["type"] for event in history]
    types = [event["type"] for event in instance["events"]["events"]]
    assert types.count("INSTANCE_PAUSED") == 1


def test_a_termination_during_a_retry_delay_cancels_the_step(server: LocalServer, api: Api) -> None:
    retries = {"limit": 3, "delay": 60_000, "backoff": "constant"}
    instance_id = start(api, [["do", "one", 1], ["retry", "pay", retries, 9]])
    until_step(api, instance_id, "pay", "RETRYING")
    assert act(api, "terminateWorkflow", instance_id)["instance"]["status"] == "TERMINATED"
    instance = assert_followed(server, api, instance_id, "TERMINATED")
    assert instance["steps"][1]["status"] == "CANCELLED"


def test_a_termination_from_outside_is_followed(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["busy", "work", 30_000]])
    until_step(api, instance_id, "work", "RUNNING")
    server.fetch("plain", f"/{instance_id}/terminate", method="POST")
    assert_followed(server, api, instance_id, "TERMINATED")


@pytest.mark.parametrize("by", ["the service", "others"])
def test_a_restart_while_running_begins_a_second_run(
    server: LocalServer, api: Api, by: str
) -> None:
    instance_id = start(api, [["do", "one", 1], ["loop", "many", 9], ["wait", "hold", "go"]])
    until_status(api, instance_id, "WAITING")
    first = read_history(server, instance_id)
    if by == "others":
        server.fetch("plain", f"/{instance_id}/restart", method="POST")
    else:
        assert act(api, "restartWorkflow", instance_id)["__typename"] == "InstancePayload"
    until_step(api, instance_id, "hold", "RUNNING", run=2)
    send(api, instance_id, "go")
    instance = until_status(api, instance_id, "COMPLETED", run=2)
    assert_recorded(instance, whole_history(server, instance_id), run=2)
    before = instance["runs"][1]
    assert (before["number"], before["status"]) == (1, "TERMINATED")
    *done, hold = before["steps"]
    assert done == steps_of(first)[:-1]
    assert (hold["name"], hold["status"]) == ("hold", "CANCELLED")


def test_a_restart_after_the_end_begins_a_second_run(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["caught", "risky"], ["do", "one", 1]])
    assert_followed(server, api, instance_id)
    first = whole_history(server, instance_id)
    assert act(api, "restartWorkflow", instance_id)["__typename"] == "InstancePayload"
    instance = until_status(api, instance_id, "COMPLETED", run=2)
    second = whole_history(server, instance_id)
    assert second[0]["timestamp"] > first[0]["timestamp"]
    assert_recorded(instance, first, run=1)
    assert_recorded(instance, second, run=2)


VALUES: dict[str, tuple[object, str]] = {
    "undefined": (None, "UNDEFINED"),
    "null": (None, "JSON"),
    "text": ('a "text" with \u2028, \u0000 and 🦊', "JSON"),
    "number": (-0.5, "JSON"),
    "nan": (None, "CONVERTED"),
    "infinity": ([None, None], "CONVERTED"),
    "bigint": ("12345678901234567890", "CONVERTED"),
    "date": ("2001-09-09T01:46:40.000Z", "CONVERTED"),
    "map": ({"a": 1}, "CONVERTED"),
    "pairs": ([[1, {"a": "2"}]], "CONVERTED"),
    "set": ([1, 2], "CONVERTED"),
    "error": ([{"name": "RangeError", "message": "far"}], "CONVERTED"),
    "bytes": ({"bytes": 3}, "CONVERTED"),
    "buffers": ([{"bytes": 4}, {"bytes": 8}], "CONVERTED"),
    "list": ([1, "two", [3]], "JSON"),
    "proto": ({}, "JSON"),
    "records": ([{"id": n, "name": "x" * 20} for n in range(9_000)], "JSON"),
    "deep": ({"truncated": True, "bytes": 1800, "preview": "[" * 900 + "]" * 100}, "TRUNCATED"),
    "large": (
        {"truncated": True, "bytes": 600_002, "preview": '"' + "é" * 999},
        "TRUNCATED",
    ),
    "largest": (
        {"truncated": True, "bytes": 1_048_502, "preview": '"' + "x" * 999},
        "TRUNCATED",
    ),
}
OUTPUTS = """query ($id: String!) { instance(instanceId: $id) {
  input output outputKind steps { name output outputKind } } }"""


@pytest.mark.parametrize("kind", VALUES)
def test_every_value_is_recorded(server: LocalServer, api: Api, kind: str) -> None:
    instance_id = start(api, [["value", "make", kind], ["do", "next", 1], ["returns", kind]])
    assert_followed(server, api, instance_id)
    read = api.data(OUTPUTS, id=instance_id)["instance"]
    form, output_kind = VALUES[kind]
    assert (read["output"], read["outputKind"]) == (form, output_kind)
    assert read["steps"] == [
        {"name": "make", "output": form, "outputKind": output_kind},
        {"name": "next", "output": 1, "outputKind": "JSON"},
    ]
    assert read["input"] == [["value", "make", kind], ["do", "next", 1], ["returns", kind]]


def test_a_stream_is_recorded_without_its_content(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["value", "make", "stream"], ["do", "next", 1]])
    assert_followed(server, api, instance_id)
    [step, _] = api.data(OUTPUTS, id=instance_id)["instance"]["steps"]
    assert step == {"name": "make", "output": {"stream": True}, "outputKind": "CONVERTED"}


def test_the_output_of_a_sensitive_step_is_not_recorded(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["secret", "key", "hunter2"], ["do", "text", "[REDACTED]"]])
    assert_followed(server, api, instance_id)
    assert api.data(OUTPUTS, id=instance_id)["instance"]["steps"] == [
        {"name": "key", "output": None, "outputKind": "REDACTED"},
        {"name": "text", "output": "[REDACTED]", "outputKind": "JSON"},
    ]


def test_an_eviction_of_the_follower_loses_nothing(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["loop", "a", 20], ["sleep", "nap", 3000], ["loop", "b", 20]])
    for _ in range(3):
        time.sleep(0.3)
        server.evict(class_name="WorkflowFollower")
    assert_followed(server, api, instance_id)


def test_a_history_is_closed_during_a_long_sleep_and_opened_when_it_ends(
    server: LocalServer, api: Api
) -> None:
    instance_id = start(api, [["do", "one", 1], ["sleep", "nap", 16_000], ["do", "two", 1]])

    def is_open() -> bool | None:
        rows = server.follower("status")
        return next((row["isOpen"] for row in rows if row["id"] == instance_id), None)

    until(lambda: is_open() is True)
    until_status(api, instance_id, "SLEEPING")
    until(lambda: is_open() is False, seconds=14)
    # Others that begin meanwhile do not put the alarm off.
    others = [start(api, [["sleep", "nap", 2000]]) for _ in range(3)]
    instance = assert_followed(server, api, instance_id)
    recorded = time.time()
    [nap] = [step for step in instance["steps"] if step["name"] == "nap"]
    assert nap["status"] == "COMPLETED"
    ended = whole_history(server, instance_id)[-1]["timestamp"] / 1000
    assert recorded - ended < PROMPTLY_S
    for other in others:
        assert_followed(server, api, other)
    until(lambda: is_open() is None)


def test_fifty_instances_at_once(server: LocalServer, api: Api) -> None:
    plan: list[Deed] = [
        ["do", "one", 1],
        ["retry", "two", RETRIES[0], 1],
        ["parallel", 3, 20],
        ["sleep", "nap", 500],
        ["loop", "last", 5],
    ]
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: start(api, plan), range(50)))
    for instance_id in started:
        assert_followed(server, api, instance_id)


def test_a_thousand_steps_while_others_are_answered(server: LocalServer, api: Api) -> None:
    instance_id = start(api, [["loop", "many", 1000]])
    slowest, count = 0.0, 0
    deadline = time.monotonic() + 90
    while api.data("query ($id: String!) { instance(instanceId: $id) { status } }", id=instance_id)[
        "instance"
    ]["status"] not in ("COMPLETED", "ERRORED"):
        began = time.monotonic()
        api.data("{ instances(first: 20) { nodes { instanceId status } } }")
        slowest = max(slowest, time.monotonic() - began)
        count += 1
        assert time.monotonic() < deadline
    assert slowest < 1, f"the slowest of {count} requests took {slowest:.2f} s"
    history = whole_history(server, instance_id)
    names = server.query(
        "SELECT name,occurrence,status FROM steps WHERE instance=(SELECT id FROM instances"
        " WHERE instance_id=?1) ORDER BY step_index",
        [instance_id],
    )
    assert [tuple(row.values()) for row in names] == [
        ("many", number, "COMPLETED") for number in range(1, 1001)
    ]
    assert len(history) == 4004


def test_instances_survive_kills_of_everything(prepared: None, tmp_path: Any) -> None:
    plan: list[Deed] = [
        ["loop", "a", 10],
        ["retry", "pay", RETRIES[0], 2],
        ["parallel", 4, 100],
        ["sleep", "nap", 1500],
        ["loop", "b", 10],
        ["wait", "hold", "go"],
    ]
    server = LocalServer(vars={"FOLLOWER_SHARDS": "2"}, beside=[FOLDER], state=tmp_path / "state")
    server.start()
    try:
        with Api(server) as api, NodeClients() as node:
            after = head(api)
            node.open("kills", server)
            variables = {"filter": {"workflow": ["plain"]}, "after": after}
            inbox = node.subscribe(
                "kills", "kills-events", SUBSCRIPTION, variables=variables, resume=True
            )
            started = [start(api, plan) for _ in range(10)]
            for pause in (0.3, 0.7, 1.5):
                time.sleep(pause)
                server.crash()
                server.start()
                # The local engine goes on when it gets an event.
                for instance_id in started:
                    server.fetch("plain", f"/{instance_id}/event", method="POST")
            for instance_id in started:
                until_step(api, instance_id, "hold", "RUNNING")
            for instance_id in started:
                send(api, instance_id, "go")
                until_status(api, instance_id, "COMPLETED")
            for instance_id in started:
                history = whole_history(server, instance_id)
                assert_recorded(show(api, instance_id), history)
            log = events_after(api, after, query=QUERY, filter_={"workflow": ["plain"]})
            inbox.until(lambda inbox: len(inbox.events) >= len(log))
            assert inbox.events == log
    finally:
        server.stop()
