"""A restart, whole or from a step and by anybody, begins a run with the history that follows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.worker.api import act
from tests.worker.engine_history import assert_recorded, read_history, steps_of
from tests.worker.plain_workflow import (
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

PARALLEL: list[Deed] = [["do", "before", 1], ["parallel", 3, 60], ["do", "after", 1]]


def restart_from(server: LocalServer, instance_id: str, name: str, **more: object) -> None:
    """Restart an instance from a step behind the service's back."""
    step = json.dumps({"name": name, **more})
    reply = server.fetch("plain", f"/{instance_id}/from", method="POST", body=step)
    assert reply.status == 200, reply.text


@pytest.fixture(scope="module")
def finished(plain: LocalServer, plain_api: Api) -> dict[str, str]:
    """Finished instances that somebody else has restarted; the last test looks at them.

    The service reads the history of a finished instance again after a minute, which passes during
    the other tests.
    """
    started = {name: start(plain_api, PARALLEL) for name in ("whole", "before", "parallel 1")}
    started["failed"] = start(plain_api, [["do", "one", 1], ["throw"]])
    for name, instance_id in started.items():
        until_status(plain_api, instance_id, "ERRORED" if name == "failed" else "COMPLETED")
        if name in ("whole", "failed"):
            plain.fetch("plain", f"/{instance_id}/restart", method="POST")
        else:
            restart_from(plain, instance_id, name)
    return started


@pytest.mark.parametrize("by", ["the service", "others"])
@pytest.mark.usefixtures("finished")
def test_a_restart_while_running_begins_a_second_run(
    plain: LocalServer, plain_api: Api, by: str
) -> None:
    plan: list[Deed] = [["do", "one", 1], ["loop", "many", 9], ["wait", "hold", "go"]]
    instance_id = start(plain_api, plan)
    until_status(plain_api, instance_id, "WAITING")
    first = read_history(plain, instance_id)
    if by == "others":
        plain.fetch("plain", f"/{instance_id}/restart", method="POST")
    else:
        assert act(plain_api, "restartWorkflow", instance_id)["__typename"] == "InstancePayload"
    until_step(plain_api, instance_id, "hold", "RUNNING", run=2)
    send(plain_api, instance_id, "go")
    instance = until_status(plain_api, instance_id, "COMPLETED", run=2)
    assert_recorded(instance, whole_history(plain, instance_id), run=2)
    before = instance["runs"][1]
    assert (before["number"], before["status"]) == (1, "TERMINATED")
    *done, hold = before["steps"]
    assert done == steps_of(first)[:-1]
    assert (hold["name"], hold["status"]) == ("hold", "CANCELLED")


def test_a_restart_after_the_end_begins_a_second_run(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["caught", "risky"], ["do", "one", 1]])
    assert_followed(plain, plain_api, instance_id)
    first = whole_history(plain, instance_id)
    assert act(plain_api, "restartWorkflow", instance_id)["__typename"] == "InstancePayload"
    instance = until_status(plain_api, instance_id, "COMPLETED", run=2)
    second = whole_history(plain, instance_id)
    assert second[0]["timestamp"] > first[0]["timestamp"]
    assert_recorded(instance, first, run=1)
    assert_recorded(instance, second, run=2)


@pytest.mark.parametrize(
    ("name", "more"), [("before", {}), ("parallel 1", {}), ("hold", {"type": "waitForEvent"})]
)
def test_a_restart_from_a_step_keeps_the_steps_before(
    plain: LocalServer, plain_api: Api, name: str, more: dict[str, str]
) -> None:
    instance_id = start(plain_api, [*PARALLEL, ["wait", "hold", "go"]])
    until_status(plain_api, instance_id, "WAITING")
    first = read_history(plain, instance_id)
    restart_from(plain, instance_id, name, **more)
    until_step(plain_api, instance_id, "hold", "RUNNING", run=2)
    send(plain_api, instance_id, "go")
    instance = until_status(plain_api, instance_id, "COMPLETED", run=2)
    second = whole_history(plain, instance_id)
    assert_recorded(instance, second, run=2)
    kept = {event["timestamp"] for event in first} & {event["timestamp"] for event in second}
    assert bool(kept) is (name != "never")
    assert instance["runs"][1]["status"] == "TERMINATED"
    assert instance["runs"][1]["steps"][:-1] == steps_of(first)[:-1]


def test_a_restart_from_a_step_while_its_siblings_run_is_noticed(
    plain: LocalServer, plain_api: Api
) -> None:
    plan: list[Deed] = [["do", "before", 1], ["parallel", 4, 400], ["do", "after", 1]]
    instance_id = start(plain_api, plan)
    until_step(plain_api, instance_id, "parallel 3", "COMPLETED")
    restart_from(plain, instance_id, "parallel 2")
    instance = until_status(plain_api, instance_id, "COMPLETED", run=2)
    assert_recorded(instance, whole_history(plain, instance_id), run=2)


def test_a_restart_of_a_paused_instance_is_noticed(plain: LocalServer, plain_api: Api) -> None:
    instance_id = start(plain_api, [["do", "one", 1], ["busy", "work", 300], ["do", "two", 1]])
    until_step(plain_api, instance_id, "work", "RUNNING")
    assert act(plain_api, "pauseWorkflow", instance_id)["__typename"] == "InstancePayload"
    until_status(plain_api, instance_id, "PAUSED")
    restart_from(plain, instance_id, "work")
    assert act(plain_api, "resumeWorkflow", instance_id) is not None
    instance = until_status(plain_api, instance_id, "COMPLETED", run=2)
    assert_recorded(instance, whole_history(plain, instance_id), run=2)


def test_a_finished_instance_that_is_restarted_from_outside_is_noticed(
    plain: LocalServer, plain_api: Api, finished: dict[str, str]
) -> None:
    for name, instance_id in finished.items():
        status = "ERRORED" if name == "failed" else "COMPLETED"
        instance = until_status(plain_api, instance_id, status, run=2)
        assert_recorded(instance, whole_history(plain, instance_id), run=2)
        assert [run["status"] for run in instance["runs"]] == [status, status]
