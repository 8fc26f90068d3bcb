"""Limits over HTTP: operations and arguments beyond them are refused before any SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from graphql import get_introspection_query

from tests.support.timing import assert_within
from tests.worker.api import cost, only_error, refuse_internals

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
REFUSED = {
    "INVALID_ARGUMENT",
    "INVALID_DOCUMENT",
    "OPERATION_NAME_REQUIRED",
    "OPERATION_TOO_LARGE",
}


def aliased(count: int, field: str = "__typename") -> str:
    return "{ " + " ".join(f"a{n}: {field}" for n in range(count)) + " }"


def deep(levels: int) -> str:
    """An operation with 2 * levels + 2 nested fields."""
    inner = WORKFLOW_OF_LATEST * levels + "id" + " } }" * levels
    return f'{{ instance(instanceId: "limits") {{ {inner} }} }}'


def in_fragments(levels: int) -> str:
    """The same operation as `deep`, with one fragment for each level."""
    fragments = [
        f"fragment F{n} on WorkflowInstance {{ {WORKFLOW_OF_LATEST} ...F{n + 1} }} }} }}"
        for n in range(levels)
    ]
    last = f"fragment F{levels} on WorkflowInstance {{ id }}"
    query = '{ instance(instanceId: "limits") { ...F0 } }'
    return " ".join([query, *fragments, last])


def doubling(levels: int) -> str:
    """Fragments of which each spreads the next one twice."""
    fragments = [f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)]
    return " ".join(["{ ...F0 }", *fragments, f"fragment F{levels} on Query {{ __typename }}"])


def often(times: int) -> str:
    """The same nested fields, repeated in one place."""
    return "{ instances {" + " nodes { id steps { name } }" * times + "} }"


def components(count: int, fields: str) -> str:
    """A fragment for each component, all spread in one place."""
    fragments = [f"fragment C{n} on WorkflowInstance {{ {fields} }}" for n in range(count)]
    spreads = " ".join(f"...C{n}" for n in range(count))
    return " ".join([f'{{ instance(instanceId: "limits") {{ {spreads} }} }}', *fragments])


def introspected(number: int) -> str:
    """A root field with its own alias, a little below the limit."""
    types = " ".join(f"a{n}: name" for n in range(48))
    return f" r{number}: __schema {{ types {{ {types} }} }}"


def json_literal(value: str) -> str:
    """A mutation with a literal of the scalar JSON; its instance does not exist."""
    update = f'{{instanceId: "limits", metadata: {value}}}'
    return f"mutation {{ updateWorkflowInstance(input: {update}) {{ __typename }} }}"


def ran_no_sql(response: httpx.Response) -> bool:
    return "d1-round-trips" not in response.headers or cost(response)[0] == 0


@pytest.mark.parametrize(
    ("limit", "query"),
    [
        ("MAX_DEPTH", deep(7)),
        ("MAX_DEPTH", deep(90)),
        ("MAX_DEPTH", deep(400)),
        ("MAX_DEPTH", in_fragments(7)),
        ("MAX_DEPTH", in_fragments(150)),
        ("MAX_ALIASES", aliased(101)),
        ("MAX_ALIASES", "{ ...F ...F } fragment F on Query " + aliased(51)),
        ("MAX_DOCUMENT_CHARACTERS", "{ __typename }" + " " * 50_000),
        ("MAX_DOCUMENT_CHARACTERS", '{ node(id: "' + "x" * 50_000 + '") { id } }'),
        ("MAX_DOCUMENT_LINES", "{ __typename }" + "\n" * 5_000),
        ("MAX_DOCUMENT_TOKENS", "{" + " __typename" * 3_000 + "}"),
        ("MAX_DOCUMENT_TOKENS", "{ __typename " + "#\n" * 3_001 + "}"),
        ("MAX_FIELDS", "{" + " __typename" * 1_001 + "}"),
        ("MAX_FIELDS", doubling(20)),
        ("MAX_FIELDS", " ".join(f"query Q{n} {{ __typename }}" for n in range(501))),
        ("MAX_OVERLAPPING_FIELDS", "{" + " __typename" * 999 + "}"),
        ("MAX_OVERLAPPING_FIELDS", often(100)),
        ("MAX_OVERLAPPING_FIELDS", components(60, "id status createdAt updatedAt")),
        ("MAX_INTROSPECTED_FIELDS", "{" + introspected(0) + introspected(1) + "}"),
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


def test_a_mutation_that_is_too_large_changes_nothing(api: Api) -> None:
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
        "{" + " __typename" * 141 + "}",
        often(50),
        components(20, "id status createdAt steps { id name status }"),
        components(35, "id status createdAt startedAt updatedAt completedAt duration input output"),
        "{" + introspected(0) + "}",
        get_introspection_query(input_value_deprecation=True),
        # 990 fields.
        aliased(
            30,
            "instances(first: 1) { totalCount nodes { id instanceId status createdAt startedAt"
            " updatedAt completedAt duration error { name message } workflow { name createdAt }"
            " reference { refType refId } steps { id index name kind status duration startedAt"
            " completedAt attempts { number status } output } } }",
        ),
        json_literal("[" * 150 + "]" * 150),
    ],
)
def test_an_operation_at_the_limit_is_answered(api: Api, query: str) -> None:
    response = api.ask(query)
    assert "errors" not in response.json(), response.text[:1000]
    assert response.status_code == 200


def lists(depth: int) -> Any:
    """Nested lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


LONG = "x" * 49_000

# The document, its variables or its input are refused.
HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    "a list of lists": ("{ nodes(ids: " + "[" * 1_400 + "]" * 1_400 + ") { id } }", {}),
    "lists in a list": ("{ nodes(ids: [" + ("[" * 140 + "]" * 140) * 10 + "]) { id } }", {}),
    "an object in objects": (
        "{ stats(filter: " + "{a:" * 900 + "1" + "}" * 900 + ") { total } }",
        {},
    ),
    "an open object": ("{ stats(filter: " + "{a:" * 900, {}),
    "objects in JSON": (json_literal("{a:" * 700 + "1" + "}" * 700), {}),
    "a type of lists": ("query($v: " + "[" * 1_400 + "Int" + "]" * 1_400 + ") { __typename }", {}),
    "a type of some lists": ("query($v: " + "[" * 190 + "Int" + "]" * 190 + ") { __typename }", {}),
    "a default in lists": ("query($v: Int = " + "[" * 190 + "]" * 190 + ") { __typename }", {}),
    "selections": ("{a" * 1_400 + "}" * 1_400, {}),
    "fragments in one another": ("{" + "... {" * 190 + "a" + "}" * 191, {}),
    "directives": ("{ __typename" + " @a" * 1_400 + " }", {}),
    "directives of an operation": ("query" + " @a" * 1_400 + "{ __typename }", {}),
    "a directive again and again": ("{ __typename" + " @skip(if: true)" * 490 + " }", {}),
    "a condition that is none": ('{ __typename @skip(if: "no") @include }', {}),
    "arguments": ("{ stats(" + " ".join(f"a{n}: 1" for n in range(900)) + ") { total } }", {}),
    "an argument again and again": ("{ node(" + "id: 1 " * 900 + ") { id } }", {}),
    "variables": ("query(" + " ".join(f"$v{n}: Int" for n in range(700)) + ") { __typename }", {}),
    "a variable again and again": ("query(" + "$v: Int " * 700 + ") { __typename }", {}),
    "operations": (" ".join(f"query Q{n} {{ __typename }}" for n in range(450)), {}),
    "an operation again and again": ("query Q { __typename } " * 450, {}),
    "anonymous operations": ("{ __typename } " * 450, {}),
    "fragments that nothing spreads": (
        "{ __typename }" + " ".join(f"fragment F{n} on Query {{ __typename }}" for n in range(400)),
        {},
    ),
    "fragments that are not there": ("{" + " ".join(f"...F{n}" for n in range(900)) + "}", {}),
    "fragments in a circle": (
        "{ ...F0 }"
        + "".join(f" fragment F{n} on Query {{ ...F{(n + 1) % 80} }}" for n in range(80)),
        {},
    ),
    "members": (
        "{ stats(filter: {" + " ".join(f"a{n}: 1" for n in range(900)) + "}) { total } }",
        {},
    ),
    "a schema": (" ".join(f"type T{n} {{ a: Int }}" for n in range(350)), {}),
    "a long field": (f"{{ {LONG} }}", {}),
    "a long argument": (f"{{ stats({LONG}: 1) {{ total }} }}", {}),
    "a long type": (f"query($v: {LONG}) {{ __typename }}", {}),
    "a long enum value": (f"{{ stats(filter: {{status: {LONG}}}) {{ total }} }}", {}),
    "a long string": (f'{{ stats(filter: {{stalledFor: "{LONG}"}}) {{ total }} }}', {}),
    "a long key of the answer": (f'{{ {LONG}: node(id: "no") {{ id }} }}', {}),
    "a block of lines": ('{ node(id: """' + " x\n" * 4_900 + '""") { id } }', {}),
    "digits": (f"{{ events(first: {'1' * 49_000}) {{ cursor }} }}", {}),
    "digits of a duration": (f"{{ stats(filter: {{stalledFor: {'1' * 5_000}}}) {{ total }} }}", {}),
    "digits in JSON": (json_literal("1" * 5_000), {}),
    "a number out of range": ("{ stats(filter: {stalledFor: 1e400}) { total } }", {}),
    "a number out of range in JSON": (json_literal("{a: [-1e99999999]}"), {}),
    "half a surrogate pair": ('{ node(id: "\\ud800") { id } }', {}),
    "half a surrogate pair in a name": ("{ \ud800 }", {}),
    "a long escape": ('{ node(id: "\\u{' + "F" * 40_000 + '}") { id } }', {}),
    "lines before the errors": (
        "{" + "\n" * 4_900 + " ".join(f"f{n}" for n in range(99)) + "}",
        {},
    ),
    "ids": (NODES, {"ids": ["Workflow:a"] * 100_000}),
    "ids that are none": (NODES, {"ids": [{}] * 100_000}),
    "keys": (KEYS, {"keys": [REFERENCE] * 40_000}),
    "updates": (TRACK, {"updates": [{"instance": {"instanceId": "limits"}}] * 40_000}),
    "statuses": (FILTERED, {"filter": {"status": ["QUEUED"] * 100_000}}),
    "unknown members": (FILTERED, {"filter": dict.fromkeys(map(str, range(100_000)))}),
    "some unknown members": (FILTERED, {"filter": dict.fromkeys(map(str, range(4_900)))}),
    "long unknown members": (FILTERED, {"filter": {"x" * 90_000 + str(n): 1 for n in range(20)}}),
    "long statuses": (FILTERED, {"filter": {"status": ["\N{GRINNING FACE}" * 5_000] * 20}}),
    "a long instant": (FILTERED, {"filter": {"createdAt": {"from": "x" * 2_000_000}}}),
    "lists in a variable": (FILTERED, {"filter": lists(240)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_operation_is_refused_with_a_short_response(api: Api, name: str) -> None:
    query, variables = HOSTILE[name]
    # As ASCII: half a surrogate pair can only be sent as an escape.
    body = json.dumps({"query": query, "variables": variables})
    response = api.request("POST", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert len(response.content) < 64 * 1024
    answer = response.json()
    if "errors" in answer:
        refuse_internals(response)
        codes = {error["extensions"]["code"] for error in answer["errors"]}
        assert codes <= REFUSED, answer
    else:
        assert answer["data"]["updateWorkflowInstance"]["__typename"] == "InvalidInput"
    # The Worker still answers.
    assert api.data("{ __typename }") == {"__typename": "Query"}


@pytest.mark.parametrize(
    "query",
    [
        "{" + " __typename" * 9_990 + "}",
        often(900),
        # Every operation spreads the same chain of fragments.
        " ".join(f"query Q{n} {{ ...F0 }}" for n in range(330))
        + "".join(f" fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(80))
        + " fragment F80 on Query { __typename }",
        doubling(80),
        "{"
        + " ".join(
            f"a{n}: __schema {{ types {{ fields {{ args {{ name }} }} }} }}" for n in range(49)
        )
        + "}",
    ],
)
def test_an_operation_that_would_take_seconds_is_refused_at_once(api: Api, query: str) -> None:
    def refused() -> None:
        assert only_error(api.ask(query))["extensions"]["code"] == "OPERATION_TOO_LARGE"

    # On an idle machine 10 to 200 ms; without the limits up to 6 s.
    assert_within(1, refused)


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
        ('node(id: "WorkflowStep:[\\"w\\",\\"i\\",0,\\"s\\",1]") { id }', "id"),
        ('node(id: "WorkflowInstance:i") { id }', "id"),
        ('instance(instanceId: "i") { runs(first: 101) { number } }', "first"),
        ('instance(instanceId: "i") { runs(first: -1) { number } }', "first"),
        ('instance(instanceId: "i") { step(name: "s", occurrence: 0) { id } }', "occurrence"),
        ('instance(instanceId: "i") { step(name: "s", run: 0) { id } }', "run"),
        ('instance(instanceId: "i", workflow: "") { id }', "workflow"),
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
        ('events(after: "9999999999999999") { cursor }', "EventCursor", "at most 9007199254740991"),
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
    accepted = api.ask(TRACK, updates=updates[:100])
    assert accepted.json()["data"]["track"] == {"__typename": "TrackPayload"}
    assert cost(accepted)[0] == 1


def test_a_mutation_takes_100_starts_and_no_more(api: Api) -> None:
    given = {"workflow": "limits-starts", "trackOnly": True}
    inputs = [{**given, "instanceId": f"limits-s-{n}"} for n in range(101)]
    refused = api.ask(START, inputs=inputs)
    error = only_error(refused)
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "argument": "inputs"}
    assert error["path"] == ["startWorkflows"]
    assert ran_no_sql(refused)
    accepted = api.ask(START, inputs=inputs[:100])
    assert accepted.json()["data"]["startWorkflows"] == [{"__typename": "InstancePayload"}] * 100
    assert cost(accepted)[0] == 1
