"""The total size of a response is limited before its parts are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_RESULT_BYTES
from scripts.local_server import LocalServer
from tests.support.memory import Workerd
from tests.worker.api import Api, cost, only_error
from tests.worker.raw_socket import RawSocket

if TYPE_CHECKING:
    from collections.abc import Iterator


LARGE = 500_000
CREATE = """mutation ($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename } }"""


@pytest.fixture(scope="module")
def large(prepared: None) -> Iterator[LocalServer]:
    """A server with three instances `big-N` whose outputs have 500 KB, and one whose has few."""
    with LocalServer() as server, Api(server) as api:
        for number, size in enumerate((LARGE, LARGE, LARGE, 10)):
            given = {
                "instanceId": f"big-{number}",
                "workflow": "large",
                "status": "RUNNING",
                "output": "x" * size,
            }
            api.data(CREATE, input=given)
        yield server


@pytest.fixture
def api(large: LocalServer) -> Iterator[Api]:
    with Api(large) as api:
        yield api


def outputs(count: int) -> str:
    """A query for the outputs of the large instances, 1.5 MB, `count` times."""
    page = 'instances(first: 3, filter: {search: "big"}, orderBy: {field: CREATED_AT,'
    page += " direction: ASC}) { nodes { output } }"
    return "{" + " ".join(f"a{n}: {page}" for n in range(count)) + "}"


def test_a_response_that_is_too_large_is_refused_and_not_loaded(
    large: LocalServer, api: Api
) -> None:
    assert api.data(outputs(1))
    workerd = Workerd(large)
    workerd.reset_peak()
    before = workerd.mib
    for _ in range(5):
        error = only_error(api.ask(outputs(50)))
        assert error["extensions"]["code"] == "RESULT_TOO_LARGE"
        assert "MAX_RESULT_BYTES" in error["message"]
    # The texts have 75 MB, and joining them would need that several times.
    assert workerd.peak_mib - before < 150
    assert api.data("{ workflows { totalCount } }") == {"workflows": {"totalCount": 1}}


def test_a_response_below_the_limit_is_answered_however_it_is_divided(api: Api) -> None:
    small = " ".join(f's{n}: instance(instanceId: "big-3") {{ output }}' for n in range(20))
    query = f"{outputs(2)[:-1]} {small} }}"
    response = api.ask(query)
    data = response.json()["data"]
    assert [len(node["output"]) for node in data["a1"]["nodes"]] == [LARGE] * 3
    assert len(response.content) > 0.7 * MAX_RESULT_BYTES
    # The second batch reads the texts that are longer than their share.
    assert cost(response)[0] == 2
    assert cost(api.ask("{ " + small + " }"))[0] == 1


def test_a_mutation_with_too_large_a_result_changes_nothing_and_others_are_answered(
    api: Api,
) -> None:
    page = 'workflow { instances(first: 3, filter: {search: "big"}) { nodes { output } } }'
    update = 'updateWorkflowInstance(input: {instanceId: "big-3", metadata: {from: "%s"}})'
    shown = "{ __typename ... on InstancePayload { instance { metadata %s } }"
    shown += " ... on InvalidInput { code path message } }"
    fields = [
        f"{name}: {update % name} {shown % what}"
        for name, what in (("first", ""), ("second", page), ("third", ""), ("fourth", page))
    ]
    answers = api.data("mutation { " + " ".join(fields) + " }")
    assert answers["first"]["instance"] == {"metadata": {"from": "first"}}
    assert answers["third"]["instance"] == {"metadata": {"from": "third"}}
    for name in ("second", "fourth"):
        refused = answers[name]
        assert (refused["code"], refused["path"]) == ("RESULT_TOO_LARGE", [])
        assert "MAX_RESULT_BYTES" in refused["message"]
    last = api.data('{ instance(instanceId: "big-3") { metadata } }')
    assert last["instance"] == {"metadata": {"from": "third"}}


def test_a_list_of_instances_with_one_id_that_is_too_large_leaves_other_fields_alone(
    api: Api,
) -> None:
    for number in range(5):
        given = {"instanceId": "same", "workflow": f"same-{number}", "output": "x" * LARGE}
        api.data(CREATE, input=given)
    update = 'updateWorkflowInstance(input: {instanceId: "%s", metadata: {from: "%s"}})'
    shown = """{ __typename ... on InvalidInput { code path }
      ... on AmbiguousInstance { instances { output } } }"""
    fields = [
        f"{name}: {update % (instance, name)} {shown}"
        for name, instance in (("first", "big-3"), ("second", "same"), ("third", "big-3"))
    ]
    answers = api.data("mutation { " + " ".join(fields) + " }")
    assert answers["first"] == answers["third"] == {"__typename": "InstancePayload"}
    assert (answers["second"]["code"], answers["second"]["path"]) == ("RESULT_TOO_LARGE", [])
    last = api.data('{ instance(instanceId: "big-3") { metadata } }')
    assert last["instance"] == {"metadata": {"from": "third"}}


def test_large_objects_reach_all_subscribers(large: LocalServer, api: Api) -> None:
    # Each has its own subscription plan, so a single poll would have to read 15 MB.
    query = 'subscription { a%d: instance(instanceId: "big-0") { output metadata } }'
    with RawSocket(large).init() as socket:
        for number in range(30):
            socket.subscribe(str(number), query % number)
        assert metadata_in(socket, 30) == [{}] * 30
        given = {"instanceId": "big-0", "metadata": {"now": 1}}
        api.data(CREATE, input=given)
        assert metadata_in(socket, 30) == [{"now": 1}] * 30
        assert socket.flushed() == []


def metadata_in(socket: RawSocket, count: int) -> list[Any]:
    """The metadata in the next message of each of `count` subscriptions."""
    frames = socket.receive_until(lambda got: len({frame["id"] for frame in got}) == count)
    assert len(frames) == count
    data = [frame["payload"]["data"] for frame in frames]
    assert all(len(value["output"]) == LARGE for part in data for value in part.values())
    return [value["metadata"] or {} for part in data for value in part.values()]
