"""Starts of workflows without a bound Workflow, which are recorded only if that is asked for."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from tests.worker.api import Api, act, code, cost
from tests.worker.event_log import UPDATE
from tests.worker.raw_socket import RawSocket
from tests.worker.test_access import token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.conftest import StartServer

BOUND = "order-processing"
_RESULT = """__typename
  ... on InstancePayload { instance { instanceId run status bound input workflow { name } } }
  ... on InvalidInput { path }
  ... on UnboundWorkflow { suggestions }
  ... on InstanceConflict { existing { input } }
  ... on Error { code message }"""
START = f"""mutation($input: StartWorkflowInput!) {{
  answer: startWorkflow(input: $input) {{ {_RESULT} }}
}}"""
STARTS = f"""mutation($inputs: [StartWorkflowInput!]!) {{
  answers: startWorkflows(inputs: $inputs) {{ {_RESULT} }}
}}"""
REGISTER = """mutation($input: RegisterWorkflowInput!) {
  answer: registerWorkflow(input: $input) {
    __typename ... on WorkflowPayload { workflow { name bound trackOnly } }
    ... on InvalidInput { path message }
  }
}"""
WORKFLOW = "query($name: String!) { workflow(name: $name) { name bound trackOnly } }"
# Names that the service of some tests has bound, though the bindings do not exist.
MANY = [f"send-invoice-{letter}" for letter in "abcdefg"]


@pytest.fixture
def name() -> str:
    """The name of a workflow that only this test uses, and the id of its instance."""
    return f"unbound-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def many(prepared: None) -> Iterator[LocalServer]:
    """A server whose configuration names many workflows."""
    bindings = ", ".join(f'"{workflow}": "NO_SUCH_BINDING"' for workflow in MANY)
    with LocalServer(vars={"WORKFLOWS": f"{{{bindings}}}"}) as running:
        yield running


def start(api: Api, workflow: str, **given: Any) -> Any:
    """The result of a start."""
    return api.data(START, input={"workflow": workflow, **given})["answer"]


def register(api: Api, name: str, **given: Any) -> Any:
    """The result of registering a workflow."""
    return api.data(REGISTER, input={"name": name, **given})["answer"]


def rows_about(server: LocalServer, name: str) -> list[Any]:
    """All rows about a workflow and its instances."""
    of = "SELECT id FROM instances WHERE workflow=?1"
    return [
        server.query("SELECT * FROM workflows WHERE name=?1", [name]),
        server.query("SELECT * FROM instances WHERE workflow=?1", [name]),
        server.query("SELECT * FROM status_counts WHERE workflow=?1 AND count<>0", [name]),
        server.query(f"SELECT * FROM events WHERE instance IN ({of})", [name]),
    ]


def test_a_start_that_nothing_would_run_is_refused_and_leaves_no_trace(
    api: Api, server: LocalServer, name: str
) -> None:
    for given in ({}, {"trackOnly": False}, {"instanceId": name, "onConflict": "FAIL"}):
        answer = start(api, name, **given)
        assert (answer["__typename"], answer["code"]) == ("UnboundWorkflow", "UNBOUND_WORKFLOW")
        assert repr(name) in answer["message"]
        assert "trackOnly" in answer["message"]
        assert answer["suggestions"] == []
    assert rows_about(server, name) == [[], [], [], []]
    assert api.data(WORKFLOW, name=name) == {"workflow": None}


def test_a_refused_start_is_one_round_trip_that_writes_nothing(api: Api, name: str) -> None:
    refused = api.ask(START, input={"workflow": name, "instanceId": name})
    trips, *_ = cost(refused)
    assert trips == 1
    query = """query($name: String!) { workflow(name: $name) { name }
      instance(instanceId: $name) { status } }"""
    assert api.data(query, name=name) == {"workflow": None, "instance": None}


@pytest.mark.parametrize("misspelt", ["order-procesing", "Order-Processing", "order_processing"])
def test_a_similar_bound_name_is_suggested(api: Api, misspelt: str) -> None:
    answer = start(api, misspelt)
    assert answer["suggestions"] == [BOUND]
    assert f"'{BOUND}'" in answer["message"]


def test_the_most_similar_names_are_suggested_first(many: LocalServer) -> None:
    with Api(many) as api:
        answer = start(api, "send-invoice-g ")
        assert answer["suggestions"][0] == "send-invoice-g"
        assert len(answer["suggestions"]) == 5
        assert set(answer["suggestions"]) <= set(MANY)
        for name in answer["suggestions"]:
            assert name in answer["message"]
        assert start(api, "something else")["suggestions"] == []


def test_trackonly_records_an_instance_that_is_not_bound(api: Api, name: str) -> None:
    answer = start(api, name, instanceId=name, trackOnly=True, input=[1])
    assert answer["instance"] == {
        "instanceId": name,
        "run": 1,
        "status": "QUEUED",
        "bound": False,
        "input": [1],
        "workflow": {"name": name},
    }
    # The workflow itself is not registered as one that is only tracked.
    assert api.data(WORKFLOW, name=name)["workflow"] == {
        "name": name,
        "bound": False,
        "trackOnly": False,
    }
    other = start(api, name, instanceId=f"{name}-2")
    assert other["code"] == "UNBOUND_WORKFLOW"


def test_a_repeated_start_of_a_tracked_instance_is_idempotent(
    api: Api, server: LocalServer, name: str
) -> None:
    first = start(api, name, instanceId=name, trackOnly=True, input="first")
    before = rows_about(server, name)
    # A repeated start may leave trackOnly out: the instance exists, and nothing has to run it.
    for given in ({"trackOnly": True}, {"trackOnly": False}, {}):
        assert start(api, name, instanceId=name, input="second", **given) == first
        conflict = start(api, name, instanceId=name, onConflict="FAIL", **given)
        assert (conflict["__typename"], conflict["existing"]) == (
            "InstanceConflict",
            {"input": "first"},
        )
    assert rows_about(server, name) == before


def test_a_start_of_an_instance_that_was_reported_first_finds_it(api: Api, name: str) -> None:
    report = {"workflow": name, "instanceId": name, "status": "RUNNING"}
    assert api.data(UPDATE, input=report)["updateWorkflowInstance"] == {
        "__typename": "InstancePayload"
    }
    found = start(api, name, instanceId=name)
    assert (found["instance"]["status"], found["instance"]["bound"]) == ("RUNNING", False)


def test_a_workflow_registered_as_track_only_is_tracked_without_trackonly(
    api: Api, name: str
) -> None:
    assert start(api, name)["code"] == "UNBOUND_WORKFLOW"
    registered = register(api, name, trackOnly=True)["workflow"]
    assert registered == {"name": name, "bound": False, "trackOnly": True}
    assert start(api, name, instanceId=name)["instance"]["bound"] is False
    # A change of another field keeps trackOnly; false and null remove it.
    assert register(api, name, description="x")["workflow"]["trackOnly"] is True
    assert start(api, name)["instance"]["status"] == "QUEUED"
    for taken_back in (False, None):
        assert register(api, name, trackOnly=True)["workflow"]["trackOnly"] is True
        assert register(api, name, trackOnly=taken_back)["workflow"]["trackOnly"] is False
        assert start(api, name)["code"] == "UNBOUND_WORKFLOW"
    assert start(api, name, instanceId=name)["instance"]["instanceId"] == name


def test_a_workflow_that_is_registered_otherwise_is_not_tracked(api: Api, name: str) -> None:
    registered = register(api, name, description="x")["workflow"]
    assert registered == {"name": name, "bound": False, "trackOnly": False}
    assert start(api, name)["code"] == "UNBOUND_WORKFLOW"


def test_trackonly_of_a_bound_workflow_is_invalid(api: Api, server: LocalServer, name: str) -> None:
    answer = start(api, BOUND, instanceId=name, trackOnly=True)
    assert (answer["__typename"], answer["code"]) == ("InvalidInput", "INVALID_INPUT")
    assert answer["path"] == ["input", "trackOnly"]
    assert repr(BOUND) in answer["message"]
    refused = register(api, BOUND, trackOnly=True)
    assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "trackOnly"])
    assert server.query("SELECT 1 FROM instances WHERE instance_id=?", [name]) == []
    assert register(api, BOUND, trackOnly=False)["workflow"] == {
        "name": BOUND,
        "bound": True,
        "trackOnly": False,
    }


def test_bound_is_true_of_bound_workflows_alone(api: Api, name: str) -> None:
    started = start(api, BOUND, instanceId=name, input={"holdMs": 600_000})["instance"]
    assert started["bound"] is True
    start(api, name, instanceId=name, trackOnly=True)
    found = api.data(
        """query($id: String!, $bound: String!, $name: String!) {
          one: instance(instanceId: $id, workflow: $bound) { bound workflow { bound } }
          other: instance(instanceId: $id, workflow: $name) { bound workflow { bound trackOnly } }
          workflows(search: $bound) { nodes { name bound } }
          instances(filter: {workflow: [$name, $bound], search: $id}) {
            nodes { bound workflow { name bound } }
          }
        }""",
        id=name,
        bound=BOUND,
        name=name,
    )
    assert found["one"] == {"bound": True, "workflow": {"bound": True}}
    assert found["other"] == {"bound": False, "workflow": {"bound": False, "trackOnly": False}}
    assert found["workflows"]["nodes"] == [{"name": BOUND, "bound": True}]
    assert {
        (node["workflow"]["name"], node["bound"], node["workflow"]["bound"])
        for node in found["instances"]["nodes"]
    } == {(BOUND, True, True), (name, False, False)}
    act(api, "terminateWorkflow", name, workflow=BOUND)


def test_bound_is_the_same_over_a_socket(server: LocalServer, api: Api, name: str) -> None:
    start(api, name, instanceId=name, trackOnly=True)
    query = """subscription($id: String!) {
      instance(instanceId: $id) { bound workflow { bound trackOnly createdAt } }
    }"""
    with RawSocket(server).init() as socket:
        socket.subscribe("1", query, variables={"id": name})
        found = socket.receive()["payload"]["data"]["instance"]
        assert (found["bound"], found["workflow"]["bound"]) == (False, False)
        [answer, _] = socket.ask(START, input={"workflow": f"{name}-2"})
        assert answer["payload"]["data"]["answer"]["code"] == "UNBOUND_WORKFLOW"


def test_some_unbound_starts_do_not_prevent_the_others(
    api: Api, server: LocalServer, name: str
) -> None:
    registered = f"{name}-registered"
    register(api, registered, trackOnly=True)
    inputs = [
        {"workflow": name, "instanceId": f"{name}-1"},
        {"workflow": name, "instanceId": f"{name}-2", "trackOnly": True},
        {"workflow": "order-procesing", "instanceId": f"{name}-3"},
        {"workflow": registered, "instanceId": f"{name}-4"},
        {"workflow": BOUND, "instanceId": f"{name}-5", "input": {"holdMs": 1, "failPayments": 0}},
        {"workflow": BOUND, "instanceId": f"{name}-6", "trackOnly": True},
    ]
    for _ in range(2):  # the second time, it finds what the first has started
        answers = api.data(STARTS, inputs=inputs)["answers"]
        assert [answer["__typename"] for answer in answers] == [
            "UnboundWorkflow",
            "InstancePayload",
            "UnboundWorkflow",
            "InstancePayload",
            "InstancePayload",
            "InvalidInput",
        ]
        assert (answers[0]["suggestions"], answers[2]["suggestions"]) == ([], [BOUND])
        assert answers[5]["path"] == ["inputs", "5", "trackOnly"]
        assert [answers[n]["instance"]["bound"] for n in (1, 3, 4)] == [False, False, True]
    stored = server.query(
        "SELECT instance_id FROM instances WHERE instance_id LIKE ? ORDER BY id", [f"{name}-%"]
    )
    assert [row["instance_id"] for row in stored] == [f"{name}-{n}" for n in (2, 4, 5)]
    api.until(
        "query($id: String!) { instance(instanceId: $id) { status } }",
        lambda data: data["instance"]["status"] == "COMPLETED",
        id=f"{name}-5",
    )


@pytest.mark.parametrize("restrictions", [
    {"workflows": ["send-invoice-h", "send-invoice-b"]},
    {"workflows": ["send-invoice-h"]},
], ids=str)  # fmt: skip
def test_a_restricted_caller_gets_only_names_that_it_may_start(
    many: LocalServer, restrictions: dict[str, Any]
) -> None:
    allowed = set(restrictions["workflows"]) & set(MANY)
    token = token_of(many, scopes=["WRITE"], **restrictions)
    with Api(many, key=token) as holder:
        answer = start(holder, "send-invoice-h")
        assert answer["code"] == "UNBOUND_WORKFLOW"
        assert set(answer["suggestions"]) == allowed
        for name in set(MANY) - allowed:
            assert name not in str(answer)
        # Nor can it find out by asking: a name that is bound is refused like any other.
        for name in ("send-invoice-a", "send-invoice-x"):
            for given in ({}, {"trackOnly": True}, {"instanceId": "not an id of the engine"}):
                refused = holder.ask(START, input={"workflow": name, **given})
                assert code(refused) == "FORBIDDEN"
            assert code(holder.ask(REGISTER, input={"name": name, "trackOnly": True})) == (
                "FORBIDDEN"
            )


def test_a_caller_restricted_to_a_reference_gets_every_name(many: LocalServer) -> None:
    reference = {"refType": "order", "refId": "1"}
    with Api(many, key=token_of(many, scopes=["WRITE"], reference=reference)) as holder:
        answer = start(holder, "send-invoice-h", reference=reference)
        assert set(answer["suggestions"]) <= set(MANY)
        assert len(answer["suggestions"]) == 5
        recorded = start(holder, "send-invoice-h", reference=reference, trackOnly=True)
        assert recorded["instance"]["bound"] is False


def test_a_hidden_instance_does_not_change_the_answer(
    api: Api, server: LocalServer, name: str
) -> None:
    start(api, name, instanceId=name, trackOnly=True, reference={"refType": "o", "refId": "1"})
    mine = {"refType": "o", "refId": "2"}
    token = token_of(server, scopes=["WRITE"], reference=mine)
    with Api(server, key=token) as holder:
        for instance_id in (name, f"{name}-free"):
            answer = start(holder, name, instanceId=instance_id, reference=mine)
            assert answer["code"] == "UNBOUND_WORKFLOW"


def test_a_workflow_is_started_once_it_is_bound(start_server: StartServer, name: str) -> None:
    server = start_server(vars={"WORKFLOWS": "{}"})
    with Api(server) as api:
        assert start(api, BOUND, instanceId=name)["code"] == "UNBOUND_WORKFLOW"
        tracked = start(api, BOUND, instanceId=name, trackOnly=True)
        assert tracked["instance"]["bound"] is False
        server.vars["WORKFLOWS"] = f'{{"{BOUND}": "ORDER_PROCESSING"}}'
        server.restart()
        again = start(api, BOUND, instanceId=f"{name}-2", input={"holdMs": 1, "failPayments": 0})
        assert again["instance"]["bound"] is True
        show = "query($id: String!) { instance(instanceId: $id) { bound status } }"
        assert api.data(show, id=name)["instance"]["bound"] is True
        api.until(show, lambda data: data["instance"]["status"] == "COMPLETED", id=f"{name}-2")
