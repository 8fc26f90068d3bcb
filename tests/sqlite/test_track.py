"""Batches of updates are applied as a whole or not at all."""

from tests.support.writing import Writer, failure


def instance(instance_id: str = "i", **given: object) -> dict[str, object]:
    """An update of an instance."""
    return {"instance": {"instanceId": instance_id, **given}}


def step(
    status: str, name: str = "s", instance_id: str = "i", **given: object
) -> dict[str, object]:
    """An update of a step."""
    return {"step": {"instanceId": instance_id, "name": name, "status": status, **given}}


def test_updates_are_applied_in_order_and_counted() -> None:
    writer = Writer()
    result = writer.track(
        instance(workflow="w", status="RUNNING"),
        step("RUNNING"),
        step("COMPLETED", output=1),
        step("COMPLETED"),
        instance(status="COMPLETED", output={"done": True}),
        instance(status="COMPLETED"),
    )
    assert result == {
        "__typename": "TrackPayload",
        "applied": 4,
        "followed": False,
        "cursor": f"{writer.head():016}",
    }
    assert writer.types() == [
        "INSTANCE_STARTED",
        "STEP_STARTED",
        "ATTEMPT_STARTED",
        "STEP_COMPLETED",
        "INSTANCE_COMPLETED",
    ]
    assert writer.read()["output"] == {"done": True}


def test_the_next_page_of_the_log_begins_after_the_cursor() -> None:
    writer = Writer()
    cursor = writer.track(instance(workflow="w"))["cursor"]
    writer.update(status="RUNNING")
    page = writer.client(
        "query ($c: EventCursor) { events(after: $c) { events { type } } }", c=cursor
    )
    assert page == {"events": {"events": [{"type": "INSTANCE_STARTED"}]}}


def test_a_batch_with_a_refused_update_changes_nothing() -> None:
    writer = Writer()
    writer.create("COMPLETED")
    state, head = writer.state(), writer.head()
    good = (instance("new", workflow="v", status="RUNNING"), step("RUNNING", instance_id="new"))
    illegal = writer.track(*good, instance(status="RUNNING"))
    assert (illegal["__typename"], illegal["from"], illegal["to"]) == (
        "IllegalTransition",
        "COMPLETED",
        "RUNNING",
    )
    missing = writer.track(*good, step("RUNNING", instance_id="absent"))
    assert (missing["__typename"], missing["code"]) == ("NotFound", "NOT_FOUND")
    assert "absent" in missing["message"]
    invalid = writer.track(*good, step("RUNNING", index=0))
    assert failure(invalid) == ("INVALID_INPUT", "updates.2.step.index")
    refused = writer.track(
        *good, step("RUNNING", "a", "new", index=5), step("RUNNING", "b", "new", index=5)
    )
    assert failure(refused) == ("INVALID_INPUT", "updates.3.step.index")
    assert (writer.state(), writer.head()) == (state, head)


def test_the_path_names_the_refused_update_at_any_index() -> None:
    writer = Writer()
    writer.create("RUNNING", metadata={"kept": "x" * 500_000})
    writer.step("RUNNING", "first", index=3)
    ends = step("RUNNING", "last")
    fillers = [instance(f"f{n}", workflow="w") for n in range(37)]
    refused = writer.track(*fillers, step("RUNNING", "second", index=3), ends)
    assert failure(refused) == ("INVALID_INPUT", "updates.37.step.index")
    merged = writer.track(*fillers, instance(metadata={"more": "x" * 30_000}), ends)
    assert failure(merged) == ("PAYLOAD_TOO_LARGE", "updates.37.instance.metadata")
    assert writer.track(*fillers, ends)["applied"] == 38


def test_an_empty_batch_returns_the_head_of_the_log() -> None:
    writer = Writer()
    assert writer.track() == {
        "__typename": "TrackPayload",
        "applied": 0,
        "followed": False,
        "cursor": "0" * 16,
    }
    writer.create()
    assert writer.track()["cursor"] == f"{1:016}"


def test_a_batch_of_100_updates_is_accepted_and_one_more_refused() -> None:
    writer = Writer()
    updates = [instance(f"i{n}", workflow="w") for n in range(100)]
    assert writer.track(*updates)["applied"] == 100
    assert failure(writer.track(*updates, updates[0])) == ("INVALID_INPUT", "updates")


def test_an_update_of_a_new_instance_without_a_workflow_is_not_found() -> None:
    writer = Writer()
    assert writer.track(instance("new", status="RUNNING"))["code"] == "NOT_FOUND"
