"""Instances that the service has not started are followed: on request, by a report, and by cron."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from tests.worker.api import Api, run_cron
from tests.worker.engine_history import assert_recorded, at, is_over, steps_of
from tests.worker.plain_workflow import (
    FOLDER,
    Deed,
    send,
    show,
    until_status,
    until_step,
    whole_history,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.worker.conftest import StartServer

FOLLOW = """mutation Follow($input: FollowWorkflowInput!) { followWorkflow(input: $input) {
  __typename ... on Error { code message } ... on UnboundWorkflow { suggestions }
  ... on InstancePayload { instance {
    status following output reference { refId } metadata } } } }"""
UPDATE = """mutation Update($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename } }"""
TRACK = "mutation Track($updates: [TrackingUpdate!]!) { track(updates: $updates) { __typename } }"
FOLLOWING = "query ($id: String!) { instance(instanceId: $id) { following } }"
REFERENCE = {"refType": "order", "refId": "1"}
HOLD: list[Deed] = [["do", "one", 1], ["retry", "two", {"limit": 2, "delay": 50}, 1]]
HOLD += [["wait", "hold", "go"], ["do", "three", {"a": 1}]]


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service as it is deployed, and a Worker with a plain Workflow."""
    with LocalServer(beside=[FOLDER]) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of that server."""
    with Api(server) as caller:
        yield caller


def create(server: LocalServer, plan: Sequence[Deed]) -> str:
    """Start an instance without the service, and return its id."""
    instance_id = f"theirs-{uuid.uuid4()}"
    answer = server.fetch("plain", f"/{instance_id}/create", method="POST", body=json.dumps(plan))
    assert answer.status == 200, answer.text
    return instance_id


def follow(api: Api, instance_id: str, workflow: str = "plain", **given: Any) -> Any:
    values = {"workflow": workflow, "instanceId": instance_id, **given}
    return api.data(FOLLOW, input=values)["followWorkflow"]


def following(api: Api, instance_id: str) -> str:
    found: str = api.data(FOLLOWING, id=instance_id)["instance"]["following"]
    return found


def finish(server: LocalServer, api: Api, instance_id: str) -> Any:
    """Let an instance that holds go on, and compare its steps with the history."""
    until_step(api, instance_id, "hold", "RUNNING")
    assert following(api, instance_id) == "FOLLOWED"
    send(api, instance_id, "go", 1)
    instance = until_status(api, instance_id, "COMPLETED")
    history = whole_history(server, instance_id)
    assert instance["steps"] == steps_of(history)
    assert instance["output"] == {"a": 1}
    return instance


def test_a_running_instance_is_followed_from_its_beginning(server: LocalServer, api: Api) -> None:
    instance_id = create(server, HOLD)
    answer = follow(api, instance_id, reference=REFERENCE, metadata={"by": "hand"})
    assert answer["__typename"] == "InstancePayload", answer
    assert answer["instance"]["status"] in ("QUEUED", "RUNNING")
    assert answer["instance"]["reference"] == {"refId": "1"}
    assert answer["instance"]["metadata"] == {"by": "hand"}
    instance = finish(server, api, instance_id)
    history = whole_history(server, instance_id)
    began = next(event for event in history if event["type"] == "workflow_running")
    assert instance["startedAt"] == at(began["timestamp"])
    # The call is idempotent, also after the end.
    before = show(api, instance_id)
    again = follow(api, instance_id)["instance"]
    assert (again["status"], again["following"]) == ("COMPLETED", "FOLLOWED")
    assert show(api, instance_id) == before


def test_a_finished_instance_is_recorded_as_the_engine_tells_it(
    server: LocalServer, api: Api
) -> None:
    instance_id = create(server, [*HOLD[:2], ["sleep", "nap", 50], ["returns", "list"]])
    while not is_over(whole_history(server, instance_id)):
        pass
    answer = follow(api, instance_id)["instance"]
    assert (answer["status"], answer["following"]) == ("COMPLETED", "FOLLOWED")
    assert answer["output"] == [1, "two", [3]]
    assert_recorded(show(api, instance_id), whole_history(server, instance_id))


def test_what_the_engine_does_not_have_is_refused(api: Api) -> None:
    missing = follow(api, "no-such-instance")
    assert (missing["__typename"], missing["code"]) == ("NotFound", "NOT_FOUND")
    unbound = follow(api, "any", "plian")
    assert unbound["__typename"] == "UnboundWorkflow"
    assert unbound["suggestions"] == ["plain"]
    assert api.data('{ instances(filter: {search: "no-such"}) { totalCount } }') == {
        "instances": {"totalCount": 0}
    }


@pytest.mark.parametrize("by", ["updateWorkflowInstance", "track"])
def test_the_first_report_has_an_instance_followed(server: LocalServer, api: Api, by: str) -> None:
    instance_id = create(server, HOLD)
    report = {"workflow": "plain", "instanceId": instance_id, "status": "RUNNING"}
    if by == "track":
        api.data(TRACK, updates=[{"instance": report}])
    else:
        api.data(UPDATE, input=report)
    finish(server, api, instance_id)


def test_a_report_on_what_the_engine_does_not_have_leaves_nothing_behind(
    server: LocalServer, api: Api
) -> None:
    instance_id = f"nowhere-{uuid.uuid4()}"
    api.data(UPDATE, input={"workflow": "plain", "instanceId": instance_id, "status": "RUNNING"})
    # The follower gets another instance later.
    other = create(server, [["do", "one", 1]])
    follow(api, other)
    until_status(api, other, "COMPLETED")
    assert instance_id not in [row["id"] for row in server.follower("status")["instances"]]
    assert following(api, instance_id) == "NOT_FOLLOWED"


def test_the_cron_trigger_has_instances_followed_that_nobody_follows(
    start_server: StartServer,
) -> None:
    server = start_server(vars={"FOLLOWER_SHARDS": "0"}, beside=[FOLDER])
    with Api(server) as api:
        instance_id = create(server, HOLD)
        answer = follow(api, instance_id)["instance"]
        assert answer["status"] == "RUNNING"
        run_cron(server)
        assert show(api, instance_id)["steps"] == []
        assert following(api, instance_id) == "NOT_FOLLOWED"
        server.vars["FOLLOWER_SHARDS"] = "2"
        server.restart()
        # The local engine goes on when it gets an event.
        server.fetch("plain", f"/{instance_id}/event", method="POST")
        assert following(api, instance_id) == "NOT_FOLLOWED"
        run_cron(server)
        finish(server, api, instance_id)
