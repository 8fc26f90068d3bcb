"""What is too large or out of bounds is refused before any SQL, with the limit or the place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.api import cost, only_error

if TYPE_CHECKING:
    import httpx

    from tests.worker.api import Api

WORKFLOW_OF_LATEST = "workflow { latestInstance { "
KEYS = "query($keys: [ReferenceInput!]!) { references(keys: $keys) { refId } }"
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
FILTERED = "query($filter: InstanceFilter) { instances(filter: $filter) { nodes { id } } }"
TRACK = """mutation($updates: [TrackingUpdate!]!) {
  track(updates: $updates) { __typename ... on InvalidInput { code message path } }
}"""
START = """mutation($inputs: [StartWorkflowInput!]!) {
  startWorkflows(inputs: $inputs) { __typename ... on InvalidInput { code message path } }
}"""
REFERENCE = {"refType": "limits", "refId": "1"}


def aliased(count: int, field: str = "__typename") -> str:
    return "{ " + " ".join(f"a{n}: {field}" for n in range(count)) + " }"


def deep(levels: int) -> str:
    """An operation of 2 * levels + 2 fields below one another."""
    inner = WORKFLOW_OF_LATEST * levels + "id" + " } }" * levels
    return f'{{ instance(instanceId: "limits") {{ {inner} }} }}'


def in_fragments(levels: int) -> str:
    """As `deep`, with a fragment a level."""
    fragments = [
        f"fragment F{n} on WorkflowInstance {{ {WORKFLOW_OF_LATEST} ...F{n + 1} }} }} }}"
        for n in range(levels)
    ]
    last = f"fragment F{levels} on WorkflowInstance {{ id }}"
    query = '{ instance(instanceId: "limits") { ...F0 } }'
    return " ".join([query, *fragments, last])


def ran_no_sql(response: httpx.Response) -> bool:
    return "d1-round-trips" not in response.headers or cost(response)[0] == 0


@pytest.mark.parametrize(
    ("limit", "query"),
    [
        ("MAX_DEPTH", deep(7)),
        ("MAX_DEPTH", deep(90)),
        ("MAX_DEPTH", deep(400)),
        ("MAX_DEPTH", in_fragments(7)),
        ("MAX_DEPTH", in_fragments(300)),
        ("MAX_ALIASES", aliased(101)),
        ("MAX_ALIASES", "{ ...F ...F } fragment F on Query " + aliased(51)),
        ("MAX_DOCUMENT_TOKENS", "{" + " __typename" * 10_000 + "}"),
        ("MAX_DOCUMENT_TOKENS", "{ __typename " + "#\n" * 10_001 + "}"),
        ("MAX_ROOT_FIELDS", aliased(51)),
        ("MAX_ROOT_FIELDS", aliased(51, 'workflow(name: "limits") { name }')),
        (
            "MAX_ROOT_FIELDS",
            "mutation "
            + aliased(51, 'registerWorkflow(input: {name: "limits-51"}) { __typename }'),
        ),
        (
            "MAX_NODES",
            "{ instances(first: 100) { nodes { steps { attempts { number }"
            " instance { events(first: 20) { events { type } } } } } } }",
        ),
        (
            "MAX_NODES",
            "{ instances(first: 100) { nodes { workflow { instances(first: 100)"
            " { edges { node { id } } nodes { id } } } } } }",
        ),
        (
            "D1_MAX_PARAMETERS",
            '{ workflow(name: "limits") { '
            + " ".join(
                f'a{n}: instances(filter: {{search: "{n}"}}) {{ totalCount }}' for n in range(60)
            )
            + " } }",
        ),
    ],
)
def test_an_operation_too_large_is_refused_before_any_sql(api: Api, limit: str, query: str) -> None:
    response = api.ask(query)
    error = only_error(response)
    assert (error["extensions"]["code"], error["extensions"]["limit"]) == (
        "OPERATION_TOO_LARGE",
        limit,
    )
    assert limit in error["message"]
    assert "data" not in response.json()
    assert ran_no_sql(response)


def test_the_refused_mutation_did_nothing(api: Api) -> None:
    api.ask("mutation " + aliased(51, 'registerWorkflow(input: {name: "limits-m"}) { __typename }'))
    assert api.data('{ workflow(name: "limits-m") { name } }') == {"workflow": None}


@pytest.mark.parametrize(
    "query",
    [
        deep(6),
        in_fragments(6),
        aliased(50),
        aliased(50, 'instances(first: 1, filter: {workflow: ["limits"]}) { totalCount }'),
        "{ instances(first: 100) { " + aliased(100, "nodes { id }")[1:] + "}",
        "{ instances(first: 100) { nodes { steps { attempts { number } } } } }",
    ],
)
def test_an_operation_at_the_limit_is_answered(api: Api, query: str) -> None:
    response = api.ask(query)
    assert "errors" not in response.json(), response.text[:1000]
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ('instances(after: "no") { nodes { id } }', "after"),
        ('instances(after: "") { nodes { id } }', "after"),
        ('instances(after: "Nlimits") { nodes { id } }', "after"),
        ('instances(before: "C2026-01-01T00:00:00.000Z,") { nodes { id } }', "before"),
        ('instances(after: "U2026-01-01T00:00:00.000Z,1") { nodes { id } }', "after"),
        ('workflows(before: "C2026-01-01T00:00:00.000Z,1") { nodes { id } }', "before"),
        ("instances(first: 101) { nodes { id } }", "first"),
        ("instances(first: -1) { nodes { id } }", "first"),
        ("instances(last: 101) { nodes { id } }", "last"),
        ("instances(first: 1, last: 1) { nodes { id } }", "last"),
        ("workflows(first: 2147483647) { totalCount }", "first"),
        ("events(first: 1001) { cursor }", "first"),
        ("events(first: -1) { cursor }", "first"),
        ('node(id: "no") { id }', "id"),
        ('node(id: "") { id }', "id"),
        ("node(id: 1) { id }", "id"),
        ('node(id: "No:1") { id }', "id"),
        ('node(id: "WorkflowStep:a") { id }', "id"),
        ('node(id: "WorkflowStep:[1,2]") { id }', "id"),
        ('nodes(ids: ["Workflow:a", "no"]) { id }', "ids"),
        ('reference(refType: "", refId: "1") { id }', "refType"),
        (f'reference(refType: "order", refId: "{"x" * 257}") {{ id }}', "refId"),
        ('references(keys: [{refType: "", refId: "1"}]) { id }', "keys"),
        ('instances(filter: {search: ""}) { nodes { id } }', "filter.search"),
        (f'workflows(search: "{"x" * 257}") {{ nodes {{ id }} }}', "search"),
        ("stats { timeline(slices: 0) { from } }", "slices"),
        ("stats { timeline(slices: 1001) { from } }", "slices"),
    ],
)
def test_an_argument_out_of_bounds_is_named_with_its_path(
    api: Api, field: str, argument: str
) -> None:
    response = api.ask(f"{{ here: {field} }}")
    error = only_error(response)
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "argument": argument}
    assert error["path"][0] == "here"
    assert "data" not in response.json()
    assert ran_no_sql(response)


@pytest.mark.parametrize(
    ("query", "variables", "argument"),
    [
        (KEYS, {"keys": [REFERENCE] * 1_001}, "keys"),
        (NODES, {"ids": ["Workflow:a"] * 101}, "ids"),
        (FILTERED, {"filter": {"workflow": ["a"] * 101}}, "filter.workflow"),
        (FILTERED, {"filter": {"status": ["QUEUED"] * 101}}, "filter.status"),
        (FILTERED, {"filter": {"search": "x" * 257}}, "filter.search"),
    ],
)
def test_too_many_values_are_refused_by_name(
    api: Api, query: str, variables: dict[str, Any], argument: str
) -> None:
    response = api.ask(query, **variables)
    assert only_error(response)["extensions"] == {"code": "INVALID_ARGUMENT", "argument": argument}
    assert ran_no_sql(response)


def test_as_many_values_as_allowed_are_taken_in_one_round_trip(api: Api) -> None:
    keys = [{"refType": "limits", "refId": f"☃{n}"} for n in range(1_000)]
    response = api.ask(KEYS, keys=keys)
    assert [found["refId"] for found in response.json()["data"]["references"]] == [
        key["refId"] for key in keys
    ]
    assert cost(response)[0] == 1
    assert api.data(NODES, ids=["Workflow:limits-none"] * 100) == {"nodes": [None] * 100}


@pytest.mark.parametrize(
    ("literal", "type_", "message"),
    [
        ('events(after: "no") { cursor }', "EventCursor", "event cursor"),
        ("events(after: 5) { cursor }", "EventCursor", "event cursor"),
        (
            'instances(filter: {createdAt: {from: "today"}}) { nodes { id } }',
            "DateTime",
            "RFC 3339",
        ),
        (
            'instances(filter: {createdAt: {to: "2026-02-30T00:00:00Z"}}) { nodes { id } }',
            "DateTime",
            "RFC 3339",
        ),
        (
            'instances(filter: {updatedAt: {to: "2026-02-01T00:00:00"}}) { nodes { id } }',
            "DateTime",
            "RFC 3339",
        ),
        ("instances(filter: {stalledFor: -1}) { nodes { id } }", "Duration", "milliseconds"),
        ("instances(filter: {stalledFor: 1.5}) { nodes { id } }", "Duration", "milliseconds"),
        ('instances(filter: {stalledFor: "1"}) { nodes { id } }', "Duration", "milliseconds"),
        (
            "instances(filter: {stalledFor: 9007199254740992}) { nodes { id } }",
            "Duration",
            "milliseconds",
        ),
    ],
)
def test_a_bad_literal_of_a_scalar_is_reported_with_its_place(
    api: Api, literal: str, type_: str, message: str
) -> None:
    error = api.error(f"{{ {literal} }}")
    assert error["extensions"]["code"] == "INVALID_DOCUMENT"
    assert type_ in error["message"]
    assert message in error["message"]
    assert error["locations"][0]["line"] == 1


@pytest.mark.parametrize(
    ("filter_", "path"),
    [
        ({"createdAt": {"from": "today"}}, ".createdAt.from"),
        ({"completedAt": {"to": 1}}, ".completedAt.to"),
        ({"stalledFor": 2**53}, ".stalledFor"),
        ({"stalledFor": True}, ".stalledFor"),
        ({"status": ["DONE"]}, ".status[0]"),
        ({"workflow": [None]}, ".workflow[0]"),
        ({"no": 1}, "'no'"),
    ],
)
def test_a_bad_variable_is_reported_with_its_path(
    api: Api, filter_: dict[str, Any], path: str
) -> None:
    error = api.error(FILTERED, filter=filter_)
    assert error["extensions"]["code"] == "INVALID_DOCUMENT"
    assert path in error["message"]
    assert "$filter" in error["message"]


def test_a_mutation_takes_100_updates_and_no_more(api: Api) -> None:
    updates = [
        {"instance": {"instanceId": f"limits-{n}", "workflow": "limits", "metadata": {"n": n}}}
        for n in range(101)
    ]
    refused = api.ask(TRACK, updates=updates)
    assert refused.json()["data"]["track"]["__typename"] == "InvalidInput"
    assert refused.json()["data"]["track"]["path"] == ["updates"]
    assert ran_no_sql(refused)
    taken = api.ask(TRACK, updates=updates[:100])
    assert taken.json()["data"]["track"] == {"__typename": "TrackPayload"}
    assert cost(taken)[0] == 1


def test_a_mutation_takes_100_starts_and_no_more(api: Api) -> None:
    inputs = [{"workflow": "limits-starts", "instanceId": f"limits-s-{n}"} for n in range(101)]
    refused = api.ask(START, inputs=inputs)
    error = only_error(refused)
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "argument": "inputs"}
    assert error["path"] == ["startWorkflows"]
    assert ran_no_sql(refused)
    taken = api.ask(START, inputs=inputs[:100])
    assert taken.json()["data"]["startWorkflows"] == [{"__typename": "InstancePayload"}] * 100
    assert cost(taken)[0] == 1
