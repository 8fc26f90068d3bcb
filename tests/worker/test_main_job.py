"""The main job over HTTP: start, report and read back, with concurrent callers and restarts."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.api import Api, code, cost, only_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.local_server import LocalServer
    from tests.worker.conftest import StartServer

START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) {
    __typename
    ... on InstancePayload { instance { instanceId status workflow { name } } }
    ... on InstanceConflict { existing { instanceId status } }
    ... on Error { code message }
  }
}"""
UPDATE = """mutation Update($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) {
    __typename
    ... on InstancePayload { instance { status output duration completedAt } }
    ... on InvalidInput { code path }
  }
}"""
STEP = """mutation Step($input: UpdateWorkflowStepInput!) {
  updateWorkflowStep(input: $input) {
    __typename
    ... on StepPayload { step { name index status attemptCount nextRetryAt output } }
    ... on InvalidInput { code path }
  }
}"""
BY_REFERENCE = """query ByReference($refType: String!, $refId: String!) {
  reference(refType: $refType, refId: $refId) {
    refType refId statusCounts { status count }
    instances(first: 5) {
      totalCount
      nodes {
        instanceId status input output metadata duration startedAt completedAt
        workflow { name } reference { refId }
        steps {
          name index kind status output error { name message stack } attemptCount duration
          retryPolicy { limit delay backoff }
          attempts { number status error { message } startedAt endedAt retryAt }
        }
        events { events { type status attempt step { name } } hasMore }
      }
    }
  }
}"""
INSTANCE = "query($id: String!) { instance(instanceId: $id) { input output metadata } }"


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"job-{uuid.uuid4()}"


def at_once(count: int, server: LocalServer, call: Callable[[Api, int], Any]) -> list[Any]:
    """The results of `call` from `count` simultaneous callers, each with its own connection."""
    callers = [Api(server) for _ in range(count)]
    try:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(call, callers, range(count)))
    finally:
        for caller in callers:
            caller.close()


def test_an_instance_is_started_reported_and_read_back(api: Api, name: str) -> None:
    started = api.data(
        START,
        input={
            "workflow": name,
            "instanceId": name,
            "reference": {"refType": "order", "refId": name},
            "input": {"items": ["book"]},
            "metadata": {"channel": "web"},
            "trackOnly": True,
        },
    )["startWorkflow"]
    assert started["__typename"] == "InstancePayload"
    assert started["instance"] == {
        "instanceId": name,
        "status": "QUEUED",
        "workflow": {"name": name},
    }
    of = {"instanceId": name}
    running = api.data(UPDATE, input={**of, "status": "RUNNING"})["updateWorkflowInstance"]
    assert running["instance"]["status"] == "RUNNING"
    charge = {**of, "name": "charge"}
    policy = {"limit": 3, "delay": 1_000}
    api.data(STEP, input={**charge, "status": "RUNNING", "retryPolicy": policy})
    declined = {"name": "Declined", "message": "card declined", "stack": "at charge"}
    due = "2030-01-01T00:00:00.000Z"
    step = api.data(
        STEP, input={**charge, "status": "RETRYING", "error": declined, "retryAt": due}
    )["updateWorkflowStep"]["step"]
    assert (step["status"], step["attemptCount"], step["nextRetryAt"]) == ("RETRYING", 1, due)
    api.data(STEP, input={**charge, "status": "RUNNING"})
    done = {**charge, "status": "COMPLETED", "output": {"paid": 1.5}}
    step = api.data(STEP, input=done)["updateWorkflowStep"]["step"]
    assert (step["status"], step["attemptCount"], step["output"]) == ("COMPLETED", 2, {"paid": 1.5})
    ship = {**of, "name": "ship", "status": "COMPLETED"}
    assert api.data(STEP, input=ship)["updateWorkflowStep"]["step"]["index"] == 2
    end = {**of, "status": "COMPLETED", "output": {"ok": True}}
    assert api.data(UPDATE, input=end)["updateWorkflowInstance"]["instance"]["output"] == {
        "ok": True
    }

    response = api.ask(BY_REFERENCE, refType="order", refId=name)
    assert cost(response)[0] == 1
    found = response.json()["data"]["reference"]
    assert found["statusCounts"] == [{"status": "COMPLETED", "count": 1}]
    assert found["instances"]["totalCount"] == 1
    [instance] = found["instances"]["nodes"]
    assert instance["input"] == {"items": ["book"]}
    assert instance["metadata"] == {"channel": "web"}
    assert instance["startedAt"] <= instance["completedAt"]
    assert instance["duration"] >= 0
    charged, shipped = instance["steps"]
    assert (charged["name"], charged["index"], charged["kind"]) == ("charge", 1, "TASK")
    assert charged["error"] is None
    assert charged["retryPolicy"] == {"limit": 3, "delay": 1_000, "backoff": "EXPONENTIAL"}
    first, second = charged["attempts"]
    assert (first["number"], first["status"], first["retryAt"]) == (1, "FAILED", due)
    assert first["error"] == {"message": "card declined"}
    assert (second["number"], second["status"], second["error"]) == (2, "COMPLETED", None)
    assert first["startedAt"] <= first["endedAt"] <= second["startedAt"] <= second["endedAt"]
    assert shipped["status"] == "COMPLETED"
    log = [
        (event["type"], (event["step"] or {}).get("name")) for event in instance["events"]["events"]
    ]
    assert log == [
        ("INSTANCE_QUEUED", None),
        ("INSTANCE_STARTED", None),
        ("STEP_STARTED", "charge"),
        ("ATTEMPT_STARTED", "charge"),
        ("ATTEMPT_FAILED", "charge"),
        ("ATTEMPT_STARTED", "charge"),
        ("STEP_COMPLETED", "charge"),
        ("STEP_STARTED", "ship"),
        ("ATTEMPT_STARTED", "ship"),
        ("STEP_COMPLETED", "ship"),
        ("INSTANCE_COMPLETED", None),
    ]


def test_20_starts_of_one_id_make_one_instance(server: LocalServer, name: str) -> None:
    given = {"workflow": name, "instanceId": name, "input": {"n": 1}, "trackOnly": True}
    answers = at_once(20, server, lambda api, _: api.data(START, input=given)["startWorkflow"])
    assert [answer["__typename"] for answer in answers] == ["InstancePayload"] * 20
    where = "(SELECT id FROM instances WHERE instance_id=?)"
    assert server.query("SELECT count(*) AS n FROM instances WHERE instance_id=?", [name]) == [
        {"n": 1}
    ]
    events = server.query(f"SELECT type FROM events WHERE instance IN {where}", [name])
    assert events == [{"type": "INSTANCE_QUEUED"}]


def test_one_of_20_starts_with_on_conflict_fail_succeeds(server: LocalServer, name: str) -> None:
    given = {"workflow": name, "instanceId": name, "onConflict": "FAIL", "trackOnly": True}
    answers = at_once(20, server, lambda api, _: api.data(START, input=given)["startWorkflow"])
    kinds = sorted(answer["__typename"] for answer in answers)
    assert kinds == ["InstanceConflict"] * 19 + ["InstancePayload"]
    assert {answer["existing"]["instanceId"] for answer in answers if "existing" in answer} == {
        name
    }


def test_concurrent_steps_get_different_indexes(server: LocalServer, name: str) -> None:
    with Api(server) as api:
        api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})

    def report(api: Api, number: int) -> Any:
        step = {"instanceId": name, "name": f"step {number}", "status": "RUNNING"}
        return api.data(STEP, input=step)["updateWorkflowStep"]["step"]["index"]

    assert sorted(at_once(20, server, report)) == list(range(1, 21))


def test_concurrent_reports_of_one_step_count_once(server: LocalServer, name: str) -> None:
    with Api(server) as api:
        api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})

    def report(status: str, attempt: int) -> set[str]:
        step = {"instanceId": name, "name": "s", "status": status, "attempt": attempt}
        answers = at_once(10, server, lambda api, _: api.data(STEP, input=step))
        return {answer["updateWorkflowStep"]["__typename"] for answer in answers}

    for attempt in (1, 2, 3):
        assert report("RUNNING", attempt) == {"StepPayload"}
        assert report("RETRYING", attempt) == {"StepPayload"}
    assert report("COMPLETED", 4) == {"StepPayload"}
    types = server.query(
        "SELECT type,attempt FROM events WHERE step='s' AND instance="
        "(SELECT id FROM instances WHERE instance_id=?) ORDER BY id",
        [name],
    )
    assert [(row["type"], row["attempt"]) for row in types] == [
        ("STEP_STARTED", None),
        *(
            (kind, attempt)
            for attempt in (1, 2, 3)
            for kind in ("ATTEMPT_STARTED", "ATTEMPT_FAILED")
        ),
        ("ATTEMPT_STARTED", 4),
        ("STEP_COMPLETED", 4),
    ]


def test_a_restart_keeps_everything(start_server: StartServer, name: str) -> None:
    server = start_server()
    everything = """{
      workflows { nodes { name createdAt statusCounts { status count } } }
      instances { nodes { id instanceId status input metadata createdAt updatedAt
        steps { id name status output attempts { number status startedAt endedAt } } } }
      events { cursor events { cursor type at status data } }
      stats { total retryCount }
    }"""
    with Api(server) as api:
        api.data(
            START,
            input={"workflow": name, "instanceId": name, "input": {"a": "☃"}, "trackOnly": True},
        )
        step = {"instanceId": name, "name": "s", "output": [1]}
        api.data(STEP, input={**step, "status": "RUNNING"})
        api.data(STEP, input={**step, "status": "COMPLETED"})
        before = api.data(everything)
        server.restart()
        assert api.data(everything) == before
        api.data(START, input={"workflow": name, "instanceId": f"{name}-2", "trackOnly": True})
        after = api.data(everything)["events"]
    assert after["events"][: len(before["events"]["events"])] == before["events"]["events"]
    assert after["cursor"] > before["events"]["cursor"]


def test_an_unexpected_failure_is_masked_and_logged(start_server: StartServer, name: str) -> None:
    server = start_server()
    with Api(server) as api:
        api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})
        server.query("DROP TABLE attempts")
        step = f'{{instanceId: "{name}", name: "s", status: RUNNING}}'
        for query in (
            "{ instances { nodes { steps { attempts { number } } } } }",
            f"mutation {{ updateWorkflowStep(input: {step}) {{ __typename }} }}",
        ):
            response = api.ask(query)
            error = only_error(response)
            assert (response.status_code, code(response)) == (500, "INTERNAL")
            assert response.json()["data"] is None
            assert "attempts" not in response.text
            reference = error["extensions"]["reference"]
            assert reference in error["message"]
            server.wait_for_log(reference)
        server.wait_for_log("no such table: main.attempts")
        assert api.data("{ instances { nodes { instanceId } } }")
