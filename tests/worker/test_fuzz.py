"""Random requests get GraphQL responses; nothing internal is shown, no failure is logged."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType
from hypothesis import event, given
from hypothesis import strategies as st

from schema.build import core
from tests.support.properties import repeatable
from tests.worker.api import JSON, RESPONSE_JSON, refuse_internals

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from scripts.local_server import LocalServer
    from tests.worker.api import Api

FUZZ = repeatable(400)

OPERATIONS = [
    "query($id: ID!) { node(id: $id) { id ... on WorkflowStep { name } } }",
    "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
    "query($name: String!) { workflow(name: $name) { statusCounts { status count } } }",
    "query($i: String!, $w: String, $s: String!, $o: Int!, $r: Int, $n: Int)"
    " { instance(instanceId: $i, workflow: $w) { step(name: $s, occurrence: $o, run: $r) { id }"
    " runs(first: $n) { number steps { id } } } }",
    "query($s: String, $n: Int, $a: String) { workflows(search: $s, first: $n, after: $a)"
    " { nodes { name } pageInfo { endCursor hasNextPage } } }",
    "query($filter: InstanceFilter, $orderBy: InstanceOrder, $first: Int, $after: String,"
    " $last: Int, $before: String) { instances(filter: $filter, orderBy: $orderBy, first: $first,"
    " after: $after, last: $last, before: $before) { totalCount nodes { id } pageInfo"
    " { hasNextPage hasPreviousPage startCursor endCursor } } }",
    "query($type: String!, $id: String!) { reference(refType: $type, refId: $id) { id"
    " instances { totalCount } } }",
    "query($keys: [ReferenceInput!]!) { references(keys: $keys) { id latestInstance { id } } }",
    "query($filter: InstanceFilter, $n: Int!) { stats(filter: $filter) { total durationP95"
    " timeline(slices: $n) { from started } } }",
    "query($filter: EventFilter, $first: Int, $after: EventCursor) { events(filter: $filter,"
    " first: $first, after: $after) { cursor hasMore events { type data } } }",
    "mutation($input: StartWorkflowInput!) { startWorkflow(input: $input) { __typename"
    " ... on InvalidInput { path message code } ... on InstancePayload { instance { input } } } }",
    "mutation($inputs: [StartWorkflowInput!]!) { startWorkflows(inputs: $inputs) { __typename } }",
    "mutation($input: UpdateWorkflowInstanceInput!) { updateWorkflowInstance(input: $input)"
    " { __typename ... on InstancePayload { instance { metadata error { stack } } } } }",
    "mutation($input: UpdateWorkflowStepInput!) { updateWorkflowStep(input: $input)"
    " { __typename ... on StepPayload { step { output attempts { number } } } } }",
    "mutation($updates: [TrackingUpdate!]!) { track(updates: $updates) { __typename } }",
    "mutation($input: RegisterWorkflowInput!) { registerWorkflow(input: $input) { __typename } }",
    "mutation($input: InstanceActionInput!) { pauseWorkflow(input: $input) { __typename } }",
    "mutation($input: InstanceActionInput!) { restartWorkflow(input: $input) { __typename } }",
    "mutation($input: SendWorkflowEventInput!) { sendWorkflowEvent(input: $input) { __typename } }",
    "mutation($input: CreateAccessTokenInput!) { createAccessToken(input: $input) { __typename } }",
]

TEXTS = st.one_of(
    st.sampled_from([
        "fuzz", "fuzz-1", "fuzz-2", "order-processing", "RUNNING", "COMPLETED", "RETRYING", "ASC",
        "Workflow:fuzz", 'WorkflowInstance:["fuzz","fuzz-1"]', "0000000000000001",
        'WorkflowStep:["fuzz","fuzz-1",1,"a",1]', 'Reference:["a","b"]',
        "C2026-01-01T00:00:00.000Z,1", "Nfuzz", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59", "\x00", "\ud800", "é☃\U0001f600", "x" * 300, "'\"\\;--", "%_*",
    ]),
    st.text(st.characters(exclude_categories=()), max_size=20),
)  # fmt: skip
INTEGERS = st.one_of(st.integers(0, 100), st.sampled_from([-1, 101, 2**31, 2**53, 2**63]))
INSTANTS = st.sampled_from(
    ["2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026"]
)
NUMBERS = st.one_of(
    st.integers(-2, 102),
    st.sampled_from(
        [2**31, -(2**31) - 1, 2**53, 2**63, 2**64, 10**30, 10**400, 1e308, -0.5, 5e-324]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def object_of(type_: GraphQLInputObjectType) -> st.SearchStrategy[Any]:
    """Values of an input object, most of them valid."""

    def later(name: str) -> st.SearchStrategy[Any]:
        return st.deferred(lambda: value_of(name))

    members = {name: later(str(member.type)) for name, member in type_.fields.items()}
    if type_.is_one_of:
        return st.one_of(*(st.fixed_dictionaries({name: members[name]}) for name in members))
    required = {name for name in members if str(type_.fields[name].type).endswith("!")}
    return st.fixed_dictionaries(
        {name: members[name] for name in required},
        optional={name: members[name] for name in members if name not in required},
    )


def value_of(type_name: str) -> st.SearchStrategy[Any]:
    """Values of the type, sometimes any JSON."""
    if type_name.endswith("!"):
        return value_of(type_name[:-1])
    fitting = fitting_value(type_name)
    return st.integers(0, 15).flatmap(lambda chance: ANYTHING if chance == 15 else fitting)


def fitting_value(type_name: str) -> st.SearchStrategy[Any]:
    """Values of a nullable type with the right shape."""
    if type_name.startswith("["):
        return st.lists(value_of(type_name[1:-1]), max_size=4)
    type_ = core.type_map[type_name]
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from(sorted(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        return object_of(type_)
    by_scalar = {"Int": INTEGERS, "Duration": INTEGERS, "Boolean": st.booleans(), "JSON": ANYTHING}
    return by_scalar.get(type_name, INSTANTS if type_name == "DateTime" else TEXTS)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """One of the operations with random variables."""
    query = draw(st.sampled_from(OPERATIONS))
    declared = query[query.index("(") + 1 : query.index(") {")]
    variables = {}
    for part in declared.split(", $"):
        name, _, type_ = part.lstrip("$").partition(": ")
        if draw(st.integers(0, 9)) != 9 or type_.endswith("!"):
            variables[name] = draw(value_of(type_))
    return {"query": query, "variables": variables}


WORDS = sorted(
    {
        *(name for type_ in core.type_map.values() for name in getattr(type_, "fields", ())),
        *(name for name in core.type_map if not name.startswith("__")),
        *re.split(" ", "query mutation subscription fragment on true null __typename __schema"),
        *re.split(
            " ", r'{ } ( ) [ ] : ! $ @ = | & ... # , 1 -1 1.5 1e999 " """ "a" \ $a @skip(if:$a)'
        ),
        "{ instances { nodes { id } } }",
        "\n",
        "\x00",
    }
)


def check(response: httpx.Response) -> None:
    """Fail unless a response has data or errors, an expected status and nothing internal."""
    assert response.status_code in (200, 400, 401, 403, 405), response.text[:2000]
    refuse_internals(response)
    body = response.json()
    assert "data" in body or body["errors"], body
    event("refused" if "errors" in body else f"answered {str(body['data'])[:40]}")
    for error in body.get("errors", ()):
        assert error["extensions"]["code"] not in ("INTERNAL", ""), body


@pytest.fixture(scope="module")
def quiet(server: LocalServer) -> Iterator[LocalServer]:
    """The server; fail if it logs an unexpected failure while this module runs."""
    before = server.log.count("Unexpected failure")
    yield server
    assert server.log.count("Unexpected failure") == before, server.log[-8000:]


@FUZZ
@given(request=requests())
def test_any_variables_are_answered(quiet: LocalServer, api: Api, request: dict[str, Any]) -> None:
    content = json.dumps(request).encode()
    headers = {"content-type": JSON, "accept": RESPONSE_JSON}
    check(api.request("POST", content=content, headers=headers))


@FUZZ
@given(words=st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_document_is_answered(quiet: LocalServer, api: Api, words: list[str]) -> None:
    check(api.post({"query": " ".join(words), "variables": {"a": True}}))


@FUZZ
@given(content=st.one_of(st.binary(max_size=200), ANYTHING.map(json.dumps).map(str.encode)))
def test_any_body_is_answered(quiet: LocalServer, api: Api, content: bytes) -> None:
    check(api.request("POST", content=content, headers={"content-type": JSON}))


@FUZZ
@given(parameters=st.dictionaries(
    st.sampled_from(["query", "variables", "operationName", "extensions", "x"]),
    st.one_of(TEXTS.filter(lambda text: "\ud800" not in text and text.isprintable()),
              ANYTHING.map(json.dumps), st.sampled_from(OPERATIONS)),
))  # fmt: skip
def test_any_query_string_is_answered(
    quiet: LocalServer, api: Api, parameters: dict[str, str]
) -> None:
    check(api.request("GET", params=parameters))
