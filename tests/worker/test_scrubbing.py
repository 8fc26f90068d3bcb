"""Secrets of a followed Workflow, and of reports, do not reach D1; the engine gets its input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from tests.worker.api import Api
from tests.worker.plain_workflow import FOLDER, OUTPUTS, start, until_status

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "hunter2"
MARK = "[SCRUBBED]"
UPDATE = """mutation ($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename ... on Error { message } } }"""


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service, which follows a plain Workflow and scrubs, with a fault for another one."""
    scrub = json.dumps({"plain": ["password", f"/{SECRET}/"], "faulty": ["/(/"]})
    with LocalServer(vars={"SCRUB": scrub}, beside=[FOLDER]) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of that server."""
    with Api(server) as caller:
        yield caller


def stored(server: LocalServer) -> str:
    tables = ("instances", "runs", "steps", "attempts", "events", "stacks")
    return repr([server.query(f"SELECT * FROM {table}") for table in tables])


def test_a_followed_instance_is_scrubbed(server: LocalServer, api: Api) -> None:
    plan: list[list[Any]] = [
        ["do", "login", {"user": {"password": 7}, "text": f"is {SECRET}"}],
        ["missed", "wait", "never", 100],
        ["do", "plain", 1],
        ["do", "last", SECRET],
    ]
    instance_id = start(api, plan)
    until_status(api, instance_id, "COMPLETED")
    read = api.data(OUTPUTS, id=instance_id)["instance"]
    login = {"user": {"password": MARK}, "text": f"is {MARK}"}
    assert read["input"][0] == ["do", "login", login]
    # The kinds show that the engine got the real input.
    assert [(step["output"], step["outputKind"]) for step in read["steps"]] == [
        (login, "SCRUBBED"),
        (None, None),
        (1, "JSON"),
        (MARK, "SCRUBBED"),
    ]
    assert (read["output"], read["outputKind"]) == (MARK, "SCRUBBED")
    assert SECRET not in stored(server)


def test_a_fault_hides_everything_and_is_told(server: LocalServer, api: Api) -> None:
    health = api.request("GET", "/healthz").json()
    assert health == {"status": "ok", "problem": "SCRUB is not valid; the log has the fault"}
    server.wait_for_log("faulty: /(/ is not a regular expression")
    given: dict[str, Any] = {
        "instanceId": "f",
        "workflow": "faulty",
        "status": "COMPLETED",
        "output": SECRET,
    }
    assert (
        api.data(UPDATE, input=given)["updateWorkflowInstance"]["__typename"] == "InstancePayload"
    )
    read = api.data(OUTPUTS, id="f")["instance"]
    assert (read["output"], read["outputKind"]) == (MARK, "SCRUBBED")
    # Without a workflow the rules of all apply, and one of them is faulty.
    given = {"instanceId": "f", "metadata": {"a": SECRET}}
    assert (
        api.data(UPDATE, input=given)["updateWorkflowInstance"]["__typename"] == "InstancePayload"
    )
    assert SECRET not in stored(server)
