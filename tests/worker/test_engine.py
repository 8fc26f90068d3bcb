"""The workflow examples/order_processing, started through the API and run by the real engine."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.support.servers import REPORTS_ALONE
from tests.worker.api import Api, act, cost, run_cron

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.conftest import StartServer

WORKFLOW = "order-processing"
TRACKED = "user-onboarding"
START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) {
    __typename
    ... on InstancePayload { instance { instanceId status } }
    ... on InvalidInput { path }
  }
}"""
ORDER = """query Order($id: String!) {
  instance(instanceId: $id) {
    status output error { name message stack } startedAt completedAt sleepUntil duration
    canPause canResume canTerminate canRestart
    steps {
      name kind status output error { name message } attemptCount nextRetryAt startedAt completedAt
      retryPolicy { limit delay backoff }
      attempts { number status error { name message stack } startedAt endedAt retryAt }
    }
    events(first: 1000) { events { type status step { name } attempt at } }
  }
}"""
REPORT = """mutation Report($input: UpdateWorkflowStepInput!) {
  updateWorkflowStep(input: $input) { ... on StepPayload { step { status nextRetryAt } } }
}"""
RETRYING = """query Retrying {
  instances(filter: { retrying: true }, first: 100) { nodes { instanceId } }
}"""
ONE_RUN = [
    ("INSTANCE_QUEUED", None, None),
    ("INSTANCE_STARTED", None, None),
    ("STEP_STARTED", "validate", None),
    ("ATTEMPT_STARTED", "validate", 1),
    ("STEP_COMPLETED", "validate", 1),
    ("STEP_STARTED", "charge card", None),
    ("ATTEMPT_STARTED", "charge card", 1),
    ("ATTEMPT_FAILED", "charge card", 1),
    ("ATTEMPT_STARTED", "charge card", 2),
    ("ATTEMPT_FAILED", "charge card", 2),
    ("ATTEMPT_STARTED", "charge card", 3),
    ("STEP_COMPLETED", "charge card", 3),
    ("STEP_STARTED", "hold for stock", None),
    ("INSTANCE_SLEEPING", None, None),
    ("STEP_COMPLETED", "hold for stock", None),
    ("INSTANCE_RESUMED", None, None),
    ("STEP_STARTED", "ship", None),
    ("ATTEMPT_STARTED", "ship", 1),
    ("STEP_COMPLETED", "ship", 1),
    ("INSTANCE_COMPLETED", None, None),
]


@pytest.fixture
def order() -> str:
    """The id of an order that only this test uses."""
    return f"order-{uuid.uuid4()}"


def start(api: Api, order: str, workflow: str = WORKFLOW, **given: Any) -> Any:
    return api.data(START, input={"workflow": workflow, "instanceId": order, "input": given})[
        "startWorkflow"
    ]


def until(api: Api, order: str, status: str) -> dict[str, Any]:
    """Wait until the instance has the status, and return it."""
    found = api.until(ORDER, lambda data: data["instance"]["status"] == status, id=order)
    instance = found["instance"]
    assert isinstance(instance, dict)
    return instance


def log_of(instance: dict[str, Any]) -> list[tuple[str, str | None, int | None]]:
    return [
        (event["type"], (event["step"] or {}).get("name"), event["attempt"])
        for event in instance["events"]["events"]
    ]


def test_an_order_runs_to_its_end_with_every_step_recorded(api: Api, order: str) -> None:
    assert start(api, order, items=["book", "pen"])["instance"]["status"] == "QUEUED"
    instance = until(api, order, "COMPLETED")
    assert instance["output"] == {"paymentId": "pay-3", "parcels": 2}
    assert instance["error"] is None
    assert instance["duration"] >= 1_000
    validate, charge, hold, ship = instance["steps"]

    assert (validate["name"], validate["kind"], validate["status"]) == (
        "validate",
        "TASK",
        "COMPLETED",
    )
    assert validate["output"] == ["book", "pen"]
    assert [attempt["status"] for attempt in validate["attempts"]] == ["COMPLETED"]

    assert (charge["name"], charge["status"], charge["attemptCount"]) == (
        "charge card",
        "COMPLETED",
        3,
    )
    assert charge["retryPolicy"] == {"limit": 3, "delay": 300, "backoff": "CONSTANT"}
    assert charge["error"] is None
    assert charge["nextRetryAt"] is None
    first, second, third = charge["attempts"]
    for number, attempt in ((1, first), (2, second)):
        assert (attempt["number"], attempt["status"]) == (number, "FAILED")
        assert attempt["error"]["name"] == "PaymentDeclined"
        assert attempt["error"]["message"] == f"card declined at attempt {number}"
        assert "PaymentDeclined" in attempt["error"]["stack"]
        assert "in charge" in attempt["error"]["stack"]
        assert attempt["startedAt"] <= attempt["endedAt"] < attempt["retryAt"]
    assert first["retryAt"] <= second["startedAt"]
    assert second["retryAt"] <= third["startedAt"]
    assert (third["status"], third["error"], third["retryAt"]) == ("COMPLETED", None, None)

    assert (hold["name"], hold["kind"], hold["status"]) == ("hold for stock", "SLEEP", "COMPLETED")
    assert hold["attempts"] == []
    assert (ship["name"], ship["output"]) == ("ship", {"parcels": 2})
    assert log_of(instance) == ONE_RUN
    times = [event["at"] for event in instance["events"]["events"]]
    assert times == sorted(times)


def test_an_order_that_cannot_be_validated_fails_after_its_retries(api: Api, order: str) -> None:
    start(api, order, items=[])
    instance = until(api, order, "ERRORED")
    message = "an order needs at least one item"
    assert (instance["error"]["name"], instance["error"]["message"]) == ("ValueError", message)
    assert instance["output"] is None
    [validate] = instance["steps"]
    assert (validate["status"], validate["attemptCount"]) == ("FAILED", 4)
    assert validate["error"] == {"name": "ValueError", "message": message}
    assert [attempt["status"] for attempt in validate["attempts"]] == ["FAILED"] * 4
    assert [attempt["retryAt"] is None for attempt in validate["attempts"]] == [
        False,
        False,
        False,
        True,
    ]
    assert log_of(instance)[-2:] == [
        ("STEP_FAILED", "validate", 4),
        ("INSTANCE_ERRORED", None, None),
    ]


def test_an_order_started_many_times_runs_once(server: LocalServer, api: Api, order: str) -> None:
    callers = [Api(server) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda caller: start(caller, order), callers))
    for caller in callers:
        caller.close()
    assert {answer["__typename"] for answer in answers} == {"InstancePayload"}
    assert log_of(until(api, order, "COMPLETED")) == ONE_RUN
    assert start(api, order)["instance"]["status"] == "COMPLETED"
    # By the time a later order has run, the engine would have run this one again.
    later = f"{order}-later"
    start(api, later, failPayments=0, holdMs=1)
    until(api, later, "COMPLETED")
    assert log_of(until(api, order, "COMPLETED")) == ONE_RUN


def test_a_sleeping_order_has_its_wake_up_time_and_can_be_terminated(api: Api, order: str) -> None:
    start(api, order, failPayments=0, holdMs=600_000)
    asleep = until(api, order, "SLEEPING")
    assert asleep["sleepUntil"] > asleep["startedAt"]
    assert (asleep["canPause"], asleep["canTerminate"]) == (True, True)
    answer = act(api, "terminateWorkflow", order)
    assert answer == {"__typename": "InstancePayload", "instance": {"status": "TERMINATED"}}
    ended = until(api, order, "TERMINATED")
    assert ended["completedAt"] is not None
    assert ended["sleepUntil"] is None
    assert (ended["canPause"], ended["canResume"], ended["canTerminate"]) == (False, False, False)
    assert log_of(ended)[-1] == ("INSTANCE_TERMINATED", None, None)
    for action in ("pauseWorkflow", "resumeWorkflow", "terminateWorkflow"):
        refused = act(api, action, order)
        assert (refused["__typename"], refused["from"]) == ("IllegalTransition", "TERMINATED")
    refused = act(api, "sendWorkflowEvent", order, type="stock")
    assert refused["__typename"] == "IllegalTransition"


def retry(api: Api, order: str) -> None:
    """Report another step, which failed and waits for its next attempt."""
    step = {"instanceId": order, "name": "invoice", "status": "RETRYING", "attempt": 1}
    step |= {"error": {"message": "busy"}, "retryAt": "2999-01-01T00:00:00Z"}
    answer = api.data(REPORT, input=step)["updateWorkflowStep"]["step"]
    assert answer == {"status": "RETRYING", "nextRetryAt": "2999-01-01T00:00:00.000Z"}
    assert order in retrying(api)


def retrying(api: Api) -> list[str]:
    """The ids of the instances with a step that waits for its next attempt."""
    nodes = api.data(RETRYING)["instances"]["nodes"]
    return [node["instanceId"] for node in nodes]


@pytest.fixture(scope="module")
def unfollowed(prepared: None) -> Iterator[Api]:
    """A caller of a server that takes reports on steps, as it follows nothing, with a Workflow that
    reports by itself."""
    beside = [ROOT / "examples" / "user_onboarding"]
    with LocalServer(vars=REPORTS_ALONE, beside=beside) as server, Api(server) as caller:
        yield caller


@pytest.mark.parametrize("end", ["COMPLETED", "TERMINATED"])
def test_an_instance_that_ends_cancels_a_step_that_waits_for_its_retry(
    unfollowed: Api, order: str, end: str
) -> None:
    api = unfollowed
    sleep_ms = 2_000 if end == "COMPLETED" else 600_000
    start(api, order, TRACKED, email="ada@example.com", waitMs=sleep_ms)
    until(api, order, "SLEEPING")
    retry(api, order)
    if end == "TERMINATED":
        act(api, "terminateWorkflow", order)
    ended = until(api, order, end)
    steps = {step["name"]: step for step in ended["steps"]}
    invoice = steps["invoice"]
    assert (invoice["status"], invoice["nextRetryAt"]) == ("CANCELLED", None)
    assert invoice["completedAt"] == ended["completedAt"]
    assert [attempt["status"] for attempt in invoice["attempts"]] == ["FAILED"]
    sleep = "COMPLETED" if end == "COMPLETED" else "CANCELLED"
    assert steps["give them time"]["status"] == sleep
    assert order not in retrying(api)
    events = [(type_, step) for type_, step, _ in log_of(ended)]
    assert events[-2:] == [("STEP_CANCELLED", "invoice"), (f"INSTANCE_{end}", None)]
    late = {"instanceId": order, "name": "invoice", "status": "COMPLETED", "attempt": 2}
    assert api.data(REPORT, input=late)["updateWorkflowStep"]["step"]["status"] == "COMPLETED"


def test_the_engine_takes_a_paused_order_for_a_failed_one(api: Api, order: str) -> None:
    # Cloudflare's SDK for Python wraps the engine's own exception (workers-runtime-sdk 1.9.5).
    start(api, order, failPayments=0, holdMs=600_000)
    until(api, order, "SLEEPING")
    act(api, "pauseWorkflow", order)
    ended = until(api, order, "ERRORED")
    assert "Aborting engine: User called pause" in ended["error"]["message"]
    assert act(api, "restartWorkflow", order)["instance"]["status"] == "QUEUED"
    act(api, "terminateWorkflow", order)


@pytest.mark.parametrize("end", ["COMPLETED", "TERMINATED"])
def test_a_restarted_order_runs_from_its_beginning(api: Api, order: str, end: str) -> None:
    start(api, order, holdMs=1 if end == "COMPLETED" else 2_000)
    if end == "TERMINATED":
        until(api, order, "SLEEPING")
        act(api, "terminateWorkflow", order)
    before = until(api, order, end)
    answer = act(api, "restartWorkflow", order)
    assert answer == {"__typename": "InstancePayload", "instance": {"status": "QUEUED"}}
    again = until(api, order, "COMPLETED")
    log = log_of(again)
    count = len(log_of(before))
    # The events of the first run keep their steps.
    assert log[:count] == log_of(before)
    assert log[count] == ("INSTANCE_RESTARTED", None, None)
    assert log[count + 1 :] == ONE_RUN[1:]
    assert [step["name"] for step in again["steps"]] == [
        "validate",
        "charge card",
        "hold for stock",
        "ship",
    ]
    assert [attempt["status"] for attempt in again["steps"][1]["attempts"]] == [
        "FAILED",
        "FAILED",
        "COMPLETED",
    ]


def test_a_running_order_accepts_an_event(api: Api, order: str) -> None:
    start(api, order, failPayments=0, holdMs=600_000)
    until(api, order, "SLEEPING")
    answer = act(api, "sendWorkflowEvent", order, type="stock", payload={"pieces": 3})
    assert answer == {"__typename": "InstancePayload", "instance": {"status": "SLEEPING"}}
    act(api, "terminateWorkflow", order)


def test_a_sleeping_order_survives_a_restart_of_the_server(
    start_server: StartServer, order: str
) -> None:
    server = start_server()
    with Api(server) as api:
        start(api, order, failPayments=0, holdMs=1_000)
        until(api, order, "SLEEPING")
        server.restart()
        # The local engine wakes an instance with the next call for it.
        assert act(api, "sendWorkflowEvent", order, type="stock")["__typename"] == "InstancePayload"
        instance = until(api, order, "COMPLETED")
    assert [step["status"] for step in instance["steps"]] == ["COMPLETED"] * 4
    assert [step["attemptCount"] for step in instance["steps"]] == [1, 1, 0, 1]


def test_a_start_that_the_engine_did_not_get_is_recorded_and_repeated(
    start_server: StartServer, order: str
) -> None:
    server = start_server(vars={"WORKFLOWS": f'{{"{WORKFLOW}": "NO_SUCH_BINDING"}}'})
    with Api(server) as api:
        assert start(api, order, failPayments=0)["__typename"] == "EngineUnavailable"
        assert log_of(until(api, order, "QUEUED")) == ONE_RUN[:1]
        server.vars["WORKFLOWS"] = f'{{"{WORKFLOW}": "ORDER_PROCESSING"}}'
        server.restart()
        # A second call with the same id uses the input that was recorded first.
        assert start(api, order, failPayments=3)["instance"]["status"] == "QUEUED"
        assert until(api, order, "COMPLETED")["output"]["paymentId"] == "pay-1"


@pytest.mark.parametrize(
    "action", ["pauseWorkflow", "terminateWorkflow", "restartWorkflow", "sendWorkflowEvent"]
)
def test_actions_on_an_instance_of_an_unbound_workflow_are_refused(
    api: Api, order: str, action: str
) -> None:
    tracked = {"workflow": "elsewhere", "instanceId": order, "trackOnly": True}
    started = api.ask(START, input=tracked)
    assert started.json()["data"]["startWorkflow"]["instance"]["status"] == "QUEUED"
    assert cost(started)[0] == 1
    update = """mutation($input: UpdateWorkflowInstanceInput!) {
      updateWorkflowInstance(input: $input) { __typename }
    }"""
    api.data(update, input={"instanceId": order, "status": "RUNNING"})
    more = {"type": "go"} if action == "sendWorkflowEvent" else {}
    answer = act(api, action, order, **more)
    assert (answer["__typename"], answer["code"]) == ("EngineUnavailable", "ENGINE_UNAVAILABLE")
    assert "elsewhere" in answer["message"]
    instance = api.data(ORDER, id=order)["instance"]
    assert instance["status"] == "RUNNING"
    assert len(instance["events"]["events"]) == 2


@pytest.mark.parametrize(
    "action",
    [
        "pauseWorkflow",
        "resumeWorkflow",
        "terminateWorkflow",
        "restartWorkflow",
        "sendWorkflowEvent",
    ],
)
def test_an_action_on_an_unknown_instance_is_not_found(api: Api, order: str, action: str) -> None:
    more = {"type": "go"} if action == "sendWorkflowEvent" else {}
    answer = act(api, action, order, **more)
    assert (answer["__typename"], answer["code"]) == ("NotFound", "NOT_FOUND")
    assert order in answer["message"]


@pytest.mark.parametrize("bad", ["with space", "-dash", "ünï", "a.b", "a/b"])
def test_an_id_that_the_engine_refuses_is_not_recorded(api: Api, bad: str) -> None:
    answer = start(api, bad)
    assert answer == {"__typename": "InvalidInput", "path": ["input", "instanceId"]}
    assert api.data(ORDER, id=bad) == {"instance": None}


def test_the_cron_trigger_starts_an_instance_that_never_reached_the_engine(
    server: LocalServer, api: Api
) -> None:
    instance_id = f"lost-{uuid.uuid4().hex[:8]}"
    server.query(
        "INSERT INTO instances (instance_id,workflow,status,input,created_at,updated_at)"
        " VALUES (?1,?2,'QUEUED','{\"holdMs\":1,\"failPayments\":0}',?3,?3)",
        [instance_id, WORKFLOW, "2026-01-01T00:00:00.000Z"],
    )
    run_cron(server)
    api.until(ORDER, lambda data: data["instance"]["status"] == "COMPLETED", id=instance_id)
