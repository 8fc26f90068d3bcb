"""Reconciliation and actions with the real engine, and retention."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resolvers.base.limits import RECONCILE_GIVE_UP_SECONDS
from scripts.local_server import LocalServer
from tests.support.servers import REPORTS_ALONE
from tests.worker.api import Api, act, run_cron
from tests.worker.event_log import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.worker.conftest import StartServer

UNTRACKED = "untracked"
REPORT = """mutation Report($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename }
}"""
INSTANCE = """query Instance($id: String!) {
  instance(instanceId: $id) {
    status output error { name message } startedAt completedAt
    events(first: 1000) { events { type data } }
  }
}"""
HOUR = 3_600


@pytest.fixture(scope="module")
def beside(prepared: None) -> Iterator[LocalServer]:
    """A server that follows nothing, with a Worker beside it whose Workflow reports nothing."""
    folder = Path(__file__).parent / "engine_worker"
    with LocalServer(vars=REPORTS_ALONE, beside=[folder]) as running:
        yield running


@pytest.fixture(scope="module")
def caller(beside: LocalServer) -> Iterator[Api]:
    """A caller of that server, with all rights."""
    with Api(beside) as api:
        yield api


@pytest.fixture
def instance_id() -> str:
    """The id of an instance that only this test uses."""
    return f"i-{uuid.uuid4()}"


def start(api: Api, instance_id: str, *, workflow: str = UNTRACKED, **params: Any) -> None:
    """Start an instance with the engine."""
    given = {"workflow": workflow, "instanceId": instance_id, "input": params}
    assert api.data(START, input=given) == {"startWorkflow": {"__typename": "InstancePayload"}}


def age(server: LocalServer, instance_id: str, seconds: int) -> None:
    """Move the last change of an instance that far into the past."""
    then = "strftime('%Y-%m-%dT%H:%M:%fZ','now',?1)"
    server.query(
        f"UPDATE instances SET created_at={then},updated_at={then} WHERE instance_id=?2",
        [f"-{seconds} seconds", instance_id],
    )


def reconciled(
    api: Api, instance_id: str, done: Callable[[Any], bool], *, seconds: int = HOUR
) -> Any:
    """Age the instance and run the trigger until `done` accepts it; return the instance."""

    def tried(data: Any) -> bool:
        if done(data["instance"]):
            return True
        age(api.server, instance_id, seconds)
        run_cron(api.server)
        return False

    return api.until(INSTANCE, tried, id=instance_id)["instance"]


def status(api: Api, instance_id: str) -> Any:
    """The tracked status."""
    return api.data(INSTANCE, id=instance_id)["instance"]["status"]


def events(instance: Any) -> list[tuple[str, Any]]:
    """Type and data of each event."""
    return [(event["type"], event["data"]) for event in instance["events"]["events"]]


def test_an_instance_that_reports_nothing_is_tracked_to_its_end(
    caller: Api, instance_id: str
) -> None:
    start(caller, instance_id, result={"a": [1, None, "ü"]})
    ended = reconciled(caller, instance_id, lambda i: i["status"] == "COMPLETED")
    assert ended["output"] == {"a": [1, None, "ü"]}
    assert ended["startedAt"] is not None
    assert ended["completedAt"] is not None
    assert events(ended)[-1] == ("INSTANCE_COMPLETED", {"reconciled": True})


def test_an_unreported_failure_is_recorded_with_its_error(caller: Api, instance_id: str) -> None:
    start(caller, instance_id, failure="no such customer")
    ended = reconciled(caller, instance_id, lambda i: i["status"] == "ERRORED")
    assert ended["error"] == {"name": "TypeError", "message": "no such customer"}
    type_, data = events(ended)[-1]
    assert (type_, data["reconciled"]) == ("INSTANCE_ERRORED", True)
    assert data["error"]["message"] == "no such customer"


def test_an_event_reaches_a_workflow_of_another_worker_and_is_recorded(
    caller: Api, instance_id: str
) -> None:
    start(caller, instance_id, event="approved")
    waiting = reconciled(caller, instance_id, lambda i: i["status"] != "QUEUED")
    # The local engine says `running` of an instance that waits.
    assert waiting["status"] == "RUNNING"
    assert events(waiting)[-1] == ("INSTANCE_STARTED", {"reconciled": True})
    answer = act(caller, "sendWorkflowEvent", instance_id, type="approved", payload={"by": "ada"})
    assert answer["instance"] == {"status": "RUNNING"}
    ended = reconciled(caller, instance_id, lambda i: i["status"] == "COMPLETED")
    assert ended["output"] == {"by": "ada"}
    assert ("INSTANCE_UPDATED", {"sentEvent": "approved"}) in events(ended)


def test_a_sleep_is_paused_and_resumed_in_another_worker(caller: Api, instance_id: str) -> None:
    start(caller, instance_id, sleepMs=600_000)
    assert act(caller, "pauseWorkflow", instance_id)["instance"] == {"status": "PAUSED"}
    age(caller.server, instance_id, HOUR)
    run_cron(caller.server)
    assert status(caller, instance_id) == "PAUSED"
    assert act(caller, "resumeWorkflow", instance_id)["instance"] == {"status": "RUNNING"}
    ended = act(caller, "terminateWorkflow", instance_id)
    assert ended["instance"] == {"status": "TERMINATED"}


def test_a_pause_waits_for_a_running_step_and_is_recorded_afterwards(
    caller: Api, instance_id: str
) -> None:
    start(caller, instance_id, busyMs=3_000, sleepMs=600_000)
    answer = act(caller, "pauseWorkflow", instance_id)
    assert answer["instance"] == {"status": "WAITING_FOR_PAUSE"}
    paused = reconciled(caller, instance_id, lambda i: i["status"] == "PAUSED")
    assert events(paused)[-1] == ("INSTANCE_PAUSED", {"reconciled": True})


@pytest.mark.parametrize(
    ("action", "to", "words"),
    [
        ("terminateWorkflow", "TERMINATED", "finite state"),
        ("pauseWorkflow", "PAUSED", "complete"),
        ("sendWorkflowEvent", "COMPLETED", "'go'"),
    ],
)
def test_an_action_on_an_instance_that_ended_unreported_is_illegal_and_repairs_it(
    caller: Api, instance_id: str, action: str, to: str, words: str
) -> None:
    start(caller, instance_id, result=7)
    more = {"type": "go"} if action == "sendWorkflowEvent" else {}
    # By the time the other has ended, the engine has ended this one.
    other = f"{instance_id}-other"
    start(caller, other, result=8)
    reconciled(caller, other, lambda i: i["status"] == "COMPLETED")
    answer = act(caller, action, instance_id, **more)
    assert (answer["__typename"], answer["from"]) == ("IllegalTransition", "COMPLETED")
    assert answer["to"] == to
    assert words in answer["message"]
    ended = caller.data(INSTANCE, id=instance_id)["instance"]
    assert (ended["status"], ended["output"]) == ("COMPLETED", 7)
    assert events(ended)[-1] == ("INSTANCE_COMPLETED", {"reconciled": True})


def test_a_restart_of_an_instance_unknown_to_the_engine_changes_nothing(
    caller: Api, instance_id: str
) -> None:
    report = {"workflow": UNTRACKED, "instanceId": instance_id, "status": "COMPLETED", "output": 1}
    caller.data(REPORT, input=report)
    before = caller.data(INSTANCE, id=instance_id)
    assert act(caller, "restartWorkflow", instance_id)["code"] == "ENGINE_UNAVAILABLE"
    assert caller.data(INSTANCE, id=instance_id) == before


@pytest.mark.parametrize("action", ["pauseWorkflow", "terminateWorkflow", "sendWorkflowEvent"])
def test_an_action_on_an_instance_unknown_to_the_engine_has_its_message(
    caller: Api, instance_id: str, action: str
) -> None:
    caller.data(
        REPORT, input={"workflow": UNTRACKED, "instanceId": instance_id, "status": "RUNNING"}
    )
    more = {"type": "go"} if action == "sendWorkflowEvent" else {}
    answer = act(caller, action, instance_id, **more)
    assert answer["code"] == "ENGINE_UNAVAILABLE"
    assert "instance.not_found" in answer["message"]
    assert status(caller, instance_id) == "RUNNING"


def test_an_instance_unknown_to_the_engine_is_given_up_after_a_day_without_reports(
    caller: Api, instance_id: str
) -> None:
    given = {"workflow": UNTRACKED, "instanceId": instance_id, "status": "RUNNING"}
    caller.data(REPORT, input=given)
    age(caller.server, instance_id, HOUR)
    run_cron(caller.server)
    assert status(caller, instance_id) == "RUNNING"
    age(caller.server, instance_id, RECONCILE_GIVE_UP_SECONDS + HOUR)
    run_cron(caller.server)
    ended = caller.data(INSTANCE, id=instance_id)["instance"]
    assert (ended["status"], ended["error"]["name"]) == ("ERRORED", "EngineUnavailable")


def test_a_start_that_the_engine_refuses_ends_with_its_message(
    caller: Api, instance_id: str
) -> None:
    # No engine takes an id with a blank; the API would have refused it.
    bad = f"{instance_id} bad"
    caller.server.query(
        "INSERT INTO instances (instance_id,workflow,status,created_at,updated_at)"
        " VALUES (?1,?2,'QUEUED',?3,?3)",
        [bad, UNTRACKED, "2026-01-01T00:00:00.000Z"],
    )
    run_cron(caller.server)
    ended = caller.data(INSTANCE, id=bad)["instance"]
    assert ended["status"] == "ERRORED"
    assert "invalid id" in ended["error"]["message"]


def test_retention_removes_instances_that_ended_long_ago(caller: Api, instance_id: str) -> None:
    workflow = f"kept-{instance_id}"
    register = """mutation($input: RegisterWorkflowInput!) {
      registerWorkflow(input: $input) { __typename } }"""
    caller.data(register, input={"name": workflow, "retentionDays": 30})
    old, new = f"{instance_id}-old", f"{instance_id}-new"
    for name in (old, new):
        given = {"workflow": workflow, "instanceId": name, "status": "COMPLETED"}
        caller.data(REPORT, input=given)
    then = "strftime('%Y-%m-%dT%H:%M:%fZ','now','-31 days')"
    caller.server.query(f"UPDATE instances SET completed_at={then} WHERE instance_id=?1", [old])
    run_cron(caller.server)
    assert caller.data(INSTANCE, id=old) == {"instance": None}
    assert status(caller, new) == "COMPLETED"
    counts = caller.data(
        "query($name: String!) { workflow(name: $name) { statusCounts { status count } } }",
        name=workflow,
    )
    assert counts["workflow"]["statusCounts"] == [{"status": "COMPLETED", "count": 1}]


def test_a_worker_killed_between_recording_and_starting_loses_no_start(
    start_server: StartServer, instance_id: str
) -> None:
    server = start_server(vars={"WORKFLOWS": '{"order-processing": "SLOW_ENGINE"}'})
    params = {"failPayments": 0, "holdMs": 1}
    with Api(server) as api, ThreadPoolExecutor(1) as pool:
        started = pool.submit(start, api, instance_id, workflow="order-processing", **params)
        with Api(server) as witness:
            witness.until(INSTANCE, lambda data: data["instance"] is not None, id=instance_id)
        # The start is recorded, and the engine has not answered yet.
        assert not started.done()
        server.crash()
        with pytest.raises(httpx.HTTPError):
            started.result()
    server.vars["WORKFLOWS"] = '{"order-processing": "ORDER_PROCESSING"}'
    server.start()
    with Api(server) as api:
        assert status(api, instance_id) == "QUEUED"
        age(server, instance_id, HOUR)
        run_cron(server)
        run_cron(server)
        ended = api.until(
            INSTANCE, lambda data: data["instance"]["status"] == "COMPLETED", id=instance_id
        )["instance"]
    types = [type_ for type_, _ in events(ended)]
    assert types[:2] == ["INSTANCE_QUEUED", "INSTANCE_STARTED"]
    assert types.count("STEP_STARTED") == 4
    assert types.count("INSTANCE_COMPLETED") == 1


def test_bindings_that_are_missing_slow_or_unreadable_leave_tracking_alone(
    start_server: StartServer, instance_id: str
) -> None:
    bindings = '{"order-processing": "NO_SUCH_BINDING", "slow": "SLOW_ENGINE"}'
    server = start_server(vars={"WORKFLOWS": bindings, **REPORTS_ALONE})
    given = {"workflow": "order-processing", "instanceId": instance_id}
    with Api(server) as api:
        answer = api.data(START, input=given)["startWorkflow"]
        assert answer["__typename"] == "EngineUnavailable"
        assert "NO_SUCH_BINDING" in answer["message"]
        assert "WORKFLOWS" in answer["message"]
        assert status(api, instance_id) == "QUEUED"
        assert "NO_SUCH_BINDING" in act(api, "terminateWorkflow", instance_id)["message"]
        # The service waits only so long for an engine that does not answer.
        late = {"workflow": "slow", "instanceId": f"{instance_id}-late"}
        answer = api.data(START, input=late)["startWorkflow"]
        assert answer["__typename"] == "EngineUnavailable"
        assert "no answer within 10 seconds" in answer["message"]
        assert status(api, late["instanceId"]) == "QUEUED"
        server.vars["WORKFLOWS"] = "order-processing=ORDER_PROCESSING"
        server.restart()
        api.data(REPORT, input={"instanceId": instance_id, "status": "RUNNING"})
        answer = act(api, "pauseWorkflow", instance_id)
        assert answer["code"] == "ENGINE_UNAVAILABLE"
        assert "'order-processing'" in answer["message"]
        assert "WORKFLOWS is not JSON" in answer["message"]
        assert status(api, instance_id) == "RUNNING"
