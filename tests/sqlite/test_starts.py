"""Starting workflows: an instance id is started once, also after failures."""

import pytest

from tests.support.engines import RecordingEngine
from tests.support.writing import Writer, failure


def test_a_start_records_a_queued_instance_and_registers_its_workflow() -> None:
    writer = Writer()
    result = writer.start(
        "order",
        instanceId="i",
        input={"a": [1]},
        metadata=5,
        reference={"refType": "t", "refId": "1"},
    )
    instance = result["instance"]
    assert instance["status"] == "QUEUED"
    assert instance["workflow"] == {"name": "order"}
    assert (instance["input"], instance["metadata"]) == ({"a": [1]}, 5)
    assert instance["reference"] == {"refType": "t", "refId": "1"}
    assert instance["createdAt"] == instance["updatedAt"]
    assert instance["startedAt"] is instance["completedAt"] is None
    assert writer.events() == [("INSTANCE_QUEUED", "QUEUED", None, None)]
    assert [row[0] for row in writer.state()["workflows"]] == ["order"]


def test_a_repeated_start_returns_the_existing_instance() -> None:
    writer = Writer()
    first = writer.start(instanceId="i", input=1)["instance"]
    writer.update(status="RUNNING")
    state, head = writer.state(), writer.head()
    again = writer.start(instanceId="i", input=2)["instance"]
    assert (again["id"], again["input"], again["status"]) == (first["id"], 1, "RUNNING")
    assert (writer.state(), writer.head()) == (state, head)


def test_a_repeated_start_with_on_conflict_fail_is_a_conflict() -> None:
    writer = Writer()
    assert writer.start(instanceId="i", onConflict="FAIL")["__typename"] == "InstancePayload"
    state = writer.state()
    result = writer.start(instanceId="i", onConflict="FAIL", input="other")
    assert (result["__typename"], result["code"]) == ("InstanceConflict", "CONFLICT")
    assert result["existing"]["instanceId"] == "i"
    assert writer.state() == state


def test_starts_without_an_id_get_different_ids() -> None:
    writer = Writer()
    ids = {writer.start()["instance"]["instanceId"] for _ in range(3)}
    assert len(ids) == 3


def test_each_of_many_starts_has_its_result_in_order() -> None:
    writer = Writer()
    writer.start("a", instanceId="there", input=1)
    results = writer.starts(
        {"workflow": "a", "instanceId": "new"},
        {"workflow": "", "instanceId": "bad"},
        {"workflow": "a", "instanceId": "there"},
        {"workflow": "a", "instanceId": "there", "onConflict": "FAIL"},
        {"workflow": "a", "instanceId": "new", "onConflict": "FAIL"},
        {"workflow": "a", "instanceId": "n" * 101},
    )
    assert [result["__typename"] for result in results] == [
        "InstancePayload",
        "InvalidInput",
        "InstancePayload",
        "InstanceConflict",
        "InstanceConflict",
        "InvalidInput",
    ]
    assert results[2]["instance"]["input"] == 1
    assert failure(results[1]) == ("INVALID_INPUT", "inputs.1.workflow")
    assert failure(results[5]) == ("INVALID_INPUT", "inputs.5.instanceId")
    assert len(writer.state()["instances"]) == 2
    assert writer.starts() == []


def test_only_a_start_of_a_bound_workflow_creates_an_instance_in_the_engine() -> None:
    engine = RecordingEngine("order")
    writer = Writer(engine=engine)
    writer.start("order", instanceId="i-1", input={"ü": None})
    writer.start("other", instanceId="i-2", input=1)
    assert engine.calls == [("create", "order", "i-1", '{"ü":null}')]


def test_a_start_repeated_after_a_failure_of_the_engine_creates_it_again() -> None:
    engine = RecordingEngine("w", failure="out of reach")
    writer = Writer(engine=engine)
    result = writer.start(instanceId="i", input=[1])
    assert (result["__typename"], result["code"]) == ("EngineUnavailable", "ENGINE_UNAVAILABLE")
    assert "out of reach" in result["message"]
    assert writer.read()["status"] == "QUEUED"
    engine.failure = None
    assert writer.start(instanceId="i", input="ignored")["instance"]["input"] == [1]
    assert engine.calls == [("create", "w", "i", "[1]")] * 2
    writer.update(status="RUNNING")
    writer.start(instanceId="i")
    assert len(engine.calls) == 2


@pytest.mark.parametrize("instance_id", ["-a", "a b", "ü", "a.b"])
def test_an_id_that_the_engine_refuses_is_invalid_only_for_bound_workflows(
    instance_id: str,
) -> None:
    engine = RecordingEngine("bound")
    writer = Writer(engine=engine)
    assert failure(writer.start("bound", instanceId=instance_id)) == (
        "INVALID_INPUT",
        "input.instanceId",
    )
    assert writer.start("free", instanceId=instance_id)["instance"]["instanceId"] == instance_id
    assert engine.calls == []


def test_starts_of_one_request_do_not_depend_on_each_other() -> None:
    writer = Writer()
    data = writer.client(
        """mutation { a: startWorkflow(input: {workflow: "w", trackOnly: true}) { __typename }
        b: startWorkflow(input: {workflow: ""}) { ... on InvalidInput {
          code path } }
        c: startWorkflow(input: {workflow: "w", instanceId: "2", trackOnly: true}) {
          ... on InstancePayload { instance { instanceId } } } }"""
    )
    assert data == {
        "a": {"__typename": "InstancePayload"},
        "b": {"code": "INVALID_INPUT", "path": ["input", "workflow"]},
        "c": {"instance": {"instanceId": "2"}},
    }
