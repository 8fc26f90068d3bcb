"""Retention on SQLite."""

from typing import Any

import pytest

from resolvers.base import limits
from resolvers.writing.retention import REMOVE, remove_expired
from tests.support.client import finished
from tests.support.plans import steps_of
from tests.support.writing import Writer


def keeping(days: int | None = 7) -> Writer:
    """A writer with a workflow `w` of that retention."""
    writer = Writer()
    writer.register("w", retentionDays=days)
    return writer


def ended(
    writer: Writer,
    instance_id: str,
    *,
    days: float,
    status: str = "COMPLETED",
    workflow: str = "w",
) -> None:
    """Create an instance that ended that many days ago."""
    writer.update(instance_id, workflow=workflow, status=status)
    writer.database.connection.execute(
        "UPDATE instances SET completed_at=strftime('%Y-%m-%dT%H:%M:%fZ','now',?)"
        " WHERE instance_id=?",
        (f"-{days} days", instance_id),
    )


def left(writer: Writer) -> set[str]:
    """The ids of the instances that are left."""
    rows = writer.database.rows("SELECT instance_id FROM instances")
    return {instance_id for (instance_id,) in rows}


def run_retention(writer: Writer) -> int:
    """Run the retention once and return the number of batches that removed something."""
    return finished(remove_expired(writer.database))


def test_only_instances_that_ended_before_the_retention_are_removed() -> None:
    writer = keeping(7)
    for status in ("COMPLETED", "ERRORED", "TERMINATED"):
        ended(writer, f"old-{status}", days=7.1, status=status)
        ended(writer, f"new-{status}", days=6.9, status=status)
    writer.create("RUNNING", "running")
    writer.database.connection.execute(
        "UPDATE instances SET created_at='2020-01-01T00:00:00.000Z' WHERE instance_id='running'"
    )
    ended(writer, "elsewhere", days=1_000, workflow="v")
    assert run_retention(writer) == 1
    kept = {"new-COMPLETED", "new-ERRORED", "new-TERMINATED", "running", "elsewhere"}
    assert left(writer) == kept
    assert run_retention(writer) == 0


def test_each_workflow_has_its_own_retention() -> None:
    writer = keeping(7)
    writer.register("v", retentionDays=30)
    for workflow in ("w", "v", "u"):
        ended(writer, workflow, days=10, workflow=workflow)
    run_retention(writer)
    assert left(writer) == {"v", "u"}


def test_without_retention_all_instances_are_kept() -> None:
    writer = keeping(None)
    ended(writer, "i", days=10_000)
    assert run_retention(writer) == 0
    assert left(writer) == {"i"}


def test_steps_attempts_and_events_are_removed_and_counts_stay_correct() -> None:
    writer = keeping(1)
    for name in ("old", "new"):
        writer.create("RUNNING", name)
        writer.step("RETRYING", "a", name, error={"message": "no"})
        writer.step("COMPLETED", "a", name)
        writer.step("RETRYING", "b", name)
        writer.update(name, status="COMPLETED")
    ended(writer, "old", days=2)
    head, count = writer.head(), len(writer.events())
    run_retention(writer)
    assert left(writer) == {"new"}
    kept = writer.state()
    assert (len(kept["steps"]), len(kept["attempts"])) == (2, 3)
    [(orphans,)] = writer.database.rows(
        "SELECT count(*) FROM attempts WHERE step NOT IN (SELECT id FROM steps)"
    )
    assert orphans == 0
    assert len(writer.events()) == count // 2
    assert writer.database.rows(
        "SELECT workflow,status,count FROM status_counts WHERE count>0"
    ) == [("w", "COMPLETED", 1)]
    assert writer.client('{ workflow(name: "w") { statusCounts { status count } } }')["workflow"][
        "statusCounts"
    ] == [{"status": "COMPLETED", "count": 1}]
    assert writer.head() == head


def events(writer: Writer, **variables: Any) -> Any:
    """A page of the log."""
    query = """query ($after: EventCursor) {
      events(first: 100, after: $after) { cursor hasMore events { cursor instance { instanceId } } }
    }"""
    return writer.client(query, **variables)["events"]


def test_cursors_stay_valid_after_their_events_are_removed() -> None:
    writer = keeping(1)
    ended(writer, "a", days=2)
    cursor = events(writer)["cursor"]
    ended(writer, "b", days=2)
    run_retention(writer)
    # The log is empty, and its head stays the same.
    page = events(writer, after=cursor)
    assert (page["events"], page["hasMore"]) == ([], False)
    assert page["cursor"] > cursor
    writer.create("RUNNING", "c")
    [event] = events(writer, after=page["cursor"])["events"]
    assert event["instance"]["instanceId"] == "c"
    assert [e["cursor"] for e in events(writer, after=cursor)["events"]] == [event["cursor"]]


def test_a_restarted_instance_is_kept() -> None:
    writer = keeping(1)
    ended(writer, "i", days=2)
    writer.database.connection.execute("UPDATE instances SET status='QUEUED',completed_at=NULL")
    assert run_retention(writer) == 0
    assert left(writer) == {"i"}


# --- bounds


def test_a_run_removes_a_limited_number_in_several_transactions() -> None:
    writer = keeping(1)
    count = limits.RETENTION_BATCH * limits.RETENTION_BATCHES + 1
    writer.database.connection.execute(
        "INSERT INTO instances (instance_id,workflow,status,created_at,updated_at,completed_at)"
        " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<?-1)"
        " SELECT 'i'||i,'w','COMPLETED',t,t,t FROM n,(SELECT '2020-01-01T00:00:00.000Z' AS t)",
        (count,),
    )
    writer.database.batches.clear()
    assert run_retention(writer) == limits.RETENTION_BATCHES
    assert len(left(writer)) == 1
    assert [len(batch) for batch in writer.database.batches] == [1] * limits.RETENTION_BATCHES
    assert run_retention(writer) == 1
    assert left(writer) == set()


@pytest.mark.parametrize(("steps", "removed"), [(10, 10), (600, 3), (5_000, 1)])
def test_instances_with_many_steps_are_removed_in_smaller_batches(steps: int, removed: int) -> None:
    writer = keeping(1)
    for number in range(10):
        writer.create("RUNNING", f"i{number}")
        writer.step("COMPLETED", "last", f"i{number}", index=steps)
        writer.update(f"i{number}", status="COMPLETED")
        writer.database.connection.execute("UPDATE instances SET completed_at='2020-01-01'")
    finished(writer.database.batch([REMOVE]))
    assert len(left(writer)) == 10 - removed


def test_expired_instances_are_found_by_the_index() -> None:
    plan = steps_of(keeping().database, REMOVE)
    assert any("workflows_retained" in step for step in plan)
    assert any("instances_finished (workflow=? AND completed_at<?)" in step for step in plan)
    assert not any(step.startswith("SCAN instances") for step in plan)
