"""Values are returned as they were stored: any text and number, up to the limits of size."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.api import Api, code, only_error
from tests.worker.test_main_job import INSTANCE, START, STEP, UPDATE

if TYPE_CHECKING:
    from scripts.local_server import LocalServer

MAX_JSON_BYTES = 512 * 1024
D1_MAX_STRING_BYTES = 2_000_000

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**53 + 1,
    -(2**63),
    2**64,
    10**30,
    0.1,
    -1.5e-7,
    1e308,
    5e-324,
    "",
    "plain",
    "ünïcödé ☃ \U0001f600 \U0010ffff é",
    "'; DROP TABLE instances; --",
    "quotes \" and \\ and / and ' and `",
    "control \x00 \x01 \x08 \t \n \r \x1f \x7f \x85 \u2028 \u2029 \ufeff",
    "%s {0} ?1 $name :x @y [z]",
    "x" * 10_000,
    [],
    {},
    [None, [None], {"a": None}],
    {"a": {"b": {"c": [1, {"d": None}]}}, "A": 1, "_": "x"},
    [[[[[[[[[[1]]]]]]]]]],
]


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def literal(value: Any) -> str:
    """A GraphQL literal of a JSON value whose keys are names."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


@pytest.fixture
def instance_id(api: Api) -> str:
    """An instance that only this test uses."""
    made = f"values-{uuid.uuid4()}"
    api.data(START, input={"workflow": "values", "instanceId": made, "trackOnly": True})
    return made


def stored(api: Api, instance_id: str) -> dict[str, Any]:
    found = api.data(INSTANCE, id=instance_id)["instance"]
    assert isinstance(found, dict)
    return found


def text_of(size: int) -> str:
    """A string whose JSON text has exactly `size` bytes, many of them in pairs."""
    return "é" * ((size - 2) // 2) + "x" * (size % 2)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: json.dumps(value)[:30])
def test_a_value_is_returned_as_it_was_given_by_variable_or_literal(
    api: Api, instance_id: str, value: Any
) -> None:
    given = {"instanceId": instance_id, "input": value, "output": value}
    api.data(UPDATE, input=given)
    found = stored(api, instance_id)
    assert json.dumps([found["input"], found["output"]]) == json.dumps([value, value])
    other = f"{instance_id}-literal"
    api.data(
        f'mutation {{ startWorkflow(input: {{workflow: "values", instanceId: "{other}",'
        f" trackOnly: true, input: {literal(value)}}}) {{ __typename }} }}"
    )
    assert json.dumps(stored(api, other)["input"]) == json.dumps(value)


@pytest.mark.parametrize(
    "key", ["", " ", "é", "a.b", "$.x", '"', "\\", "\x00", "__proto__", "constructor", "1"]
)
def test_the_keys_of_an_object_keep_their_order(api: Api, instance_id: str, key: str) -> None:
    value = {"z": 1, key: {key: [key]}, "a": 2}
    api.data(UPDATE, input={"instanceId": instance_id, "input": value, "metadata": value})
    found = stored(api, instance_id)
    assert json.dumps(found["input"]) == json.dumps(value)
    assert found["metadata"] == value


def test_a_variable_inside_a_literal_is_its_value(api: Api, instance_id: str) -> None:
    """A variable without a value leaves out its member, and is null in a list."""
    query = """mutation($id: String!, $a: JSON, $none: JSON) {
      updateWorkflowInstance(
        input: {instanceId: $id, input: {a: $a, b: [$a, $none], c: $none, d: {e: [[$none]]}}}
      ) { __typename }
    }"""
    api.data(query, id=instance_id, a={"x": [1]})
    expected = {"a": {"x": [1]}, "b": [{"x": [1]}, None], "d": {"e": [[None]]}}
    assert stored(api, instance_id)["input"] == expected


@pytest.mark.parametrize(
    "text",
    [
        "ünï ☃ \U0001f600",
        "quotes \" ' ` \\",
        "a/b?c=d&e#f",
        " leading and trailing ",
        "%_*",
        "x" * 64,
    ],
)
def test_names_are_returned_as_given_and_found(api: Api, text: str) -> None:
    unique = str(uuid.uuid4())
    reference = {"refType": text, "refId": f"{text} {unique}"}
    given = {"workflow": text, "instanceId": f"{unique} {text}"[:100], "reference": reference}
    api.data(START, input={**given, "trackOnly": True})
    step = {"instanceId": given["instanceId"], "name": text, "status": "RUNNING"}
    api.data(STEP, input=step)
    found = api.data(
        """query($ref: ReferenceInput!, $workflow: String!, $id: String!, $step: String!) {
          references(keys: [$ref]) { refType refId latestInstance { id instanceId } }
          workflow(name: $workflow) { id name }
          instance(instanceId: $id) { step(name: $step) { id name } }
          instances(filter: {search: $id}) { nodes { instanceId } }
        }""",
        ref=reference,
        workflow=text,
        id=given["instanceId"],
        step=text,
    )
    [by_reference] = found["references"]
    assert (by_reference["refType"], by_reference["refId"]) == (text, reference["refId"])
    assert by_reference["latestInstance"]["instanceId"] == given["instanceId"]
    assert found["workflow"]["name"] == text
    assert found["instance"]["step"]["name"] == text
    assert found["instances"]["nodes"] == [{"instanceId": given["instanceId"]}]
    ids = [
        found["workflow"]["id"],
        by_reference["latestInstance"]["id"],
        found["instance"]["step"]["id"],
    ]
    again = api.data("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    assert [node["id"] for node in again["nodes"]] == ids


@pytest.mark.parametrize("bad", ["", "\x00", "a\nb", "\x7f", "\ud800", "x" * 101])
def test_an_invalid_id_is_refused_with_its_path(api: Api, bad: str) -> None:
    response = api.request(
        "POST",
        content=json.dumps(
            {
                "query": START.replace("... on Error", "... on InvalidInput { path } ... on Error"),
                "variables": {"input": {"workflow": "values", "instanceId": bad}},
            }
        ),
        headers={"content-type": "application/json"},
    )
    answer = response.json()["data"]["startWorkflow"]
    assert (answer["__typename"], answer["code"]) == ("InvalidInput", "INVALID_INPUT")
    assert answer["path"] == ["input", "instanceId"]


@pytest.mark.parametrize("field", ["input", "output", "metadata"])
def test_512_kib_of_json_are_accepted_and_a_byte_more_is_refused(
    api: Api, instance_id: str, field: str
) -> None:
    def wrapped(size: int) -> Any:
        # Metadata is merged, so it is an object: {"k":…} around the text.
        return {"k": text_of(size - 6)} if field == "metadata" else text_of(size)

    for size in (MAX_JSON_BYTES, MAX_JSON_BYTES + 1):
        value = wrapped(size)
        assert len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) == size
        answer = api.data(UPDATE, input={"instanceId": instance_id, field: value})
        if size > MAX_JSON_BYTES:
            assert answer["updateWorkflowInstance"] == {
                "__typename": "InvalidInput",
                "code": "PAYLOAD_TOO_LARGE",
                "path": ["input", field],
            }
    assert stored(api, instance_id)[field] == wrapped(MAX_JSON_BYTES)


def test_metadata_cannot_grow_over_the_limit_by_merging(api: Api, instance_id: str) -> None:
    half = "x" * (MAX_JSON_BYTES // 2)
    api.data(UPDATE, input={"instanceId": instance_id, "metadata": {"a": half}})
    grown = api.data(UPDATE, input={"instanceId": instance_id, "metadata": {"b": half}})
    assert grown["updateWorkflowInstance"] == {
        "__typename": "InvalidInput",
        "code": "PAYLOAD_TOO_LARGE",
        "path": ["input", "metadata"],
    }
    assert stored(api, instance_id)["metadata"] == {"a": half}


def test_a_steps_output_has_the_same_limit(api: Api, instance_id: str) -> None:
    step = {"instanceId": instance_id, "name": "s", "status": "COMPLETED"}
    refused = api.data(STEP, input={**step, "output": text_of(MAX_JSON_BYTES + 1)})
    assert refused["updateWorkflowStep"] == {
        "__typename": "InvalidInput",
        "code": "PAYLOAD_TOO_LARGE",
        "path": ["input", "output"],
    }
    value = text_of(MAX_JSON_BYTES)
    accepted = api.data(STEP, input={**step, "output": value})
    assert accepted["updateWorkflowStep"]["step"]["output"] == value


@pytest.mark.parametrize("levels", [200, 201])
def test_json_of_200_levels_is_accepted_and_one_more_is_refused(
    api: Api, instance_id: str, levels: int
) -> None:
    answer = api.data(UPDATE, input={"instanceId": instance_id, "input": deep(levels)})
    kind = answer["updateWorkflowInstance"]["__typename"]
    assert kind == ("InstancePayload" if levels == 200 else "InvalidInput")
    expected = deep(levels) if levels == 200 else None
    assert stored(api, instance_id)["input"] == expected


def test_a_field_over_2_mb_is_refused_with_the_name_of_the_limit(
    api: Api, server: LocalServer, instance_id: str
) -> None:
    """A string in D1 has at most 2 MB, so 50 outputs of 512 KiB do not fit into one."""
    for number in range(50):
        step = {"instanceId": instance_id, "name": f"s{number}", "status": "COMPLETED"}
        api.data(
            STEP.replace(" output }", " }"),
            input={**step, "output": "x" * (MAX_JSON_BYTES - 2)},
        )
    query = "query($id: String!) { instance(instanceId: $id) { steps { name output } } }"
    response = api.ask(query, id=instance_id)
    error = only_error(response)
    assert (response.status_code, code(response)) == (200, "RESULT_TOO_LARGE")
    assert "D1_MAX_STRING_BYTES" in error["message"]
    assert response.json()["data"] is None
    names = api.data(query.replace(" output", ""), id=instance_id)["instance"]["steps"]
    assert len(names) == 50
    step_query = 'query($id: String!) { instance(instanceId: $id) { step(name: "s7") { output } } }'
    one = api.data(step_query, id=instance_id)["instance"]["step"]
    assert one["output"] == "x" * (MAX_JSON_BYTES - 2)
    several = " ".join(
        f'a{n}: instance(instanceId: "{instance_id}") {{ step(name: "s{n}") {{ output }} }}'
        for n in range(7)
    )
    # The limit applies to each root field.
    assert len(api.ask(f"{{ {several} }}").content) > 1.5 * D1_MAX_STRING_BYTES


def test_the_limit_of_a_field_counts_bytes(api: Api, instance_id: str) -> None:
    for number in range(4):
        step = {"instanceId": instance_id, "name": f"s{number}", "status": "COMPLETED"}
        # 480,000 bytes, half as many characters.
        api.data(STEP.replace(" output }", " }"), input={**step, "output": "é" * 240_000})
    query = "query($id: String!) { instance(instanceId: $id) { steps { output } } }"
    steps = api.data(query, id=instance_id)["instance"]["steps"]
    assert [len(step["output"]) for step in steps] == [240_000] * 4
    extra = {"instanceId": instance_id, "name": "extra", "status": "COMPLETED"}
    api.data(STEP.replace(" output }", " }"), input={**extra, "output": "é" * 60_000})
    assert code(api.ask(query, id=instance_id)) == "RESULT_TOO_LARGE"
