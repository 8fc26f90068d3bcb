"""Runs of an instance: what a restart keeps, and reports about another run than the current one."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_RUN
from scripts.local_server import LocalServer
from tests.support.servers import REPORTS_ALONE
from tests.worker.api import Api, act, run_cron
from tests.worker.event_log import START, TRACK

if TYPE_CHECKING:
    from collections.abc import Iterator

UNTRACKED = "untracked"
_STEPS = """steps {
  id run name occurrence index status output error { message }
  attempts { number status error { message } startedAt endedAt retryAt }
}"""
SHOW = f"""query Show($id: String!) {{
  instance(instanceId: $id) {{
    run status output error {{ message }} metadata startedAt completedAt {_STEPS}
    runs {{ number status output error {{ message }} startedAt completedAt duration {_STEPS} }}
    events(first: 1000) {{ events {{
      type run status step {{ run name occurrence }} attempt
    }} }}
  }}
}}"""
RUNS = """query Runs($id: String!, $first: Int) {
  instance(instanceId: $id) { run runs(first: $first) { number status output } }
}"""
MISMATCH = "... on Error { code message } ... on RunMismatch { run }"
REPORTS = {
    "instance": ("updateWorkflowInstance", "UpdateWorkflowInstanceInput"),
    "step": ("updateWorkflowStep", "UpdateWorkflowStepInput"),
}
ERROR = {"message": "late"}
# Reports about the first run that arrive in the second, in every form.
LATE: dict[str, tuple[str, dict[str, Any]]] = {
    "the status that the instance has": ("instance", {"status": "RUNNING"}),
    "another status": ("instance", {"status": "SLEEPING"}),
    "an end": ("instance", {"status": "COMPLETED", "output": "late"}),
    "a failure": ("instance", {"status": "ERRORED", "error": ERROR}),
    "output alone": ("instance", {"output": "late"}),
    "metadata alone": ("instance", {"metadata": {"late": True}}),
    "a reference alone": ("instance", {"reference": {"refType": "order", "refId": "late"}}),
    "nothing": ("instance", {}),
    "an unknown step": ("step", {"name": "new", "status": "RUNNING"}),
    "the end of an unknown step": ("step", {"name": "new", "status": "COMPLETED", "output": 1}),
    "the status that a step has": ("step", {"name": "work", "status": "RUNNING"}),
    "a repeated attempt": ("step", {"name": "work", "status": "RUNNING", "attempt": 1}),
    "the next attempt": ("step", {"name": "work", "status": "RUNNING", "attempt": 5}),
    "the end of a step": ("step", {"name": "work", "status": "COMPLETED", "output": "late"}),
    "a failed attempt": ("step", {"name": "work", "status": "RETRYING", "error": ERROR}),
    # In the current run, the second attempt of this step runs, and the first has no error yet.
    "a failed attempt before the current one": (
        "step",
        {"name": "again", "status": "RETRYING", "attempt": 1, "error": ERROR},
    ),
    "the failure of a step that was retried": (
        "step",
        {"name": "again", "status": "FAILED", "attempt": 1, "error": ERROR},
    ),
    "the end of a step of that run": ("step", {"name": "first", "status": "COMPLETED"}),
    "a pending step": ("step", {"name": "new", "status": "PENDING"}),
    "another occurrence": ("step", {"name": "work", "occurrence": 2, "status": "RUNNING"}),
}


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """A server that follows nothing, with a Workflow that leaves the reports to the tests."""
    folder = Path(__file__).parent / "engine_worker"
    with LocalServer(vars=REPORTS_ALONE, beside=[folder]) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of it, with all rights."""
    with Api(server) as caller:
        yield caller


@pytest.fixture
def instance_id() -> str:
    """The id of an instance that only this test uses."""
    return f"runs-{uuid.uuid4()}"


def start(api: Api, workflow: str, instance_id: str, **params: Any) -> None:
    """Start an instance in the engine."""
    given = {"workflow": workflow, "instanceId": instance_id, "input": params}
    assert api.data(START, input=given) == {"startWorkflow": {"__typename": "InstancePayload"}}


def start_waiting(api: Api, instance_id: str) -> None:
    """Start an instance that waits in the engine, and that nobody but the test reports on."""
    start(api, UNTRACKED, instance_id, event="never")
    report(api, "instance", instanceId=instance_id, run=1, status="RUNNING")


def restart(api: Api, instance_id: str) -> None:
    """Restart it, and fail if that is refused."""
    answer = act(api, "restartWorkflow", instance_id)
    assert answer == {"__typename": "InstancePayload", "instance": {"status": "QUEUED"}}


def show(api: Api, instance_id: str) -> Any:
    """The instance with its runs and events."""
    return api.data(SHOW, id=instance_id)["instance"]


def until(api: Api, instance_id: str, run: int, status: str) -> Any:
    """Wait until the instance has a status in a run, and return it."""

    def reached(data: Any) -> bool:
        return (data["instance"]["run"], data["instance"]["status"]) == (run, status)

    return api.until(SHOW, reached, id=instance_id)["instance"]


def report(api: Api, kind: str, **given: Any) -> Any:
    """The result of a report."""
    mutation, type_ = REPORTS[kind]
    query = f"""mutation($input: {type_}!) {{
      answer: {mutation}(input: $input) {{ __typename {MISMATCH} }}
    }}"""
    return api.data(query, input=given)["answer"]


def track(api: Api, *updates: dict[str, Any]) -> Any:
    """The result of a batch of reports."""
    query = TRACK.replace("... on Error { message }", MISMATCH)
    return api.data(query, updates=list(updates))["track"]


def stored(server: LocalServer, instance_id: str) -> list[Any]:
    """Every row about an instance."""
    of = "(SELECT id FROM instances WHERE instance_id=?1)"
    tables = {
        "instances": "instance_id=?1 ORDER BY id",
        "runs": f"instance={of} ORDER BY run",
        "steps": f"instance={of} ORDER BY id",
        "attempts": f"step IN (SELECT id FROM steps WHERE instance={of}) ORDER BY step, number",
        "events": f"instance={of} ORDER BY id",
    }
    return [
        server.query(f"SELECT * FROM {table} WHERE {where}", [instance_id])
        for table, where in tables.items()
    ]


def log_of(instance: Any, run: int) -> list[tuple[str, str | None, int | None]]:
    """Type, step and attempt of each event of a run, in order."""
    return [
        (event["type"], (event["step"] or {}).get("name"), event["attempt"])
        for event in instance["events"]["events"]
        if event["run"] == run
    ]


def test_steps_of_earlier_runs_are_found_by_run_and_by_node_id(api: Api, instance_id: str) -> None:
    start_waiting(api, instance_id)
    for number in (1, 2):
        of = {"instanceId": instance_id, "name": "s", "run": number}
        report(api, "step", **of, status="COMPLETED", output=f"of run {number}")
        if number == 1:
            report(api, "step", instanceId=instance_id, name="t", run=1, status="COMPLETED")
            restart(api, instance_id)
    query = """query($id: String!, $run: Int, $name: String!) {
      instance(instanceId: $id) { step(name: $name, run: $run) { id run output } }
    }"""

    def step(name: str, run: int | None) -> Any:
        return api.data(query, id=instance_id, name=name, run=run)["instance"]["step"]

    first, second = step("s", 1), step("s", 2)
    assert (first["run"], first["output"]) == (1, "of run 1")
    assert (second["run"], second["output"]) == (2, "of run 2")
    assert step("s", None) == second
    assert (step("t", None), step("t", 2), step("s", 3)) == (None, None, None)
    assert step("t", 1)["run"] == 1
    nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on WorkflowStep { id run output } } }"
    assert first["id"] != second["id"]
    found = api.data(nodes, ids=[first["id"], second["id"]])["nodes"]
    assert found == [first, second]


def test_the_newest_runs_come_first(api: Api, instance_id: str) -> None:
    start_waiting(api, instance_id)
    for number in range(1, 5):
        report(
            api, "instance", instanceId=instance_id, run=number, status="COMPLETED", output=number
        )
        if number < 4:
            restart(api, instance_id)
    for first, expected in ((None, [4, 3, 2, 1]), (2, [4, 3]), (100, [4, 3, 2, 1]), (0, [])):
        found = api.data(RUNS, id=instance_id, first=first)["instance"]
        assert found["run"] == 4
        assert [run["number"] for run in found["runs"]] == expected
        assert [run["output"] for run in found["runs"]] == expected


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED", "COMPLETED", "ERRORED", "TERMINATED"])
def test_a_run_ends_with_its_status_or_as_terminated_by_the_restart(
    api: Api, instance_id: str, status: str
) -> None:
    start_waiting(api, instance_id)
    of = {"instanceId": instance_id, "run": 1}
    report(api, "instance", **of, status="RUNNING", metadata={"kept": True}, output="first")
    report(api, "step", **of, name="done", status="COMPLETED")
    report(api, "step", **of, name="open", status="RETRYING", error={"message": "no"})
    error = {"error": {"message": "it failed"}} if status == "ERRORED" else {}
    report(api, "instance", **of, status=status, **error)
    before = show(api, instance_id)
    restart(api, instance_id)
    instance = show(api, instance_id)
    assert (instance["run"], instance["status"], instance["steps"]) == (2, "QUEUED", [])
    assert (instance["output"], instance["error"]) == (None, None)
    assert (instance["startedAt"], instance["completedAt"]) == (None, None)
    assert instance["metadata"] == {"kept": True}
    _, first = instance["runs"]
    has_ended = before["completedAt"] is not None
    assert first["status"] == (status if has_ended else "TERMINATED")
    assert (first["output"], first["error"]) == ("first", before["error"])
    assert first["startedAt"] == before["startedAt"]
    assert first["completedAt"] == before["completedAt"] or not has_ended
    assert first["startedAt"] <= first["completedAt"]
    done, opened = first["steps"]
    assert (done["status"], opened["status"]) == ("COMPLETED", "CANCELLED")
    assert opened["attempts"][0]["error"] == {"message": "no"}
    events = [
        (event["type"], event["run"], (event["step"] or {}).get("name"))
        for event in instance["events"]["events"]
    ]
    end: list[tuple[str, int, str | None]] = [("STEP_CANCELLED", 1, "open")]
    if has_ended:
        end.append((f"INSTANCE_{status}", 1, None))
    assert events[-len(end) - 1 :] == [*end, ("INSTANCE_RESTARTED", 2, None)]
    assert events.count(("STEP_CANCELLED", 1, "open")) == 1
    # It does not count as one that waits for its next attempt.
    retrying = "{ instances(filter: {retrying: true}, first: 100) { nodes { instanceId } } }"
    nodes = api.data(retrying)["instances"]["nodes"]
    assert instance_id not in {node["instanceId"] for node in nodes}


@pytest.fixture(scope="module")
def in_second_run(api: Api) -> str:
    """An instance in its second run, which no test changes."""
    instance_id = f"late-{uuid.uuid4()}"
    start_waiting(api, instance_id)
    first = {"instanceId": instance_id, "run": 1}
    report(api, "step", **first, name="first", status="RUNNING")
    restart(api, instance_id)
    second = {"instanceId": instance_id, "run": 2}
    report(api, "instance", **second, status="RUNNING", metadata={"of": "the second"})
    report(api, "step", **second, name="work", status="RUNNING")
    report(api, "step", **second, name="again", status="RUNNING")
    report(api, "step", **second, name="again", status="RUNNING", attempt=2)
    return instance_id


@pytest.mark.parametrize("run", [1, 3])
@pytest.mark.parametrize("late", LATE)
def test_a_report_about_another_run_changes_nothing(
    api: Api, server: LocalServer, in_second_run: str, late: str, run: int
) -> None:
    kind, given = LATE[late]
    before = stored(server, in_second_run)
    for workflow in (None, UNTRACKED):
        named = {"instanceId": in_second_run, "workflow": workflow, "run": run}
        answer = report(api, kind, **named, **given)
        assert (answer["__typename"], answer["code"]) == ("RunMismatch", "RUN_MISMATCH")
        assert answer["run"] == 2
        assert str(run) in answer["message"]
        # Several mutations in one operation run guarded from the first attempt.
        mutation, type_ = REPORTS[kind]
        twice = f"""mutation($input: {type_}!) {{
          one: {mutation}(input: $input) {{ __typename }}
          two: {mutation}(input: $input) {{ __typename }}
        }}"""
        mismatch = {"__typename": "RunMismatch"}
        assert api.data(twice, input={**named, **given}) == {"one": mismatch, "two": mismatch}
        # The batch is undone, with what is about the current run.
        fine = {"instanceId": in_second_run, "run": 2, "metadata": {"seen": True}}
        new = {"instanceId": in_second_run, "name": "also new", "status": "COMPLETED"}
        answer = track(api, {"instance": fine}, {kind: {**named, **given}}, {"step": new})
        assert (answer["__typename"], answer["code"]) == ("RunMismatch", "RUN_MISMATCH")
        assert answer["run"] == 2
    assert stored(server, in_second_run) == before


def test_reports_about_the_current_run_are_taken(api: Api, instance_id: str) -> None:
    start_waiting(api, instance_id)
    restart(api, instance_id)
    of = {"instanceId": instance_id, "run": 2}
    assert report(api, "instance", **of, status="RUNNING")["__typename"] == "InstancePayload"
    assert report(api, "step", **of, name="s", status="RUNNING")["__typename"] == "StepPayload"
    answer = track(
        api,
        {"step": {**of, "name": "s", "status": "COMPLETED", "output": 7}},
        {"instance": {**of, "status": "COMPLETED"}},
    )
    assert answer["__typename"] == "TrackPayload"
    instance = show(api, instance_id)
    assert (instance["run"], instance["status"]) == (2, "COMPLETED")
    assert [(s["run"], s["status"], s["output"]) for s in instance["steps"]] == [
        (2, "COMPLETED", 7)
    ]


def test_a_report_may_create_an_instance_in_a_later_run(api: Api, instance_id: str) -> None:
    given = {"workflow": "elsewhere", "instanceId": instance_id, "run": 3, "status": "RUNNING"}
    assert report(api, "instance", **given)["__typename"] == "InstancePayload"
    assert report(api, "instance", **{**given, "run": 2})["run"] == 3
    found = api.data(RUNS, id=instance_id)["instance"]
    assert found == {"run": 3, "runs": [{"number": 3, "status": "RUNNING", "output": None}]}


@pytest.mark.parametrize("run", [0, -1, 1_000_001])
def test_a_run_out_of_bounds_is_invalid(api: Api, in_second_run: str, run: int) -> None:
    step = {"name": "work", "status": "RUNNING"}
    for kind, given in (("instance", {"status": "RUNNING"}), ("step", step)):
        answer = report(api, kind, instanceId=in_second_run, run=run, **given)
        assert (answer["__typename"], answer["code"]) == ("InvalidInput", "INVALID_INPUT")


def test_no_run_begins_after_the_last_number_that_a_report_may_name(
    api: Api, instance_id: str
) -> None:
    given = {"workflow": UNTRACKED, "instanceId": instance_id, "run": MAX_RUN}
    assert report(api, "instance", **given)["__typename"] == "InstancePayload"
    start(api, UNTRACKED, instance_id, event="never")
    report(api, "instance", **given, status="RUNNING")
    act(api, "restartWorkflow", instance_id)
    run = api.data(RUNS, id=instance_id)["instance"]["run"]
    step = {"name": "work", "status": "RUNNING"}
    answer = report(api, "step", instanceId=instance_id, run=run, **step)
    assert answer["__typename"] == "StepPayload", (run, answer)


def test_retention_removes_every_run(api: Api, server: LocalServer, instance_id: str) -> None:
    workflow = f"kept-{instance_id}"[:64]
    other = f"{instance_id}-other"
    register = """mutation($input: RegisterWorkflowInput!) {
      registerWorkflow(input: $input) { __typename }
    }"""
    api.data(register, input={"name": workflow, "retentionDays": 1})
    for id_ in (instance_id, other):
        of = {"instanceId": id_, "workflow": workflow}
        report(api, "instance", **of, status="RUNNING")
        report(api, "step", **of, name="s", status="RETRYING", error=ERROR)
        # Nothing runs this workflow, so its restart is that of the tables.
        server.query(
            "UPDATE instances SET run=2,status='QUEUED',started_at=NULL WHERE instance_id=?", [id_]
        )
        report(api, "step", **of, name="s", status="COMPLETED", run=2)
        report(api, "instance", **of, status="COMPLETED", run=2)
    assert [len(rows) for rows in stored(server, instance_id)[:4]] == [1, 1, 2, 2]
    before = stored(server, other)
    server.query(
        "UPDATE instances SET completed_at='2026-01-01T00:00:00.000Z' WHERE instance_id=?",
        [instance_id],
    )
    run_cron(server)
    assert stored(server, instance_id) == [[], [], [], [], []]
    assert stored(server, other) == before
    for table in ("runs", "steps", "events"):
        orphans = f"SELECT 1 FROM {table} WHERE instance NOT IN (SELECT id FROM instances)"
        assert server.query(orphans) == [], table
    assert server.query("SELECT 1 FROM attempts WHERE step NOT IN (SELECT id FROM steps)") == []
