"""Workflows that are followed and report as well: what is recorded is the engine's history alone.

Their reports bring the stacks of errors, and take over while the history cannot be recorded.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.support.timing import until
from tests.worker.api import Api, act
from tests.worker.engine_history import assert_recorded, is_over, log_of, recorded_log, steps_of
from tests.worker.event_log import START
from tests.worker.plain_workflow import (
    RETRIES,
    Deed,
    send,
    show,
    until_status,
    until_step,
)
from tests.worker.test_following import PLANS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDERS = [ROOT / "tests" / "worker" / "workflows" / name for name in ("wrapped", "wrapped_python")]
WORKFLOWS = ("wrapped", "wrapped-python")
# The deeds of the Workflow in Python.
DEEDS = {"do", "busy", "loop", "retry", "stop", "throw", "sleep", "wait"}
ERRORS = """query ($id: String!) { instance(instanceId: $id) { following
  error { message stack } steps { name error { message stack }
  attempts { error { message stack } } } } }"""
# While the trigger exists, no part of a history is recorded.
DEAFEN = """CREATE TRIGGER deaf BEFORE UPDATE OF followed ON instances
BEGIN SELECT RAISE(ABORT, 'not recorded'); END"""


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service, which follows, and Workers whose Workflows report."""
    with LocalServer(vars={"FOLLOWER_SHARDS": "1"}, beside=FOLDERS) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of that server."""
    with Api(server) as caller:
        yield caller


def start(api: Api, workflow: str, plan: Sequence[Deed]) -> str:
    """Start an instance, and return its id."""
    instance_id = f"{workflow}-{uuid.uuid4()}"
    given = {"workflow": workflow, "instanceId": instance_id, "input": plan}
    answer = api.data(START, input=given)["startWorkflow"]
    assert answer["__typename"] == "InstancePayload", answer
    return instance_id


def whole_history(server: LocalServer, workflow: str, instance_id: str) -> list[dict[str, Any]]:
    """The history of an instance whose run has ended, which a busy machine may read in parts."""
    for _ in range(10):
        history: list[dict[str, Any]] = server.fetch(workflow, f"/{instance_id}").json()
        if is_over(history):
            return history
    raise AssertionError(f"the history of {instance_id} has not ended")


def errors_of(api: Api, instance_id: str) -> dict[str, list[dict[str, Any]]]:
    """The errors of the instance, of each step and of the attempts at it, by its name."""
    instance = api.data(ERRORS, id=instance_id)["instance"]
    assert instance["following"] == "FOLLOWED"
    steps = {
        step["name"]: [step["error"], *(attempt["error"] for attempt in step["attempts"])]
        for step in instance["steps"]
    }
    found = {"": [instance["error"]], **steps}
    return {name: [error for error in errors if error] for name, errors in found.items()}


CASES = [
    (workflow, name)
    for workflow in WORKFLOWS
    for name, (_, plan) in PLANS.items()
    if workflow == "wrapped" or {str(kind) for kind, *_ in plan} <= DEEDS
]


@pytest.mark.parametrize(("workflow", "name"), CASES)
def test_what_is_recorded_is_the_engines_history(
    server: LocalServer, api: Api, workflow: str, name: str
) -> None:
    status, plan = PLANS[name]
    instance_id = start(api, workflow, plan)
    instance = until_status(api, instance_id, status)
    history = whole_history(server, workflow, instance_id)
    assert_recorded(instance, history)
    # Reports that come late change nothing, either.
    assert_recorded(show(api, instance_id), history)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_reports_bring_the_stacks_of_errors(api: Api, workflow: str) -> None:
    instance_id = start(api, workflow, [["retry", "pay", RETRIES[0], 2], ["throw"]])
    until_status(api, instance_id, "ERRORED")
    # The last report may come after the end.
    until(lambda: all(e["stack"] for es in errors_of(api, instance_id).values() for e in es))
    errors = errors_of(api, instance_id)
    place = "throw" if workflow == "wrapped" else "_throw"
    assert place in errors[""][0]["stack"]
    for number, error in enumerate(errors["pay"], 1):
        assert f"attempt {number} fails" in error["stack"]


def test_a_reference_that_the_workflow_gives_is_taken(api: Api) -> None:
    instance_id = start(api, "wrapped-python", [["do", "one", 1]])
    until_status(api, instance_id, "COMPLETED")
    query = "query ($id: String!) { instance(instanceId: $id) { reference { refType refId } } }"
    reference = api.data(query, id=instance_id)["instance"]["reference"]
    assert reference == {"refType": "plan", "refId": instance_id}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_step_that_stops_the_run_has_its_stack(api: Api, workflow: str) -> None:
    instance_id = start(api, workflow, [["stop", "charge"]])
    until_status(api, instance_id, "ERRORED")
    until(lambda: all(error["stack"] for error in errors_of(api, instance_id)["charge"]))


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_pause_and_a_restart_are_recorded_from_the_history(
    server: LocalServer, api: Api, workflow: str
) -> None:
    instance_id = start(api, workflow, [["do", "one", 1], ["wait", "hold", "go"], ["do", "two", 2]])
    until_status(api, instance_id, "WAITING")
    assert act(api, "restartWorkflow", instance_id)["__typename"] == "InstancePayload"
    until_step(api, instance_id, "hold", "RUNNING", run=2)
    send(api, instance_id, "go", {"by": "me"})
    instance = until_status(api, instance_id, "COMPLETED", run=2)
    assert_recorded(instance, whole_history(server, workflow, instance_id), run=2)
    assert [step["status"] for step in instance["runs"][1]["steps"]] == ["COMPLETED", "CANCELLED"]


@contextmanager
def deaf(server: LocalServer) -> Iterator[None]:
    """Let no part of a history be recorded, which the follower tries again and again."""
    server.query(DEAFEN)
    try:
        yield
    finally:
        server.query("DROP TRIGGER deaf")


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_reports_take_over_when_the_history_is_behind(
    server: LocalServer, api: Api, workflow: str
) -> None:
    plan: list[Deed] = [
        ["do", "one", 1],
        ["busy", "work", 1500],
        ["loop", "many", 3],
        ["retry", "pay", RETRIES[0], 2],
        ["sleep", "nap", 200],
        ["do", "last", {"all": 1}],
    ]
    instance_id = start(api, workflow, plan)
    until_step(api, instance_id, "work", "RUNNING")
    with deaf(server):
        server.query(
            "UPDATE instances SET behind_since=updated_at WHERE instance_id=?1", [instance_id]
        )
        instance = until_status(api, instance_id, "COMPLETED")
        history = whole_history(server, workflow, instance_id)
        assert api.data(ERRORS, id=instance_id)["instance"]["following"] == "BEHIND"
        assert_same_but_for_times(instance, history)
        assert instance["output"] == {"all": 1}
    # The follower reads what it has missed, and changes nothing.
    until(
        lambda: api.data(ERRORS, id=instance_id)["instance"]["following"] == "FOLLOWED", seconds=40
    )
    assert_same_but_for_times(show(api, instance_id), history)


def assert_same_but_for_times(instance: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Fail unless the steps, attempts and events are those of the history, at whatever times."""
    assert [essence(step) for step in instance["steps"]] == [essence(s) for s in steps_of(history)]
    recorded = [event[:3] for event in recorded_log(instance, 1)]
    assert recorded == [event[:3] for event in log_of(history)]


def essence(step: dict[str, Any]) -> dict[str, Any]:
    """A step without times."""
    names = ("name", "occurrence", "kind", "status")
    attempts = [(attempt["number"], attempt["status"]) for attempt in step["attempts"]]
    return {**{name: step[name] for name in names}, "attempts": attempts}
