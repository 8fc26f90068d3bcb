"""A restricted token sees and changes only what its restrictions allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from tests.worker.api import Api, code
from tests.worker.test_access import token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER_1 = {"refType": "order", "refId": "1"}
ORDER_2 = {"refType": "order", "refId": "2"}
# The workflow and the reference of each instance.
INSTANCES: dict[str, tuple[str, dict[str, str] | None]] = {
    "a-1": ("alpha", ORDER_1),
    "a-2": ("alpha", ORDER_2),
    "a-0": ("alpha", None),
    "b-1": ("beta", ORDER_1),
    "b-2": ("beta", ORDER_2),
}


@dataclass(frozen=True)
class TokenCase:
    """Restrictions of a token, and the instances and workflows that they allow."""

    restrictions: dict[str, Any]
    instances: set[str]
    workflows: set[str]


CASES = {
    "reference": TokenCase({"reference": ORDER_1}, {"a-1", "b-1"}, {"alpha", "beta"}),
    "workflow": TokenCase({"workflows": ["alpha"]}, {"a-0", "a-1", "a-2"}, {"alpha"}),
    "workflows": TokenCase({"workflows": ["beta", "none"]}, {"b-1", "b-2"}, {"beta"}),
    "no workflow": TokenCase({"workflows": []}, set(), set()),
    "instance": TokenCase({"instanceId": "a-1"}, {"a-1"}, {"alpha"}),
    "reference and workflow": TokenCase(
        {"reference": ORDER_1, "workflows": ["alpha"]}, {"a-1"}, {"alpha"}
    ),
    "all": TokenCase(
        {"reference": ORDER_2, "workflows": ["alpha"], "instanceId": "a-1"}, set(), set()
    ),
}

TRACK = """mutation($updates: [TrackingUpdate!]!) {
  track(updates: $updates) { __typename ... on Error { message } }
}"""


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """A server with the five instances, each with a step that is being retried."""
    with LocalServer() as running, Api(running) as admin:
        for instance_id, (workflow, reference) in INSTANCES.items():
            of = {"instanceId": instance_id}
            instance = {**of, "workflow": workflow, "reference": reference, "status": "RUNNING"}
            step = {**of, "name": f"step-{instance_id}", "status": "RETRYING"}
            error = {"message": f"secret of {instance_id}"}
            updates = [
                {"instance": {**instance, "input": {"secret": instance_id}}},
                {"step": {**step, "error": error}},
            ]
            recorded = admin.data(TRACK, updates=updates)
            assert recorded["track"]["__typename"] == "TrackPayload"
        yield running


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> TokenCase:
    """Each of the cases, or those that a test names."""
    return CASES[request.param]


@pytest.fixture
def caller(server: LocalServer, case: TokenCase) -> Iterator[Api]:
    """A caller with the token of the case, which may write."""
    with Api(server, key=token_of(server, scopes=["WRITE"], **case.restrictions)) as caller:
        yield caller


def ids(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["instanceId"] for node in nodes}


def test_lists_and_counts_contain_only_allowed_instances(caller: Api, case: TokenCase) -> None:
    found = caller.data("""{
      instances { totalCount nodes { instanceId } edges { node { instanceId } } }
      running: instances(filter: {status: [RUNNING, QUEUED]}) { totalCount nodes { instanceId } }
      retrying: instances(filter: {retrying: true}) { nodes { instanceId } }
      byAlpha: instances(filter: {workflow: ["alpha", "beta"]}) { nodes { instanceId } }
      byOrder: instances(filter: {reference: {refType: "order"}}) { totalCount }
      search: instances(filter: {search: "a"}) { nodes { instanceId } }
      page: instances(first: 1, orderBy: {field: UPDATED_AT}) { pageInfo { hasNextPage } }
      stats { total retryCount statusCounts { status count } timeline(slices: 1) { started } }
      workflows { totalCount nodes { name } }
    }""")
    inside = case.instances
    for name in ("instances", "running", "retrying", "byAlpha"):
        assert ids(found[name]["nodes"]) == inside, name
    assert found["instances"]["totalCount"] == found["running"]["totalCount"] == len(inside)
    assert found["byOrder"]["totalCount"] == len(inside - {"a-0"})
    assert ids(found["search"]["nodes"]) == {name for name in inside if name.startswith("a")}
    assert found["page"]["pageInfo"]["hasNextPage"] is (len(inside) > 1)
    counts = [{"status": "RUNNING", "count": len(inside)}] if inside else []
    assert found["stats"] == {
        "total": len(inside),
        "retryCount": len(inside),
        "statusCounts": counts,
        "timeline": [{"started": len(inside)}],
    }
    assert {node["name"] for node in found["workflows"]["nodes"]} == case.workflows
    assert found["workflows"]["totalCount"] == len(case.workflows)


def test_lookups_find_only_allowed_objects(caller: Api, case: TokenCase) -> None:
    for instance_id, (workflow, _) in INSTANCES.items():
        inside = instance_id in case.instances
        node = f'WorkflowInstance:["{workflow}","{instance_id}"]'
        step = f'WorkflowStep:["{workflow}","{instance_id}",1,"step-{instance_id}",1]'
        found = caller.data(
            """query($id: String!, $node: ID!, $step: ID!, $both: [ID!]!) {
              instance(instanceId: $id) { input events { events { type } } steps { name } }
              node(id: $node) { id }
              step: node(id: $step) { id }
              nodes(ids: $both) { id }
            }""",
            id=instance_id,
            node=node,
            step=step,
            both=[node, step],
        )
        assert (found["instance"] is not None) is inside
        assert (found["node"] is not None) is inside
        assert (found["step"] is not None) is inside
        assert [node is not None for node in found["nodes"]] == [inside, inside]
        if inside:
            assert found["instance"]["input"] == {"secret": instance_id}
        seen = caller.data(
            "query($name: String!, $id: ID!)"
            " { workflow(name: $name) { name } node(id: $id) { id } }",
            name=workflow,
            id=f"Workflow:{workflow}",
        )
        assert (seen["workflow"] is not None) is (workflow in case.workflows)
        assert (seen["node"] is not None) is (workflow in case.workflows)


def test_nested_selections_reach_only_allowed_instances(caller: Api, case: TokenCase) -> None:
    nested = "instances { totalCount nodes { instanceId } } latestInstance { instanceId }"
    found = caller.data(
        f"""query($keys: [ReferenceInput!]!) {{
          references(keys: $keys) {{ {nested} statusCounts {{ count }} }}
          reference(refType: "order", refId: "2") {{ {nested} }}
          node(id: "Reference:[\\"order\\",\\"2\\"]") {{ ... on Reference {{ {nested} }} }}
          workflows {{ nodes {{ {nested} statusCounts {{ count }} }} }}
          instances {{ nodes {{
            workflow {{ {nested} }} reference {{ {nested} }} steps {{ instance {{ instanceId }} }}
          }} }}
        }}""",
        keys=[ORDER_1, ORDER_2],
    )
    seen: set[str] = set()
    counts = []

    def walk(value: object) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            if "instanceId" in value:
                seen.add(value["instanceId"])
            if "totalCount" in value:
                assert value["totalCount"] == len(value["nodes"])
            if "count" in value:
                counts.append(value["count"])
            for item in value.values():
                walk(item)

    walk(found)
    assert seen == case.instances
    # By reference and by workflow; one instance has no reference.
    assert sum(counts) == len(case.instances) + len(case.instances - {"a-0"})


def test_events_are_those_of_allowed_instances(caller: Api, case: TokenCase) -> None:
    query = """query($filter: EventFilter) {
      events(filter: $filter, first: 1000) { hasMore events { instance { instanceId } data } }
    }"""
    filters: list[dict[str, Any] | None] = [
        None,
        {"workflow": ["alpha", "beta"]},
        {"status": ["RUNNING"]},
    ]
    for filter_ in filters:
        page = caller.data(query, filter=filter_)["events"]
        assert {event["instance"]["instanceId"] for event in page["events"]} == case.instances
        assert not page["hasMore"]
    for instance_id in INSTANCES:
        page = caller.data(query, filter={"instanceId": instance_id})["events"]
        assert bool(page["events"]) is (instance_id in case.instances)
    page = caller.data(query, filter={"reference": ORDER_2})["events"]
    assert {event["instance"]["instanceId"] for event in page["events"]} <= case.instances


def test_other_instances_cannot_be_changed(
    server: LocalServer, caller: Api, case: TokenCase
) -> None:
    for instance_id in set(INSTANCES) - case.instances:
        before = stored(server, instance_id)
        of = {"instanceId": instance_id}
        step = {**of, "name": f"step-{instance_id}", "status": "COMPLETED"}
        calls = {
            "updateWorkflowInstance": ("UpdateWorkflowInstance", {**of, "status": "COMPLETED"}),
            "updateWorkflowStep": ("UpdateWorkflowStep", step),
            "pauseWorkflow": ("InstanceAction", of),
            "resumeWorkflow": ("InstanceAction", of),
            "terminateWorkflow": ("InstanceAction", of),
            "restartWorkflow": ("InstanceAction", of),
            "sendWorkflowEvent": ("SendWorkflowEvent", {**of, "type": "go"}),
        }
        for name, (type_, value) in calls.items():
            query = f"mutation($input: {type_}Input!) {{ {name}(input: $input) {{ __typename }} }}"
            assert caller.data(query, input=value)[name] == {"__typename": "NotFound"}, name
        batch = [{"instance": {**of, "metadata": {"x": 1}}}, {"step": step}]
        for update in batch:
            answer = caller.data(TRACK, updates=[update])["track"]
            assert answer["__typename"] == "NotFound"
        assert stored(server, instance_id) == before


def stored(server: LocalServer, instance_id: str) -> list[dict[str, Any]]:
    """An instance with its steps, and the number of all events."""
    return server.query(
        "SELECT i.*,(SELECT count(*) FROM events) AS events,"
        "(SELECT group_concat(status||attempt) FROM steps s WHERE s.instance=i.id) AS steps"
        " FROM instances i WHERE instance_id=?",
        [instance_id],
    )


def may_start(case: TokenCase, workflow: str, instance_id: str) -> bool:
    """True if the restrictions allow a new instance like this, with their reference."""
    restrictions = case.restrictions
    return workflow in restrictions.get(
        "workflows", [workflow]
    ) and instance_id == restrictions.get("instanceId", instance_id)


def test_a_start_with_the_id_of_a_hidden_instance_reveals_nothing(
    caller: Api, case: TokenCase
) -> None:
    query = """mutation($input: StartWorkflowInput!) { startWorkflow(input: $input) {
      __typename
      ... on InstancePayload { instance { instanceId input workflow { name } } }
      ... on InstanceConflict { existing { instanceId input workflow { name } } }
    } }"""
    for instance_id in set(INSTANCES) - case.instances:
        own, _ = INSTANCES[instance_id]
        for workflow in ("alpha", "beta"):
            for policy in ("USE_EXISTING", "FAIL"):
                given = {
                    "workflow": workflow,
                    "instanceId": instance_id,
                    "reference": case.restrictions.get("reference"),
                    "onConflict": policy,
                    # In the other workflow the id is free, and nothing must be started here.
                    "trackOnly": workflow == own,
                }
                response = caller.ask(query, input=given)
                assert "secret" not in response.text
                if may_start(case, workflow, instance_id):
                    # The result says only that the id cannot be used.
                    answer = response.json()["data"]["startWorkflow"]
                    refusal = "InvalidInput" if workflow == own else "UnboundWorkflow"
                    assert answer == {"__typename": refusal}
                else:
                    assert code(response) == "FORBIDDEN"


def test_nothing_else_can_be_started_or_registered(caller: Api, server: LocalServer) -> None:
    start = "mutation($input: StartWorkflowInput!) { startWorkflow(input: $input) { __typename } }"
    register = 'mutation { registerWorkflow(input: {name: "gamma"}) { __typename } }'
    update = """mutation($input: UpdateWorkflowInstanceInput!) {
      updateWorkflowInstance(input: $input) { __typename }
    }"""
    new = {"workflow": "gamma", "instanceId": "new", "reference": {"refType": "o", "refId": "9"}}
    assert code(caller.ask(start, input=new)) == "FORBIDDEN"
    assert code(caller.ask(register)) == "FORBIDDEN"
    answer = caller.ask(update, input=new)
    assert "FORBIDDEN" in answer.text or "NotFound" in answer.text
    assert not server.query("SELECT 1 FROM workflows WHERE name='gamma'")
    assert not server.query("SELECT 1 FROM instances WHERE instance_id='new'")


@pytest.mark.parametrize(
    "case", ["reference", "workflow", "workflows", "reference and workflow"], indirect=True
)
def test_an_instance_cannot_be_moved_out_of_the_restrictions(
    caller: Api, case: TokenCase, server: LocalServer
) -> None:
    update = """mutation($input: UpdateWorkflowInstanceInput!) {
      updateWorkflowInstance(input: $input) { __typename }
    }"""
    for instance_id in case.instances:
        if "reference" in case.restrictions:
            for reference in (ORDER_2, None):
                given = {"instanceId": instance_id, "reference": reference}
                assert code(caller.ask(update, input=given)) == "FORBIDDEN"
        if "workflows" in case.restrictions:
            given = {"instanceId": instance_id, "workflow": "gamma"}
            assert code(caller.ask(update, input=given)) == "FORBIDDEN"
    rows = server.query("SELECT instance_id, workflow, ref_type, ref_id FROM instances")
    for row in rows:
        workflow, reference = INSTANCES[row["instance_id"]]
        assert row["workflow"] == workflow
        expected = (reference["refType"], reference["refId"]) if reference else (None, None)
        assert (row["ref_type"], row["ref_id"]) == expected


@pytest.mark.parametrize(
    "case", [name for name, case in CASES.items() if case.instances], indirect=True
)
def test_allowed_instances_can_be_changed(caller: Api, case: TokenCase) -> None:
    query = """mutation($updates: [TrackingUpdate!]!) {
      track(updates: $updates) { ... on TrackPayload { applied } }
    }"""
    for instance_id in case.instances:
        change = {"instanceId": instance_id, "metadata": {"by": sorted(case.restrictions)}}
        clear = {"instanceId": instance_id, "metadata": None}
        updates = [{"instance": change}, {"instance": clear}]
        assert caller.data(query, updates=updates) == {"track": {"applied": 2}}


def test_a_restricted_token_cannot_create_tokens(server: LocalServer, case: TokenCase) -> None:
    key = token_of(server, scopes=["ADMIN"], **case.restrictions)
    with Api(server, key=key) as caller:
        answer = caller.ask(
            "mutation { createAccessToken(input: {unrestricted: true}) { __typename } }"
        )
    assert code(answer) == "FORBIDDEN"
