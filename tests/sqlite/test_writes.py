"""Updates of instances and workflows: the columns they change, and the values they accept."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.client import Client
from tests.support.engines import RecordingEngine
from tests.support.properties import repeatable
from tests.support.writing import Writer, failure

_OLD = "2001-01-01T00:00:00.000Z"


def aged(writer: Writer, *columns: str) -> None:
    """Move instants of the instance into the past, to tell them from new ones."""
    for column in columns:
        writer.database.connection.execute(f"UPDATE instances SET {column}='{_OLD}'")


def test_absent_members_keep_their_values_and_null_clears_them() -> None:
    writer = Writer()
    full: dict[str, Any] = {
        "input": {"a": 1},
        "output": [2],
        "metadata": {"m": 3},
        "error": {"message": "x", "name": "E", "stack": "s"},
        "reference": {"refType": "t", "refId": "r"},
        "sleepUntil": "2030-01-01T00:00:00.000Z",
    }
    writer.create("SLEEPING", **full)
    for name in full:
        before = writer.read()
        cleared: dict[str, Any] = {name: None}
        result = writer.update(**cleared)["instance"]
        assert result[name] is None
        changed = {key for key in before if before[key] != result[key]}
        assert changed - {"updatedAt"} == {name}
        assert writer.types()[-1] == "INSTANCE_UPDATED"
    assert writer.head() == 1 + len(full)
    assert writer.read()["status"] == "SLEEPING"


def test_an_update_that_changes_nothing_keeps_updated_at_and_writes_no_event() -> None:
    writer = Writer()
    writer.create("RUNNING", input={"a": "ü"}, metadata={"m": 1}, error={"message": "x"})
    aged(writer, "updated_at")
    state, head = writer.state(), writer.head()
    unchanging: list[dict[str, Any]] = [
        {},
        {"status": "RUNNING"},
        {"status": None, "workflow": None},
        {"input": {"a": "ü"}, "metadata": {"m": 1}, "error": {"message": "x"}},
        {"output": None, "reference": None, "metadata": {"absent": None}},
        {"workflow": "w"},
    ]
    for same in unchanging:
        assert writer.update(**same)["instance"]["updatedAt"] == _OLD, same
    assert (writer.state(), writer.head()) == (state, head)


def test_an_instance_that_is_not_tracked_needs_its_workflow() -> None:
    writer = Writer()
    assert writer.update("absent", status="RUNNING")["code"] == "NOT_FOUND"
    assert writer.state()["instances"] == []
    assert writer.update("absent", workflow="w")["instance"]["status"] == "QUEUED"


def test_a_new_instance_may_have_all_values_at_once() -> None:
    writer = Writer()
    instance = writer.create("ERRORED", output=1, error={"message": "x"}, metadata={"a": None})
    assert (instance["output"], instance["error"]["name"]) == (1, "Error")
    assert instance["metadata"] == {}
    assert writer.types() == ["INSTANCE_ERRORED"]
    [(data,)] = writer.database.rows("SELECT data FROM events")
    assert json.loads(data) == {"error": {"name": "Error", "message": "x"}}


def test_instants_are_set_once_and_in_order() -> None:
    writer = Writer()
    writer.create("QUEUED")
    aged(writer, "created_at", "updated_at")
    running = writer.update(status="RUNNING")["instance"]
    assert running["createdAt"] == _OLD
    assert running["startedAt"] == running["updatedAt"] > _OLD
    aged(writer, "started_at", "updated_at")
    sleeping = writer.update(status="SLEEPING", sleepUntil="2030-05-06T07:08:09+02:00")["instance"]
    assert sleeping["startedAt"] == _OLD
    assert sleeping["sleepUntil"] == "2030-05-06T05:08:09.000Z"
    assert writer.update(metadata={"a": 1})["instance"]["sleepUntil"] == sleeping["sleepUntil"]
    again = writer.update(status="RUNNING")["instance"]
    assert (again["sleepUntil"], again["startedAt"]) == (None, _OLD)
    done = writer.update(status="COMPLETED")["instance"]
    assert done["completedAt"] == done["updatedAt"] > _OLD
    aged(writer, "completed_at")
    assert writer.update(output=1)["instance"]["completedAt"] == _OLD
    assert writer.update(status="COMPLETED", output=2)["instance"]["completedAt"] == _OLD
    assert writer.types()[-2:] == ["INSTANCE_UPDATED"] * 2


def test_an_instance_that_ends_at_once_has_also_started() -> None:
    writer = Writer()
    writer.create("QUEUED")
    done = writer.update(status="TERMINATED")["instance"]
    assert done["startedAt"] == done["completedAt"]


def test_a_change_of_a_step_sets_updated_at_of_its_instance() -> None:
    writer = Writer()
    writer.create("RUNNING")
    aged(writer, "updated_at")
    writer.step("RUNNING")
    assert writer.read()["updatedAt"] > _OLD
    aged(writer, "updated_at")
    writer.step("RUNNING")
    assert writer.read()["updatedAt"] == _OLD


def test_another_workflow_with_the_same_id_makes_a_second_instance() -> None:
    writer = Writer()
    first = writer.create("RUNNING")
    second = writer.update(workflow="v")["instance"]
    assert (second["workflow"], second["status"]) == ({"name": "v"}, "QUEUED")
    assert writer.read(workflow="w") == first
    assert writer.database.rows("SELECT * FROM status_counts WHERE count>0") == [
        ("v", "QUEUED", 1),
        ("w", "RUNNING", 1),
    ]
    assert [row[0] for row in writer.state()["workflows"]] == ["v", "w"]
    assert writer.types() == ["INSTANCE_STARTED", "INSTANCE_QUEUED"]


def test_registering_again_keeps_absent_values() -> None:
    writer = Writer()
    first = writer.register(description="d\u0001☃", metadata={"a": None}, retentionDays=3)[
        "workflow"
    ]
    assert (first["description"], first["metadata"], first["retentionDays"]) == (
        "d\u0001☃",
        {"a": None},
        3,
    )
    writer.database.connection.execute(f"UPDATE workflows SET updated_at='{_OLD}'")
    assert writer.register()["workflow"] == {**first, "updatedAt": _OLD}
    assert writer.register(retentionDays=3)["workflow"]["updatedAt"] == _OLD
    cleared = writer.register(description=None)["workflow"]
    assert cleared["updatedAt"] > _OLD
    assert {**cleared, "updatedAt": ""} == {**first, "description": None, "updatedAt": ""}
    assert failure(writer.register(retentionDays=0)) == ("INVALID_INPUT", "input.retentionDays")
    assert failure(writer.register(description="d" * 4097)) == (
        "INVALID_INPUT",
        "input.description",
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=()), max_size=3), inner, max_size=3
        )
    ),
    max_leaves=8,
)
_VALUES: list[Any] = [
    2**53 + 1,
    -(10**30),
    1e300,
    -0.0,
    "\u0000\u001f\u007f\u2028",
    "lone \ud800 and \udfff",
    'quotes " \\ / %s ?1 {t}',
    "\U0001f600 ü",
    {"": {"ü\ud800": [None, True, {"k\u0000": []}]}},
    json.loads("[" * 100 + "]" * 100),
]
_EXAMPLES = repeatable(120)


def assert_kept(value: Any) -> None:
    """Fail unless every JSON column returns the value exactly."""
    writer = Writer()
    writer.start(instanceId="i", input=value, metadata=value)
    writer.update(output=value)
    writer.step("COMPLETED", output=value)
    step = writer.client('{ instance(instanceId: "i") { step(name: "s") { output } } }')
    instance = writer.read()
    kept = [instance["input"], instance["metadata"], instance["output"]]
    kept.append(step["instance"]["step"]["output"])
    assert [json.dumps(found) for found in kept] == [json.dumps(value)] * 4


@pytest.mark.parametrize("value", _VALUES, ids=lambda value: ascii(value)[:30])
def test_awkward_json_is_returned_as_it_was_given(value: Any) -> None:
    assert_kept(value)


@_EXAMPLES
@given(JSON)
def test_any_json_is_returned_as_it_was_given(value: Any) -> None:
    assert_kept(value)


def merged(target: Any, patch: Any) -> Any:
    """Merge by the pseudo-code of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@_EXAMPLES
@given(target=JSON, first=JSON, second=JSON)
def test_metadata_is_merged_as_rfc_7396_says(target: Any, first: Any, second: Any) -> None:
    writer = Writer()
    writer.start(instanceId="i", metadata=target)
    expected = target
    for patch in (first, second):
        result = writer.update(metadata=patch)["instance"]["metadata"]
        expected = merged(expected, patch)
        assert json.dumps(result) == json.dumps(expected)


def test_metadata_is_merged_member_by_member() -> None:
    writer = Writer()
    writer.create(metadata={"a": {"b": 1, "c": 2}, "d": None})
    assert writer.update(metadata={"a": {"b": None, "e": {"f": None}}, "g": [None]})["instance"][
        "metadata"
    ] == {"a": {"c": 2, "e": {}}, "g": [None]}


_LIMIT = 512 * 1024


@pytest.mark.parametrize("filler", ["x", "ü", "\u0001"])
def test_a_value_of_512_kib_is_accepted_and_one_byte_more_is_refused(filler: str) -> None:
    writer = Writer()
    size = len(json.dumps(filler, ensure_ascii=False).encode()) - 2
    full = filler * ((_LIMIT - 2) // size)
    full += "x" * (_LIMIT - 2 - size * len(full))
    for name in ("input", "output", "metadata"):
        assert writer.update(workflow="w", **{name: full})["instance"][name] == full
        assert failure(writer.update(**{name: full + "x"})) == (
            "PAYLOAD_TOO_LARGE",
            f"input.{name}",
        )
    assert writer.step("COMPLETED", output=full)["step"]["output"] == full
    assert failure(writer.step("COMPLETED", "t", output=full + "x")) == (
        "PAYLOAD_TOO_LARGE",
        "input.output",
    )
    assert failure(writer.start(input=full + "x")) == ("PAYLOAD_TOO_LARGE", "input.input")
    assert failure(writer.register(metadata=full + "x")) == ("PAYLOAD_TOO_LARGE", "input.metadata")


def test_metadata_that_grows_beyond_the_limit_changes_nothing() -> None:
    writer = Writer()
    writer.create(metadata={"a": "x" * 300_000})
    state = writer.state()
    assert failure(writer.update(metadata={"b": "x" * 300_000}, output=1)) == (
        "PAYLOAD_TOO_LARGE",
        "input.metadata",
    )
    assert writer.state() == state


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    writer = Writer()
    at_the_limit = json.loads("[" * 200 + "]" * 200)
    assert writer.start(input=at_the_limit)["instance"]["input"] == at_the_limit
    for depth in (201, 500):
        value = json.loads("[" * depth + "]" * depth)
        assert failure(writer.start(input=value)) == ("INVALID_INPUT", "input.input")
    assert failure(writer.start(input=[float("inf")])) == ("INVALID_INPUT", "input.input")


def test_long_errors_are_cut_and_stored() -> None:
    writer = Writer()
    error = writer.create(
        "ERRORED",
        error={"name": "N" * 300, "message": "m" * 9000 + "\ud800", "stack": "\u0000" * 40_000},
    )["error"]
    assert [len(error[name]) for name in ("name", "message", "stack")] == [256, 8192, 32768]
    assert error["message"].endswith("m…")
    assert writer.update(error={"message": "\ud800"})["instance"]["error"]["message"] == "\ufffd"


_WRONG_TEXTS = ["", "a\u0000b", "a\nb", "\u007f", "\ud800", "x" * 257]


@pytest.mark.parametrize("text", _WRONG_TEXTS, ids=lambda text: ascii(text)[:12])
def test_invalid_names_are_refused_with_their_path(text: str) -> None:
    writer = Writer()
    writer.create()
    state = writer.state()
    for result, path in (
        (writer.start(text), "input.workflow"),
        (writer.start(instanceId=text), "input.instanceId"),
        (writer.start(reference={"refType": text, "refId": "a"}), "input.reference.refType"),
        (writer.start(reference={"refType": "a", "refId": text}), "input.reference.refId"),
        (writer.update(text, workflow="w"), "input.instanceId"),
        (writer.update(workflow=text), "input.workflow"),
        (writer.step("RUNNING", workflow=text), "input.workflow"),
        (writer.step("RUNNING", instance_id=text), "input.instanceId"),
        (writer.register(text), "input.name"),
    ):
        assert failure(result) == ("INVALID_INPUT", path)
    assert writer.state() == state


@pytest.mark.parametrize("character", ["x", "ü", "\U0001f600"])
def test_names_may_be_as_long_as_the_limits_say(character: str) -> None:
    writer = Writer()
    reference = {"refType": character * 64, "refId": character * 256}
    instance = writer.start(character * 64, instanceId=character * 100, reference=reference)
    assert instance["instance"]["reference"] == reference
    step = writer.step("RUNNING", character * 256, character * 100)["step"]
    assert step["name"] == character * 256
    assert failure(writer.start(character * 65)) == ("INVALID_INPUT", "input.workflow")
    assert failure(writer.start(instanceId=character * 101)) == (
        "INVALID_INPUT",
        "input.instanceId",
    )


def test_a_description_that_is_not_unicode_is_refused() -> None:
    assert failure(Writer().register(description="\ud800")) == (
        "INVALID_INPUT",
        "input.description",
    )


def test_a_mutation_whose_fields_are_all_skipped_answers_an_empty_object() -> None:
    query = """mutation($no: Boolean!) {
      registerWorkflow(input: {name: "w"}) @include(if: $no) { __typename } }"""
    assert Client()(query, no=False) == {}


# --- kinds of outputs


def kinds(writer: Writer, table: str = "instances") -> list[tuple[Any, ...]]:
    return writer.database.rows(f"SELECT output,output_kind FROM {table} ORDER BY 1")


@pytest.mark.parametrize("target", ["instance", "step"])
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({}, (None, None)),
        ({"output": None}, (None, None)),
        ({"output": {"a": 1}}, ('{"a":1}', "JSON")),
        ({"output": {"a": 1}, "outputKind": None}, ('{"a":1}', "JSON")),
        ({"output": None, "outputKind": "JSON"}, (None, "JSON")),
        ({"outputKind": "UNDEFINED"}, (None, "UNDEFINED")),
        ({"output": None, "outputKind": "REDACTED"}, (None, "REDACTED")),
        ({"output": None, "outputKind": "CONVERTED"}, (None, "CONVERTED")),
        ({"output": "1", "outputKind": "CONVERTED"}, ('"1"', "CONVERTED")),
    ],
)
def test_an_output_is_recorded_with_its_kind(
    target: str, given: dict[str, Any], stored: tuple[Any, ...]
) -> None:
    writer = Writer()
    writer.create("RUNNING")
    if target == "step":
        writer.step("COMPLETED", **given)
        assert kinds(writer, "steps") == [stored]
    else:
        writer.update(status="COMPLETED", **given)
        assert kinds(writer) == [stored]
        before = writer.head()
        # A repeated report changes nothing.
        writer.update(status="COMPLETED", **given)
        assert writer.head() == before


def test_an_output_that_must_not_be_there_is_refused() -> None:
    writer = Writer()
    writer.create("RUNNING")
    for kind in ("UNDEFINED", "REDACTED"):
        result = writer.update(output="secret", outputKind=kind)
        assert failure(result) == ("INVALID_INPUT", "input.outputKind")
        result = writer.step("COMPLETED", output=[], outputKind=kind)
        assert failure(result) == ("INVALID_INPUT", "input.outputKind")
    assert kinds(writer) == [(None, None)]


def test_a_step_that_is_redacted_never_gets_an_output() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("RUNNING", outputKind="REDACTED")
    writer.step("COMPLETED", output="[REDACTED]")
    assert kinds(writer, "steps") == [(None, "REDACTED")]


def test_the_kind_stays_with_the_run_that_it_is_of() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING")
    writer.update(status="COMPLETED", output=["1"], outputKind="CONVERTED")
    writer.act("restart")
    query = '{ instance(instanceId: "i") { outputKind runs { number output outputKind } } }'
    assert writer.client(query)["instance"] == {
        "outputKind": None,
        "runs": [
            {"number": 2, "output": None, "outputKind": None},
            {"number": 1, "output": ["1"], "outputKind": "CONVERTED"},
        ],
    }
