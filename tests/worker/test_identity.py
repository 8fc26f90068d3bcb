"""An instance is identified by its workflow and its id; an id alone may be ambiguous."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.api import Api, act, code, only_error
from tests.worker.event_log import EVENTS, START, STEP, TRACK, UPDATE, touch
from tests.worker.event_stream import EventStream
from tests.worker.raw_socket import RawSocket
from tests.worker.test_access import token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.local_server import LocalServer
    from tests.support.servers import StartServer

ENGINE_WORKER = Path(__file__).parent / "engine_worker"
SHOW = """query Show($id: String!, $workflow: String) {
  instance(instanceId: $id, workflow: $workflow) {
    id instanceId run status input metadata workflow { name } steps { id name output }
  }
}"""
LIVE = """subscription Live($id: String!, $workflow: String) {
  instance(instanceId: $id, workflow: $workflow) { status metadata workflow { name } }
}"""
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
AMBIGUOUS = """... on AmbiguousInstance {
  code message instances { instanceId input workflow { name } }
}"""
CREATE_TOKEN = f"""mutation($input: CreateAccessTokenInput!) {{
  answer: createAccessToken(input: $input) {{
    __typename ... on AccessTokenPayload {{ token }} ... on InvalidInput {{ code path }} {AMBIGUOUS}
  }}
}}"""
# Every mutation that names an instance by its id, and what its input has besides that.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "updateWorkflowInstance": ("UpdateWorkflowInstanceInput", {"status": "RUNNING"}),
    "updateWorkflowStep": ("UpdateWorkflowStepInput", {"name": "s", "status": "FAILED"}),
    "pauseWorkflow": ("InstanceActionInput", {}),
    "resumeWorkflow": ("InstanceActionInput", {}),
    "terminateWorkflow": ("InstanceActionInput", {}),
    "restartWorkflow": ("InstanceActionInput", {}),
    "sendWorkflowEvent": ("SendWorkflowEventInput", {"type": "go"}),
    "createAccessToken": ("CreateAccessTokenInput", {}),
}
# Texts that JSON, SQL, SQLite's quoting of error messages, or an object of JavaScript may mangle.
UNUSUAL = [
    "it's",
    "''",
    '"',
    "\\",
    "?1",
    "%s %Q {} {0}",
    "👩‍👩‍👧‍👦 ünï",
    '{"ambiguous":"x"}',
    '{"refusal":1}',
    '"],"path":"p"}',
    "__proto__",
    "null",
    "SQLITE_CONSTRAINT: too big",
]


@dataclass(frozen=True)
class Pair:
    """Two instances with one id."""

    instance_id: str
    a: str
    b: str

    @property
    def workflows(self) -> list[str]:
        """The workflows in the order of their names."""
        return [self.a, self.b]


def start(api: Api, workflow: str, instance_id: str, **more: Any) -> Any:
    """Record an instance that is only tracked, whose input has the name of its workflow."""
    given = {"workflow": workflow, "instanceId": instance_id, "input": {"of": workflow}}
    answer = api.data(START, input={**given, "trackOnly": True, **more})["startWorkflow"]
    assert answer["__typename"] == "InstancePayload", answer


def start_pair(api: Api, name: str) -> Pair:
    """Record two instances with one id, each with a step of the same name."""
    pair = Pair(name, f"{name}-a", f"{name}-b")
    for workflow in pair.workflows:
        start(api, workflow, pair.instance_id)
        step = {"instanceId": name, "workflow": workflow, "name": "s", "output": workflow}
        api.data(STEP, input={**step, "status": "COMPLETED"})
    return pair


@pytest.fixture
def unused() -> str:
    """A name that no other test uses."""
    return f"same-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def pair(api: Api, unused: str) -> Pair:
    """Two instances with one id that only this test uses."""
    return start_pair(api, unused)


def stored(server: LocalServer, instance_id: str) -> Any:
    """All rows about the instances with an id."""
    of = "(SELECT id FROM instances WHERE instance_id=?1)"
    return [
        server.query("SELECT * FROM instances WHERE instance_id=?1 ORDER BY id", [instance_id]),
        server.query(f"SELECT * FROM steps WHERE instance IN {of} ORDER BY id", [instance_id]),
        server.query(f"SELECT * FROM events WHERE instance IN {of} ORDER BY id", [instance_id]),
    ]


def show(api: Api, instance_id: str, workflow: str | None = None) -> Any:
    """The instance, None if there is none."""
    return api.data(SHOW, id=instance_id, workflow=workflow)["instance"]


def assert_ambiguous(error: Any, instance_id: str, workflows: list[str]) -> None:
    """Fail unless an entry of `errors` says that instances of these workflows have the id."""
    assert error["extensions"] == {"code": "AMBIGUOUS", "workflows": workflows}
    assert error["path"] == ["instance"]
    assert repr(instance_id) in error["message"]
    assert "workflow" in error["message"]


def call(api: Api, mutation: str, **given: Any) -> Any:
    """The result of one of CALLS."""
    type_, more = CALLS[mutation]
    query = f"""mutation($input: {type_}!) {{
      answer: {mutation}(input: $input) {{ __typename {AMBIGUOUS} }}
    }}"""
    return api.data(query, input={**more, **given})["answer"]


def test_a_start_in_another_workflow_makes_a_second_instance(api: Api, pair: Pair) -> None:
    for workflow in pair.workflows:
        found = show(api, pair.instance_id, workflow)
        assert (found["instanceId"], found["run"]) == (pair.instance_id, 1)
        assert found["workflow"] == {"name": workflow}
        assert found["input"] == {"of": workflow}
        assert [step["output"] for step in found["steps"]] == [workflow]
    listed = api.data(
        """query($id: String!, $workflows: [String!]) {
          found: instances(filter: {search: $id, workflow: $workflows}) {
            totalCount nodes { instanceId workflow { name statusCounts { status count } } }
          }
        }""",
        id=pair.instance_id,
        workflows=pair.workflows,
    )["found"]
    assert listed["totalCount"] == 2
    counts = [{"status": "QUEUED", "count": 1}]
    assert sorted(listed["nodes"], key=lambda node: str(node["workflow"]["name"])) == [
        {"instanceId": pair.instance_id, "workflow": {"name": name, "statusCounts": counts}}
        for name in pair.workflows
    ]


def test_a_repeated_start_finds_the_instance_of_its_own_workflow(
    api: Api, server: LocalServer, pair: Pair
) -> None:
    before = stored(server, pair.instance_id)
    query = """mutation($input: StartWorkflowInput!) { startWorkflow(input: $input) {
      ... on InstancePayload { instance { input } }
      ... on InstanceConflict { code message existing { input workflow { name } } }
    } }"""
    for workflow in pair.workflows:
        given = {"workflow": workflow, "instanceId": pair.instance_id, "trackOnly": True}
        assert api.data(query, input=given) == {
            "startWorkflow": {"instance": {"input": {"of": workflow}}}
        }
        conflict = api.data(query, input={**given, "onConflict": "FAIL"})["startWorkflow"]
        assert conflict["code"] == "CONFLICT"
        assert repr(workflow) in conflict["message"]
        assert conflict["existing"] == {"input": {"of": workflow}, "workflow": {"name": workflow}}
    assert stored(server, pair.instance_id) == before


def test_events_by_id_are_those_of_all_instances_that_have_it(api: Api, pair: Pair) -> None:
    query = EVENTS.replace("cursor type", "type run step { output } instance { input }")
    found = api.data(query, filter={"instanceId": pair.instance_id})["events"]["events"]
    assert [event["instance"]["input"]["of"] for event in found] == [
        workflow for workflow in pair.workflows for _ in range(4)
    ]
    filter_ = {"instanceId": pair.instance_id, "workflow": [pair.b]}
    own = api.data(query, filter=filter_)["events"]["events"]
    assert own == found[4:]
    assert {event["step"]["output"] for event in own if event["step"]} == {pair.b}


def test_a_query_by_id_alone_is_ambiguous(api: Api, pair: Pair) -> None:
    for variables in ({}, {"workflow": None}):
        response = api.ask(SHOW, id=pair.instance_id, **variables)
        assert response.status_code == 200
        assert response.json()["data"] is None
        assert_ambiguous(only_error(response), pair.instance_id, pair.workflows)
    assert show(api, pair.instance_id, pair.a)["input"] == {"of": pair.a}
    assert show(api, pair.instance_id, f"{pair.a}-other") is None


def test_the_path_of_an_ambiguous_field_is_its_alias(api: Api, pair: Pair) -> None:
    response = api.ask(
        """query($id: String!, $a: String!) {
          one: instance(instanceId: $id, workflow: $a) { input }
          none: instance(instanceId: "no such instance") { input }
          other: instance(instanceId: $id) { input }
        }""",
        id=pair.instance_id,
        a=pair.a,
    )
    error = only_error(response)
    assert error["path"] == ["other"]
    assert error["extensions"] == {"code": "AMBIGUOUS", "workflows": pair.workflows}


def test_an_id_is_ambiguous_over_a_socket_too(server: LocalServer, pair: Pair) -> None:
    with RawSocket(server).init() as socket:
        refused, over = socket.ask(SHOW, id=pair.instance_id)
        assert refused["payload"]["data"] is None
        [error] = refused["payload"]["errors"]
        assert_ambiguous(error, pair.instance_id, pair.workflows)
        assert over["type"] == "complete"
        found, _ = socket.ask(SHOW, id=pair.instance_id, workflow=pair.b)
        assert found["payload"]["data"]["instance"]["input"] == {"of": pair.b}
        update = UPDATE.replace("... on Error { message }", AMBIGUOUS)
        refused, _ = socket.ask(update, input={"instanceId": pair.instance_id, "status": "RUNNING"})
        answer = refused["payload"]["data"]["updateWorkflowInstance"]
        assert (answer["code"], len(answer["instances"])) == ("AMBIGUOUS", 2)


@pytest.mark.parametrize("mutation", CALLS)
def test_a_mutation_by_id_alone_lists_the_instances_and_changes_none(
    api: Api, server: LocalServer, pair: Pair, mutation: str
) -> None:
    before = stored(server, pair.instance_id)
    for given in ({}, {"workflow": None}):
        answer = call(api, mutation, instanceId=pair.instance_id, **given)
        assert answer.pop("__typename") == "AmbiguousInstance"
        assert answer.pop("code") == "AMBIGUOUS"
        assert repr(pair.instance_id) in answer["message"]
        assert "workflow" in answer.pop("message")
        assert answer == {
            "instances": [
                {
                    "instanceId": pair.instance_id,
                    "input": {"of": name},
                    "workflow": {"name": name},
                }
                for name in pair.workflows
            ]
        }
    assert stored(server, pair.instance_id) == before


@pytest.mark.parametrize(
    "update",
    [
        {"instance": {"status": "RUNNING"}},
        {"instance": {"metadata": {"a": 1}}},
        {"step": {"name": "s", "status": "FAILED"}},
        {"step": {"name": "new", "status": "RUNNING", "attempt": 2}},
    ],
    ids=str,
)
def test_an_ambiguous_update_undoes_its_batch(
    api: Api, server: LocalServer, pair: Pair, update: dict[str, dict[str, Any]]
) -> None:
    before = stored(server, pair.instance_id)
    [(kind, given)] = update.items()
    named = {"instanceId": pair.instance_id, "workflow": pair.a, "metadata": {"first": True}}
    track = TRACK.replace("... on Error { message }", AMBIGUOUS)
    answer = api.data(
        track,
        updates=[{"instance": named}, {kind: {"instanceId": pair.instance_id, **given}}],
    )["track"]
    assert (answer["__typename"], answer["code"]) == ("AmbiguousInstance", "AMBIGUOUS")
    assert [found["input"]["of"] for found in answer["instances"]] == pair.workflows
    assert stored(server, pair.instance_id) == before


def test_a_report_with_workflow_changes_that_instance_alone(
    api: Api, server: LocalServer, pair: Pair
) -> None:
    [first, _], *_ = stored(server, pair.instance_id)
    of = {"instanceId": pair.instance_id, "workflow": pair.b}
    api.data(UPDATE, input={**of, "status": "RUNNING", "output": 7})
    api.data(STEP, input={**of, "name": "t", "status": "RUNNING"})
    batch = [
        {"instance": {**of, "metadata": {"by": "track"}}},
        {"step": {**of, "name": "t", "status": "COMPLETED", "output": "done"}},
    ]
    assert api.data(TRACK, updates=batch)["track"]["__typename"] == "TrackPayload"
    [unchanged, _], steps, events = stored(server, pair.instance_id)
    assert unchanged == first
    changed = show(api, pair.instance_id, pair.b)
    assert (changed["status"], changed["metadata"]) == ("RUNNING", {"by": "track"})
    assert [step["output"] for step in changed["steps"]] == [pair.b, "done"]
    assert [step["name"] for step in steps if step["instance"] == first["id"]] == ["s"]
    assert sum(event["instance"] == first["id"] for event in events) == 4


def test_an_update_with_another_workflow_makes_a_second_instance(
    api: Api, server: LocalServer, unused: str
) -> None:
    first, second = f"{unused}-a", f"{unused}-b"
    start(api, first, unused, metadata={"n": 1})
    before, *_ = stored(server, unused)
    step = {"instanceId": unused, "workflow": second, "name": "s", "status": "RUNNING"}
    assert api.data(STEP, input=step)["updateWorkflowStep"]["__typename"] == "NotFound"
    given = {"instanceId": unused, "workflow": second, "status": "RUNNING", "metadata": {"n": 2}}
    answer = api.data(UPDATE, input=given)["updateWorkflowInstance"]
    assert answer == {"__typename": "InstancePayload"}
    after, *_ = stored(server, unused)
    assert after[:1] == before
    assert [row["workflow"] for row in after] == [first, second]
    # Without an id that belongs to one instance only, a report without workflow is refused.
    assert call(api, "updateWorkflowInstance", instanceId=unused)["code"] == "AMBIGUOUS"


@pytest.fixture
def with_engine_worker(start_server: StartServer) -> Iterator[Api]:
    """A caller of a service with a Workflow that can be paused."""
    with Api(start_server(beside=[ENGINE_WORKER])) as api:
        yield api


def test_actions_reach_the_instance_of_the_given_workflow(
    with_engine_worker: Api, unused: str
) -> None:
    api, bound = with_engine_worker, "untracked"
    given = {"workflow": bound, "instanceId": unused, "input": {"sleepMs": 600_000}}
    assert api.data(START, input=given)["startWorkflow"]["__typename"] == "InstancePayload"
    start(api, unused, unused)
    api.until(
        SHOW, lambda data: data["instance"]["status"] == "SLEEPING", id=unused, workflow=bound
    )
    actions = {
        "sendWorkflowEvent": {"SLEEPING"},
        "pauseWorkflow": {"PAUSED"},
        # The history may say that it sleeps before the service has recorded its own action.
        "resumeWorkflow": {"RUNNING", "SLEEPING"},
        "restartWorkflow": {"QUEUED"},
        "terminateWorkflow": {"TERMINATED"},
    }
    for action, statuses in actions.items():
        more = {"type": "stock"} if action == "sendWorkflowEvent" else {}
        assert act(api, action, unused, **more)["code"] == "AMBIGUOUS"
        answer = act(api, action, unused, workflow=bound, **more)
        assert answer["__typename"] == "InstancePayload", (action, answer)
        assert answer["instance"]["status"] in statuses, action
    other = show(api, unused, unused)
    assert (other["status"], other["run"], other["input"]) == ("QUEUED", 1, {"of": unused})
    refused = act(api, "terminateWorkflow", unused, workflow=unused)
    assert refused["code"] == "ENGINE_UNAVAILABLE"
    assert act(api, "terminateWorkflow", unused, workflow="no-such")["code"] == "NOT_FOUND"


def test_node_ids_have_workflow_and_id(api: Api, pair: Pair) -> None:
    ids = []
    for workflow in pair.workflows:
        found = show(api, pair.instance_id, workflow)
        keys = [workflow, pair.instance_id]
        assert found["id"].partition(":")[0] == "WorkflowInstance"
        assert json.loads(found["id"].partition(":")[2]) == keys
        [step] = found["steps"]
        assert step["id"].partition(":")[0] == "WorkflowStep"
        assert json.loads(step["id"].partition(":")[2]) == [*keys, 1, "s", 1]
        ids += [found["id"], step["id"]]
    query = """query($ids: [ID!]!) { nodes(ids: $ids) {
      id ... on WorkflowInstance { input } ... on WorkflowStep { output }
    } }"""
    assert api.data(query, ids=ids)["nodes"] == [
        {"id": id_, "input": {"of": workflow}} if number == 0 else {"id": id_, "output": workflow}
        for n, workflow in enumerate(pair.workflows)
        for number, id_ in enumerate(ids[2 * n : 2 * n + 2])
    ]


def test_node_ids_of_what_does_not_exist_are_null(api: Api, pair: Pair) -> None:
    keys = [pair.a, pair.instance_id]
    missing = [
        f"WorkflowInstance:{json.dumps(['no-such', pair.instance_id])}",
        f"WorkflowInstance:{json.dumps([pair.instance_id, pair.a])}",
        f"WorkflowStep:{json.dumps([*keys, 2, 's', 1])}",
        f"WorkflowStep:{json.dumps([*keys, 1, 's', 2])}",
        f"WorkflowStep:{json.dumps([*keys, 1, 't', 1])}",
    ]
    assert api.data(NODES, ids=missing)["nodes"] == [None] * len(missing)


def test_other_forms_of_node_ids_are_refused(api: Api, pair: Pair) -> None:
    a, id_ = pair.a, pair.instance_id
    instances: list[Any] = [id_, [id_], [a, id_, 1], {"workflow": a}, [a, None], [a, 1]]
    for key in instances:
        refused = api.ask(NODES, ids=[f"WorkflowInstance:{json.dumps(key)}"])
        assert code(refused) == "INVALID_ARGUMENT", key
    of = [a, id_]
    steps: list[Any] = [
        [id_, "s"],
        [*of, 1, "s"],
        [*of, "1", "s", 1],
        [*of, 1, "s", "1"],
        [*of, 1.5, "s", 1],
        [*of, True, "s", 1],
        [*of, 1, "s", True],
        [*of, 0, "s", 1],
        [*of, 1, "s", 1, 1],
        [*of, 1, None, 1],
    ]
    for key in steps:
        refused = api.ask(NODES, ids=[f"WorkflowStep:{json.dumps(key)}"])
        assert code(refused) == "INVALID_ARGUMENT", key


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_names_are_told_apart_and_returned_as_given(
    api: Api, server: LocalServer, text: str
) -> None:
    instance_id = f"{text} {uuid.uuid4().hex}"
    workflows = sorted([f"{text} a", f"{text} b"])
    for workflow in workflows:
        start(api, workflow, instance_id)
    # The error quotes names, so it is read as JSON and not searched for internals.
    [error] = api.ask(SHOW, id=instance_id).json()["errors"]
    assert error["extensions"] == {"code": "AMBIGUOUS", "workflows": workflows}
    assert error["path"] == ["instance"]
    assert instance_id in error["message"] or repr(instance_id) in error["message"]
    listed = call(api, "updateWorkflowInstance", instanceId=instance_id)
    assert [found["workflow"]["name"] for found in listed["instances"]] == workflows
    assert instance_id in listed["message"] or repr(instance_id) in listed["message"]
    ids = []
    for workflow in workflows:
        of = {"instanceId": instance_id, "workflow": workflow}
        step = {**of, "name": text, "status": "COMPLETED", "output": workflow}
        api.data(STEP, input=step)
        found = show(api, instance_id, workflow)
        assert found["workflow"] == {"name": workflow}
        assert found["steps"][0]["name"] == text
        assert json.loads(found["id"].partition(":")[2]) == [workflow, instance_id]
        ids += [found["id"], found["steps"][0]["id"]]
    assert [node["id"] for node in api.data(NODES, ids=ids)["nodes"]] == ids
    with RawSocket(server).init() as socket:
        socket.subscribe("alone", LIVE, variables={"id": instance_id})
        refused = socket.receive()
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"]["workflows"] == workflows
        of_first = {"id": instance_id, "workflow": workflows[0]}
        socket.subscribe("named", LIVE, variables=of_first)
        found = socket.receive()["payload"]["data"]["instance"]
        assert found["workflow"] == {"name": workflows[0]}


def test_at_most_100_of_the_workflows_that_have_an_id_are_listed(api: Api, unused: str) -> None:
    # As long as names may be, and of characters that take many bytes.
    workflows = sorted(f"{n:03} {unused}".ljust(60, "👪") for n in range(120))
    inputs = [{"workflow": w, "instanceId": unused, "trackOnly": True} for w in workflows]
    query = """mutation($inputs: [StartWorkflowInput!]!) {
      startWorkflows(inputs: $inputs) { __typename }
    }"""
    for inputs_of_call in (inputs[:100], inputs[100:]):
        api.data(query, inputs=inputs_of_call)
    error = api.error(SHOW, id=unused)
    assert error["extensions"] == {"code": "AMBIGUOUS", "workflows": workflows[:100]}
    listed = call(api, "updateWorkflowInstance", instanceId=unused)["instances"]
    assert [found["workflow"]["name"] for found in listed] == workflows[:100]
    assert show(api, unused, workflows[119])["workflow"] == {"name": workflows[119]}


def test_a_subscription_by_an_ambiguous_id_is_refused_at_once(
    server: LocalServer, api: Api, pair: Pair
) -> None:
    with RawSocket(server).init() as socket:
        socket.subscribe("alone", LIVE, variables={"id": pair.instance_id})
        refused = socket.receive()
        assert (refused["type"], refused["id"]) == ("error", "alone")
        [error] = refused["payload"]
        assert_ambiguous(error, pair.instance_id, pair.workflows)
        # The connection goes on, and the id of the operation is free again.
        named = {"id": pair.instance_id, "workflow": pair.a}
        socket.subscribe("alone", LIVE, variables=named)
        assert socket.receive()["payload"]["data"]["instance"]["workflow"] == {"name": pair.a}
        api.data(UPDATE, input={"instanceId": named["id"], "workflow": pair.a, "metadata": {}})
        assert socket.receive()["payload"]["data"]["instance"]["metadata"] == {}


@pytest.mark.parametrize("exists", [True, False], ids=["of an instance", "of no instance yet"])
def test_a_subscription_by_id_ends_once_a_second_instance_has_it(
    server: LocalServer, api: Api, unused: str, exists: bool
) -> None:
    first, second = f"{unused}-a", f"{unused}-b"
    if exists:
        start(api, first, unused)
    with RawSocket(server).init() as socket:
        socket.subscribe("alone", LIVE, variables={"id": unused})
        got = socket.receive()["payload"]["data"]["instance"]
        assert (got is not None) is exists
        socket.subscribe("named", LIVE, variables={"id": unused, "workflow": first})
        assert (socket.receive()["payload"]["data"]["instance"] is not None) is exists
        if not exists:
            start(api, first, unused)
            got = socket.receive_until(lambda got: len(got) == 2)
            assert {m["id"] for m in got} == {"alone", "named"}
            assert {m["payload"]["data"]["instance"]["status"] for m in got} == {"QUEUED"}
        # The write succeeds, whatever it does to subscribers.
        start(api, second, unused)
        ended = socket.receive()
        assert (ended["type"], ended["id"]) == ("error", "alone")
        [error] = ended["payload"]
        assert_ambiguous(error, unused, [first, second])
        server.tracker("notify")
        assert socket.flushed() == []
        for workflow in (second, first):
            given = {"instanceId": unused, "workflow": workflow, "metadata": {"by": workflow}}
            api.data(UPDATE, input=given)
        server.tracker("notify")
        # The subscription with `workflow` goes on, and gets nothing about the other instance.
        [changed] = socket.flushed()
        assert changed["id"] == "named"
        found = changed["payload"]["data"]["instance"]
        assert (found["metadata"], found["workflow"]) == ({"by": first}, {"name": first})


def test_other_subscriptions_of_a_shard_go_on(server: LocalServer, api: Api, unused: str) -> None:
    start(api, f"{unused}-a", unused)
    start(api, unused, f"{unused}-other")
    with RawSocket(server).init() as socket:
        for number in range(5):
            socket.subscribe(f"alone {number}", LIVE, variables={"id": unused})
        socket.subscribe("other", LIVE, variables={"id": f"{unused}-other"})
        socket.receive_until(lambda got: len(got) == 6)
        server.evict()
        start(api, f"{unused}-b", unused)
        got = socket.receive_until(lambda got: len(got) == 5)
        assert {m["type"] for m in got} == {"error"}
        assert {m["id"] for m in got} == {f"alone {number}" for number in range(5)}
        touch(api, f"{unused}-other", "still here")
        changed = socket.receive()
        assert changed["id"] == "other"
        assert changed["payload"]["data"]["instance"]["metadata"] == {"note": "still here"}


def test_a_stream_by_an_ambiguous_id_is_refused_at_once(server: LocalServer, pair: Pair) -> None:
    with EventStream(server, LIVE, variables={"id": pair.instance_id}) as stream:
        refused, end = stream.rest()
        assert (refused["event"], end["event"]) == ("next", "complete")
        [error] = refused["data"]["errors"]
        assert_ambiguous(error, pair.instance_id, pair.workflows)


def test_a_stream_by_id_ends_once_a_second_instance_has_it(
    server: LocalServer, api: Api, unused: str
) -> None:
    first, second = f"{unused}-a", f"{unused}-b"
    start(api, first, unused)
    named = {"id": unused, "workflow": first}
    with (
        EventStream(server, LIVE, variables={"id": unused}) as stream,
        EventStream(server, LIVE, variables=named) as other,
    ):
        for opened in (stream, other):
            assert opened.next()["data"]["data"]["instance"]["workflow"] == {"name": first}
        start(api, second, unused)
        ended, end = stream.rest()
        assert (ended["event"], end["event"]) == ("next", "complete")
        [error] = ended["data"]["errors"]
        assert_ambiguous(error, unused, [first, second])
        for workflow in (second, first):
            given = {"instanceId": unused, "workflow": workflow, "metadata": {"by": workflow}}
            api.data(UPDATE, input=given)
        assert other.next()["data"]["data"]["instance"]["metadata"] == {"by": first}


def test_a_token_by_an_ambiguous_id_is_refused(api: Api, server: LocalServer, pair: Pair) -> None:
    refused = api.data(CREATE_TOKEN, input={"instanceId": pair.instance_id})["answer"]
    assert (refused["__typename"], refused["code"]) == ("AmbiguousInstance", "AMBIGUOUS")
    assert [found["input"]["of"] for found in refused["instances"]] == pair.workflows
    for workflow in pair.workflows:
        restrictions: list[dict[str, Any]] = [{"workflow": workflow}, {"workflows": [workflow]}]
        for restriction in restrictions:
            token = token_of(server, instanceId=pair.instance_id, **restriction)
            with Api(server, key=token) as holder:
                assert show(holder, pair.instance_id)["input"] == {"of": workflow}
    # Of the two, only one has the reference.
    reference = {"refType": "order", "refId": pair.instance_id}
    given = {"instanceId": pair.instance_id, "workflow": pair.b, "reference": reference}
    api.data(UPDATE, input=given)
    token = token_of(server, instanceId=pair.instance_id, reference=reference)
    with Api(server, key=token) as holder:
        assert show(holder, pair.instance_id)["input"] == {"of": pair.b}


@pytest.mark.parametrize(
    "given",
    [
        {"workflow": "w"},
        {"workflow": "w", "unrestricted": True},
        {"workflow": "w", "reference": {"refType": "order", "refId": "1"}},
        {"workflow": "w", "instanceId": "i", "workflows": ["w"]},
        {"workflow": "", "instanceId": "i"},
    ],
    ids=str,
)
def test_the_workflow_of_a_token_belongs_to_an_instance_id(api: Api, given: dict[str, Any]) -> None:
    refused = api.data(CREATE_TOKEN, input=given)["answer"]
    assert (refused["__typename"], refused["code"]) == ("InvalidInput", "INVALID_INPUT")
    assert refused["path"] == ["input", "workflow"]


def test_an_ambiguous_token_lists_the_instances_within_its_other_restrictions(
    api: Api, pair: Pair
) -> None:
    other = f"{pair.instance_id}-c"
    start(api, other, pair.instance_id)
    given = {"instanceId": pair.instance_id, "workflows": [pair.a, other]}
    answer = api.data(CREATE_TOKEN, input=given)["answer"]
    assert answer["__typename"] == "AmbiguousInstance"
    assert [found["workflow"]["name"] for found in answer["instances"]] == [pair.a, other]


def test_a_token_by_id_stays_with_the_workflow_that_had_it(
    api: Api, server: LocalServer, unused: str
) -> None:
    first, second = f"{unused}-a", f"{unused}-b"
    start(api, first, unused)
    token = token_of(server, instanceId=unused, scopes=["WRITE"])
    with Api(server, key=token) as holder, RawSocket(server).init(key=token) as socket:
        socket.subscribe("alone", LIVE, variables={"id": unused})
        assert socket.receive()["payload"]["data"]["instance"]["workflow"] == {"name": first}
        start(api, second, unused)
        # The holder does not learn of the second instance, and its id alone is not ambiguous.
        assert show(holder, unused)["input"] == {"of": first}
        assert show(holder, unused, second) is None
        node = f"WorkflowInstance:{json.dumps([second, unused])}"
        assert holder.data(NODES, ids=[node])["nodes"] == [None]
        listed = holder.data("{ instances { totalCount nodes { workflow { name } } } }")
        assert listed["instances"] == {"totalCount": 1, "nodes": [{"workflow": {"name": first}}]}
        events = holder.data(EVENTS.replace("cursor type", "instance { input }"))["events"]
        assert [event["instance"]["input"]["of"] for event in events["events"]] == [first]
        answer = call(holder, "updateWorkflowInstance", instanceId=unused)
        assert answer == {"__typename": "InstancePayload"}
        step = {"instanceId": unused, "name": "s", "status": "RUNNING"}
        assert holder.data(STEP, input=step)["updateWorkflowStep"]["__typename"] == "StepPayload"
        updates = [{"step": {**step, "status": "COMPLETED"}}]
        assert holder.data(TRACK, updates=updates)["track"]["__typename"] == "TrackPayload"
        server.tracker("notify")
        got = socket.flushed()
        assert {(m["type"], m["id"]) for m in got} == {("next", "alone")}
        assert got[-1]["payload"]["data"]["instance"]["status"] == "RUNNING"
        refused = holder.ask(UPDATE, input={"instanceId": unused, "workflow": second})
        assert code(refused) == "FORBIDDEN"
    untouched = show(api, unused, second)
    assert (untouched["status"], untouched["steps"]) == ("QUEUED", [])


def test_a_token_for_an_id_that_no_instance_has_is_valid_for_all_that_get_it(
    api: Api, server: LocalServer, unused: str
) -> None:
    token = token_of(server, instanceId=unused)
    with Api(server, key=token) as holder:
        assert show(holder, unused) is None
        start(api, f"{unused}-a", unused)
        assert show(holder, unused)["input"] == {"of": f"{unused}-a"}
        start(api, f"{unused}-b", unused)
        both = [f"{unused}-a", f"{unused}-b"]
        assert_ambiguous(holder.error(SHOW, id=unused), unused, both)
        assert show(holder, unused, both[1])["input"] == {"of": both[1]}


def test_only_instances_that_a_token_may_see_make_an_id_ambiguous(
    api: Api, server: LocalServer, pair: Pair
) -> None:
    instance_id, third = pair.instance_id, f"{pair.instance_id}-c"
    reference = {"refType": "order", "refId": instance_id}
    start(api, third, instance_id, reference=reference)
    everything = [*pair.workflows, third]
    assert_ambiguous(api.error(SHOW, id=instance_id), instance_id, everything)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"workflows": [pair.a]}, [pair.a]),
        ({"workflows": [pair.a, third, "no-such"]}, [pair.a, third]),
        ({"workflows": []}, []),
        ({"reference": reference}, [third]),
        ({"reference": reference, "workflows": [pair.b]}, []),
    ]
    for restrictions, seen in cases:
        token = token_of(server, scopes=["WRITE"], **restrictions)
        with Api(server, key=token) as holder, RawSocket(server).init(key=token) as socket:
            socket.subscribe("alone", LIVE, variables={"id": instance_id})
            message = socket.receive()
            update = "updateWorkflowInstance", "updateWorkflowStep", "terminateWorkflow"
            if len(seen) > 1:
                assert_ambiguous(holder.error(SHOW, id=instance_id), instance_id, seen)
                assert_ambiguous(message["payload"][0], instance_id, seen)
                for mutation in update:
                    answer = call(holder, mutation, instanceId=instance_id)
                    assert [found["input"]["of"] for found in answer["instances"]] == seen
                continue
            live = message["payload"]["data"]["instance"]
            found = show(holder, instance_id)
            if seen:
                assert found["input"] == {"of": seen[0]}
                assert live["workflow"] == {"name": seen[0]}
                given = {"instanceId": instance_id, "metadata": {"by": list(restrictions)}}
                answer = holder.data(UPDATE, input=given)["updateWorkflowInstance"]
                assert answer == {"__typename": "InstancePayload"}
                changed = show(api, instance_id, seen[0])
                assert changed["metadata"] == {"by": list(restrictions)}
            else:
                assert (found, live) == (None, None)
                for mutation in update:
                    answer = call(holder, mutation, instanceId=instance_id)
                    assert answer == {"__typename": "NotFound"}
    assert show(api, instance_id, pair.b)["metadata"] is None


def test_a_restricted_caller_starts_an_id_that_a_hidden_instance_has(
    api: Api, server: LocalServer, unused: str
) -> None:
    hidden, own = f"{unused}-hidden", f"{unused}-own"
    start(api, hidden, unused, metadata={"secret": True})
    with Api(server, key=token_of(server, scopes=["WRITE"], workflows=[own])) as holder:
        start(holder, own, unused)
        assert show(holder, unused)["input"] == {"of": own}
    assert show(api, unused, hidden)["metadata"] == {"secret": True}
