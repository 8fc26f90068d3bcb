"""The service follows Workflows that import nothing of it: what the engine tells is recorded.

A Worker beside the service reads the same histories, which the tests compare event by event with
what is recorded.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.worker.api import act
from tests.worker.engine_history import read_history, steps_of
from tests.worker.plain_workflow import (
    OUTPUTS,
    RETRIES,
    Deed,
    assert_followed,
    send,
    start,
    until_status,
    until_step,
    whole_history,
)

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.api import Api


STARVED_S = 5.0
"""Longer than an answer takes on a busy machine, shorter than the whole history."""

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
    "sleeps of one name": (
        "COMPLETED",
        [["sleep", "nap", 50], ["sleep", "nap", 80], ["sleep", "nap", 50], ["until", "nap", 90]],
    ),
    "sleeps": ("COMPLETED", [["sleep", "nap", 200], ["until", "dawn", 300]]),
    "a wait that times out": ("COMPLETED", [["missed", "approval", "approve", 200]]),
    "a task, a sleep and a longer sleep at once": ("COMPLETED", [["mixed", "m", 200]]),
    "nothing": ("COMPLETED", []),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plain_workflow_is_recorded_as_the_engine_tells_it(
    plain: LocalServer, plain_api: Api, name: str
) -> None:
    status, plan = PLANS[name]
    assert_followed(plain, plain_api, start(plain_api, plan), status)


def test_the_status_follows_from_the_open_steps(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["mixed", "m", 300], ["wait", "w", "go"]])
    until_status(plain_api, instance_id, "WAITING")
    send(plain_api, instance_id, "go", {"by": "me"})
    instance = assert_followed(plain, plain_api, instance_id)
    assert instance["output"] == {"by": "me"}
    types = [e["type"] for e in instance["events"]["events"] if e["type"].startswith("INSTANCE")]
    # While the task runs beside the sleeps the instance is RUNNING.
    expected = "QUEUED STARTED SLEEPING RESUMED SLEEPING RESUMED WAITING UPDATED RESUMED COMPLETED"
    assert types == [f"INSTANCE_{word}" for word in expected.split()]


def test_a_wait_is_answered_by_the_service_and_by_others(
    plain: LocalServer, plain_api: Api
) -> None:
    instance_id = start(plain_api, [["wait", "first", "nudge"], ["do", "between", 1]])
    until_status(plain_api, instance_id, "WAITING")
    plain.fetch("plain", f"/{instance_id}/event", method="POST")
    assert_followed(plain, plain_api, instance_id)


def test_a_pause_and_a_resumption_are_followed(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(
        plain_api, [["busy", "work", 500], ["do", "after", 1], ["sleep", "nap", 500]]
    )
    until_step(plain_api, instance_id, "work", "RUNNING")
    answer = act(plain_api, "pauseWorkflow", instance_id)
    assert answer["__typename"] == "InstancePayload", answer
    instance = until_status(plain_api, instance_id, "PAUSED")
    assert act(plain_api, "resumeWorkflow", instance_id)["__typename"] == "InstancePayload"
    instance = until_status(plain_api, instance_id, "COMPLETED")
    history = read_history(plain, instance_id)
    assert instance["steps"] == steps_of(history)
    assert "workflow_paused" in [event["type"] for event in history]
    types = [event["type"] for event in instance["events"]["events"]]
    assert types.count("INSTANCE_PAUSED") == 1


def test_a_termination_during_a_retry_delay_cancels_the_step(
    plain: LocalServer, plain_api: Api
) -> None:
    retries = {"limit": 3, "delay": 60_000, "backoff": "constant"}
    instance_id = start(plain_api, [["do", "one", 1], ["retry", "pay", retries, 9]])
    until_step(plain_api, instance_id, "pay", "RETRYING")
    assert act(plain_api, "terminateWorkflow", instance_id)["instance"]["status"] == "TERMINATED"
    instance = assert_followed(plain, plain_api, instance_id, "TERMINATED")
    assert instance["steps"][1]["status"] == "CANCELLED"


def test_a_termination_from_outside_is_followed(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["busy", "work", 30_000]])
    until_step(plain_api, instance_id, "work", "RUNNING")
    plain.fetch("plain", f"/{instance_id}/terminate", method="POST")
    assert_followed(plain, plain_api, instance_id, "TERMINATED")


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


@pytest.mark.parametrize("kind", VALUES)
def test_every_value_is_recorded(plain: LocalServer, plain_api: Api, kind: str) -> None:
    instance_id = start(plain_api, [["value", "make", kind], ["do", "next", 1], ["returns", kind]])
    assert_followed(plain, plain_api, instance_id)
    read = plain_api.data(OUTPUTS, id=instance_id)["instance"]
    form, output_kind = VALUES[kind]
    assert (read["output"], read["outputKind"]) == (form, output_kind)
    assert read["steps"] == [
        {"name": "make", "output": form, "outputKind": output_kind},
        {"name": "next", "output": 1, "outputKind": "JSON"},
    ]
    assert read["input"] == [["value", "make", kind], ["do", "next", 1], ["returns", kind]]


def test_a_stream_is_recorded_without_its_content(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["value", "make", "stream"], ["do", "next", 1]])
    assert_followed(plain, plain_api, instance_id)
    [step, _] = plain_api.data(OUTPUTS, id=instance_id)["instance"]["steps"]
    assert step == {"name": "make", "output": {"stream": True}, "outputKind": "CONVERTED"}


def test_the_output_of_a_sensitive_step_is_not_recorded(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["secret", "key", "hunter2"], ["do", "text", "[REDACTED]"]])
    assert_followed(plain, plain_api, instance_id)
    assert plain_api.data(OUTPUTS, id=instance_id)["instance"]["steps"] == [
        {"name": "key", "output": None, "outputKind": "REDACTED"},
        {"name": "text", "output": "[REDACTED]", "outputKind": "JSON"},
    ]


def test_fifty_instances_at_once(plain: LocalServer, plain_api: Api) -> None:
    plan: list[Deed] = [
        ["do", "one", 1],
        ["retry", "two", RETRIES[0], 1],
        ["parallel", 3, 20],
        ["sleep", "nap", 500],
        ["loop", "last", 5],
    ]
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: start(plain_api, plan), range(50)))
    for instance_id in started:
        assert_followed(plain, plain_api, instance_id)


def test_a_thousand_steps_while_others_are_answered(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["loop", "many", 1000]])
    slowest, count = 0.0, 0
    deadline = time.monotonic() + 90
    while plain_api.data(
        "query ($id: String!) { instance(instanceId: $id) { status } }", id=instance_id
    )["instance"]["status"] not in ("COMPLETED", "ERRORED"):
        began = time.monotonic()
        plain_api.data("{ instances(first: 20) { nodes { instanceId status } } }")
        slowest = max(slowest, time.monotonic() - began)
        count += 1
        assert time.monotonic() < deadline
    assert slowest < STARVED_S, f"the slowest of {count} requests took {slowest:.2f} s"
    history = whole_history(plain, instance_id)
    names = plain.query(
        "SELECT name,occurrence,status FROM steps WHERE instance=(SELECT id FROM instances"
        " WHERE instance_id=?1) ORDER BY step_index",
        [instance_id],
    )
    assert [tuple(row.values()) for row in names] == [
        ("many", number, "COMPLETED") for number in range(1, 1001)
    ]
    assert len(history) == 4004
