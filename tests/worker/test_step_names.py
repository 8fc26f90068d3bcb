"""Names of steps: any text, several times in a run, and each is found again."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.names import step_name
from tests.worker.raw_socket import RawSocket

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.api import Api

MAX_NAME, MAX_OCCURRENCE = 256, 1_000_000
STEP = """mutation($input: UpdateWorkflowStepInput!) {
  answer: updateWorkflowStep(input: $input) {
    __typename
    ... on StepPayload { step { id name occurrence index status output } }
    ... on InvalidInput { path } ... on Error { code message }
  }
}"""
TRACK = """mutation($updates: [TrackingUpdate!]!) {
  track(updates: $updates) { __typename ... on Error { message } }
}"""
FIND = """query($id: String!, $name: String!, $occurrence: Int!) {
  instance(instanceId: $id) {
    step(name: $name, occurrence: $occurrence) { id name occurrence output }
  }
}"""
SHOW = """query($id: String!) {
  instance(instanceId: $id) {
    steps { id name occurrence index status output }
    events(first: 1000) { events { type step { name occurrence } attempt } }
  }
}"""
# Stored as they are: between 1 and 256 characters without control characters.
ORDINARY = {
    "one character": "s",
    "a space": " ",
    "spaces around": "  load  ",
    "a literal occurrence": "load (2)",
    "a literal checksum": step_name(""),
    "an apostrophe": "it's",
    "quotes": '"load"',
    "a parameter": "?1",
    "a format": "%s %Q",
    "a wildcard": "%_*",
    "a prototype": "__proto__",
    "null": "null",
    "a key": '["load",1]',
    "an emoji": "👩‍👩‍👧‍👦",
    "right to left": "\u202eabc",
    "a line separator": "a\u2028b",
    "a byte order mark": "\ufeffa",
    "a no-break space": "\u00a0",
    "256 characters": "x" * MAX_NAME,
    "256 emoji": "👪" * MAX_NAME,
}
# Stored in a readable form with a checksum.
REWRITTEN = {
    "nothing": "",
    "257 characters": "x" * (MAX_NAME + 1),
    "257 other characters": "x" * MAX_NAME + "y",
    "10,000 emoji": "👪" * 10_000,
    "a line feed": "load\nrows",
    "a tab": "load\trows",
    "NUL": "load\x00rows",
    "DEL": "load\x7frows",
    "a NUL alone": "\x00",
    "a line feed alone": "\n",
    "a high surrogate": "\ud800",
    "a low surrogate": "\udc00",
    "surrogates in the wrong order": "\udc00\ud800",
    "a surrogate in a name": "load\ud800rows",
    "controls around": "\r\nload\r\n",
}


@pytest.fixture
def instance_id(api: Api) -> str:
    """The id of a running instance that only this test uses."""
    made = f"steps-{uuid.uuid4()}"
    create = """mutation($input: UpdateWorkflowInstanceInput!) {
      updateWorkflowInstance(input: $input) { __typename }
    }"""
    given = {"workflow": "steps", "instanceId": made, "status": "RUNNING"}
    api.data(create, input=given)
    return made


def send(api: Api, query: str, **variables: Any) -> Any:
    """`data` of an operation whose variables may contain lone surrogates, as escape sequences."""
    response = api.request(
        "POST",
        content=json.dumps({"query": query, "variables": variables}),
        headers={"content-type": "application/json"},
    )
    body = response.json()
    assert "errors" not in body, response.text[:1000]
    return body["data"]


def report(api: Api, instance_id: str, name: str, **given: Any) -> Any:
    """The result of a report on a step."""
    value = {"instanceId": instance_id, "name": name, "status": "COMPLETED", **given}
    return send(api, STEP, input=value)["answer"]


def find(api: Api, instance_id: str, name: str, occurrence: int = 1) -> Any:
    """`step(name:, occurrence:)`."""
    found = send(api, FIND, id=instance_id, name=name, occurrence=occurrence)
    return found["instance"]["step"]


def steps(api: Api, instance_id: str) -> list[Any]:
    """The steps in the order of execution."""
    found = send(api, SHOW, id=instance_id)["instance"]["steps"]
    assert isinstance(found, list)
    return found


def test_a_name_may_occur_several_times(api: Api, instance_id: str) -> None:
    for occurrence in (1, 2, 3):
        of = {"occurrence": occurrence} if occurrence > 1 else {}
        report(api, instance_id, "load", status="RUNNING", **of)
        report(api, instance_id, "load", output=occurrence, **of)
    found = send(api, SHOW, id=instance_id)["instance"]
    assert [(s["name"], s["occurrence"], s["index"], s["output"]) for s in found["steps"]] == [
        ("load", n, n, n) for n in (1, 2, 3)
    ]
    assert len({step["id"] for step in found["steps"]}) == 3
    events = [
        (event["type"], event["step"], event["attempt"])
        for event in found["events"]["events"]
        if event["step"]
    ]
    assert events == [
        (type_, {"name": "load", "occurrence": n}, attempt)
        for n in (1, 2, 3)
        for type_, attempt in (
            ("STEP_STARTED", None),
            ("ATTEMPT_STARTED", 1),
            ("STEP_COMPLETED", 1),
        )
    ]
    for n in (1, 2, 3):
        assert find(api, instance_id, "load", n)["output"] == n
    assert find(api, instance_id, "load", 4) is None
    by_default = (
        'query($id: String!) { instance(instanceId: $id) { step(name: "load") { output } } }'
    )
    assert send(api, by_default, id=instance_id)["instance"]["step"] == {"output": 1}


def test_occurrences_may_be_reported_in_any_order_and_in_one_batch(
    api: Api, instance_id: str
) -> None:
    of = {"instanceId": instance_id, "name": "load", "status": "COMPLETED"}
    updates = [{"step": {**of, "occurrence": n, "output": n}} for n in (3, MAX_OCCURRENCE, 1, 2)]
    assert send(api, TRACK, updates=updates)["track"]["__typename"] == "TrackPayload"
    again = send(api, SHOW, id=instance_id)
    assert send(api, TRACK, updates=updates)["track"]["__typename"] == "TrackPayload"
    assert send(api, SHOW, id=instance_id) == again
    for n in (1, 2, 3, MAX_OCCURRENCE):
        assert find(api, instance_id, "load", n)["output"] == n


@pytest.mark.parametrize("occurrence", [0, -1, MAX_OCCURRENCE + 1])
def test_an_occurrence_out_of_bounds_is_invalid(
    api: Api, instance_id: str, occurrence: int
) -> None:
    answer = report(api, instance_id, "load", occurrence=occurrence)
    assert (answer["__typename"], answer["path"]) == ("InvalidInput", ["input", "occurrence"])
    refused = api.ask(FIND, id=instance_id, name="load", occurrence=occurrence)
    [error] = refused.json()["errors"]
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "argument": "occurrence"}
    assert steps(api, instance_id) == []


def test_a_refusal_names_the_occurrence(api: Api, instance_id: str) -> None:
    for n in (1, 2):
        report(api, instance_id, "load", occurrence=n)
    first = report(api, instance_id, "load", status="FAILED")
    second = report(api, instance_id, "load", occurrence=2, status="FAILED")
    assert first["code"] == second["code"] == "ILLEGAL_TRANSITION"
    assert "occurrence" not in first["message"]
    assert "'load' (occurrence 2)" in second["message"]


def test_a_name_that_looks_like_an_occurrence_is_another_step(api: Api, instance_id: str) -> None:
    report(api, instance_id, "load", output="first")
    report(api, instance_id, "load", occurrence=2, output="second")
    report(api, instance_id, "load (2)", output="literal")
    report(api, instance_id, "load (2)", occurrence=2, output="second literal")
    assert [find(api, instance_id, *key)["output"] for key in (
        ("load", 1), ("load", 2), ("load (2)", 1), ("load (2)", 2)
    )] == ["first", "second", "literal", "second literal"]  # fmt: skip
    assert len(steps(api, instance_id)) == 4


@pytest.mark.parametrize("case", ORDINARY)
def test_an_ordinary_name_is_returned_as_given(api: Api, instance_id: str, case: str) -> None:
    name = ORDINARY[case]
    step = report(api, instance_id, name, output=case)["step"]
    assert step["name"] == name
    assert find(api, instance_id, name)["id"] == step["id"]


@pytest.mark.parametrize("case", REWRITTEN)
def test_any_other_name_is_stored_in_a_readable_form(api: Api, instance_id: str, case: str) -> None:
    name = REWRITTEN[case]
    step = report(api, instance_id, name, output=case)["step"]
    stored = step["name"]
    assert stored != name
    assert 1 <= len(stored) <= MAX_NAME
    assert re.search(r"~[0-9a-f]{8}$", stored)
    assert not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", stored)
    # The readable part of the name is kept.
    readable = [word for word in re.split(r"[^ -~]+", name) if word]
    assert all(word[: MAX_NAME - 9] in stored for word in readable)
    # It is found by the name as it was given, and as it is stored.
    assert find(api, instance_id, name)["id"] == step["id"]
    assert find(api, instance_id, stored)["id"] == step["id"]
    # A repeated report finds it, too.
    assert report(api, instance_id, name)["step"]["id"] == step["id"]
    assert [found["output"] for found in steps(api, instance_id)] == [case]


def test_all_names_are_different_steps_of_one_run(
    api: Api, server: LocalServer, instance_id: str
) -> None:
    names = {**ORDINARY, **REWRITTEN}
    # It is the stored form of "", and would be that step.
    del names["a literal checksum"]
    updates = [
        {
            "step": {
                "instanceId": instance_id,
                "name": name,
                "occurrence": occurrence,
                "status": "COMPLETED",
                "output": [case, occurrence],
            }
        }
        for case, name in names.items()
        for occurrence in (1, 2)
    ]
    assert send(api, TRACK, updates=updates)["track"]["__typename"] == "TrackPayload"
    stored = steps(api, instance_id)
    expected = [[case, occurrence] for case in names for occurrence in (1, 2)]
    assert [step["output"] for step in stored] == expected
    for case, name in names.items():
        for occurrence in (1, 2):
            found = find(api, instance_id, name, occurrence)
            assert found["output"] == [case, occurrence]
    ids = [step["id"] for step in stored]
    assert len(set(ids)) == len(ids)
    nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on WorkflowStep { id output } } }"
    found = send(api, nodes, ids=ids)["nodes"]
    assert found == [{"id": step["id"], "output": step["output"]} for step in stored]
    for step in stored:
        key = json.loads(step["id"].partition(":")[2])
        assert key == ["steps", instance_id, 1, step["name"], step["occurrence"]]
    names_of_events = {
        (event["step"]["name"], event["step"]["occurrence"])
        for event in send(api, SHOW, id=instance_id)["instance"]["events"]["events"]
        if event["step"]
    }
    assert names_of_events == {(step["name"], step["occurrence"]) for step in stored}
    with RawSocket(server).init() as socket:
        socket.subscribe("ask", SHOW, variables={"id": instance_id})
        [message] = socket.receive_until(lambda got: len(got) == 1)
        assert message["payload"]["data"]["instance"]["steps"] == stored


def test_names_are_not_normalised(api: Api, instance_id: str) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for name in (composed, decomposed, "Load", "load", "load "):
        report(api, instance_id, name, output=name)
    for name in (composed, decomposed, "Load", "load", "load "):
        assert find(api, instance_id, name)["output"] == name
    assert len(steps(api, instance_id)) == 5


@pytest.mark.parametrize("name", ["\ud800", "", "a\nb"])
def test_a_refusal_quotes_the_stored_name(api: Api, instance_id: str, name: str) -> None:
    stored = report(api, instance_id, name)["step"]["name"]
    refused = report(api, instance_id, name, status="FAILED")
    assert refused["code"] == "ILLEGAL_TRANSITION"
    assert repr(stored) in refused["message"]
