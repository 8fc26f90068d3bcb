"""Instances that are handed over to the follower: by followWorkflow, the first report, and cron."""

from typing import Any

import pytest

from resolvers.access.principals import Restrictions, principal
from resolvers.base import limits
from resolvers.base.vocabulary import InstanceStatus, OutputKind, Scope
from resolvers.engine.reconciliation import reconcile
from resolvers.executing.executor import ExecutionFailed
from resolvers.ports.engine import EngineError, EngineState
from schema.application import Services
from tests.support.client import finished
from tests.support.engines import RecordingEngine
from tests.support.writing import Writer, failure

I = InstanceStatus  # noqa: E741  # as in resolvers/engine/drift.py
REFERENCE = {"refType": "order", "refId": "1"}


class Handover(Writer):
    """Writes, with an engine whose histories of the workflow `w` are followed."""

    def __init__(self, *, follows: bool = True) -> None:
        self.runs = RecordingEngine("w", follows=follows)
        super().__init__(engine=self.runs)

    @property
    def handed_over(self) -> list[tuple[str, str, bool]]:
        """The instances that were handed over since the last call."""
        found, self.runs.handed_over = self.runs.handed_over, []
        return found

    def record(self, instance_id: str = "i", *, behind: bool = False) -> None:
        """Record a part of the history of an instance, or that it cannot be read."""
        behind_since = "2026-01-01T00:00:00.000Z" if behind else None
        self.database.connection.execute(
            "UPDATE instances SET followed='[]',behind_since=? WHERE instance_id=?",
            (behind_since, instance_id),
        )

    def age(self, instance_id: str = "i") -> None:
        """Move the last change of an instance an hour into the past."""
        then = "strftime('%Y-%m-%dT%H:%M:%fZ','now','-1 hour')"
        self.database.connection.execute(
            f"UPDATE instances SET updated_at={then} WHERE instance_id=?", (instance_id,)
        )

    def reconcile(self) -> dict[str, int]:
        return finished(reconcile(self.database, self.runs))


# --- followWorkflow


@pytest.mark.parametrize("status", sorted(set(I) - {I.COMPLETED, I.ERRORED, I.TERMINATED}))
def test_an_unfinished_instance_gets_the_engine_s_status(status: InstanceStatus) -> None:
    writer = Handover()
    writer.runs.states["i"] = EngineState(status)
    instance = writer.follow(reference=REFERENCE, metadata={"a": 1})["instance"]
    assert (instance["status"], instance["following"]) == (status, "NOT_FOLLOWED")
    assert (instance["reference"], instance["metadata"]) == (REFERENCE, {"a": 1})
    assert writer.handed_over == [("w", "i", False)]
    assert writer.runs.calls == []


@pytest.mark.parametrize("follows", [True, False])
def test_a_finished_instance_whose_history_is_gone_gets_the_engine_s_state(follows: bool) -> None:
    writer = Handover(follows=follows)
    writer.runs.states["i"] = EngineState(I.COMPLETED, "[1]", OutputKind.JSON)
    instance = writer.follow()["instance"]
    assert (instance["status"], instance["output"]) == ("COMPLETED", [1])
    assert writer.types() == ["INSTANCE_QUEUED", "INSTANCE_COMPLETED"]
    assert writer.handed_over == ([("w", "i", True)] if follows else [])


def test_a_history_that_is_recorded_in_time_is_not_repaired() -> None:
    writer = Handover()

    async def follow(*_: object, **__: object) -> None:
        changes = "status='ERRORED',error='{}',completed_at='2026-01-01T00:00:00.000Z'"
        writer.database.connection.execute(f"UPDATE instances SET {changes}")

    writer.runs.follow = follow  # type: ignore[method-assign]  # a follower that is quick
    writer.runs.states["i"] = EngineState(I.COMPLETED, "[1]", OutputKind.JSON)
    assert writer.follow()["instance"]["status"] == "ERRORED"


def test_following_again_changes_nothing_but_what_is_given() -> None:
    writer = Handover()
    writer.follow(reference=REFERENCE, metadata={"a": 1})
    writer.record()
    state, head = writer.state(), writer.head()
    writer.runs.states["i"] = EngineState(I.PAUSED)
    again = writer.follow(reference=REFERENCE, metadata=None)["instance"]
    assert (again["status"], again["following"]) == ("RUNNING", "FOLLOWED")
    assert (writer.state(), writer.head()) == (state, head)
    writer.follow(metadata={"b": 2})
    assert writer.read()["metadata"] == {"a": 1, "b": 2}
    assert writer.read()["reference"] == REFERENCE


def test_what_the_engine_does_not_have_is_not_found() -> None:
    writer = Handover()
    writer.runs.states["i"] = EngineState(None)
    result = writer.follow()
    assert (result["__typename"], result["code"]) == ("NotFound", "NOT_FOUND")
    assert "'i' of 'w'" in result["message"]
    writer.runs.states["i"] = EngineError("out of reach")
    result = writer.follow()
    assert (result["__typename"], result["code"]) == ("EngineUnavailable", "ENGINE_UNAVAILABLE")
    assert "out of reach" in result["message"]
    assert writer.state()["instances"] == []
    assert writer.handed_over == []


def test_a_workflow_that_is_not_bound_is_refused_with_suggestions() -> None:
    writer = Handover()
    writer.runs.workflows = frozenset({"order", "other"})
    result = writer.follow(workflow="ordr")
    assert (result["__typename"], result["code"]) == ("UnboundWorkflow", "UNBOUND_WORKFLOW")
    assert result["suggestions"] == ["order"]
    assert "trackOnly" not in result["message"]
    assert writer.runs.status_requests == []


@pytest.mark.parametrize("instance_id", ["", "-a", "a b", "n" * 101])
def test_an_id_that_the_engine_refuses_is_invalid(instance_id: str) -> None:
    writer = Handover()
    assert failure(writer.follow(instance_id)) == ("INVALID_INPUT", "input.instanceId")
    assert writer.runs.status_requests == []


@pytest.mark.parametrize(
    ("restrictions", "given"),
    [
        (Restrictions(workflows=("v",)), {}),
        (Restrictions(instance_id="j"), {}),
        (Restrictions(reference=("order", "1")), {}),
        (Restrictions(reference=("order", "1")), {"reference": REFERENCE}),
    ],
)
def test_a_token_does_not_follow_what_it_may_not_see(
    restrictions: Restrictions, given: dict[str, Any]
) -> None:
    writer = Handover()
    caller = writer.client.as_(principal(Scope.WRITE, restrictions=restrictions))
    caller.services.engine = writer.runs
    with pytest.raises(ExecutionFailed, match="restricted"):
        Writer(caller).follow(**given)
    assert writer.runs.status_requests == []


# --- the first report


def test_the_report_that_creates_an_instance_hands_it_over() -> None:
    writer = Handover()
    writer.create("RUNNING")
    assert writer.handed_over == [("w", "i", False)]
    new = {"instance": {"instanceId": "j", "workflow": "w", "status": "RUNNING"}}
    step = {"step": {"instanceId": "j", "name": "s", "status": "RUNNING"}}
    assert writer.track(new, step)["applied"] == 2
    assert writer.handed_over == [("w", "j", False)]


def test_other_reports_hand_nothing_over() -> None:
    writer = Handover()
    writer.create("RUNNING")
    writer.update("elsewhere", workflow="v", status="RUNNING")
    writer.runs.handed_over = []
    writer.create("SLEEPING")
    writer.update(status="RUNNING")
    writer.step("RUNNING")
    writer.track({"instance": {"instanceId": "i", "workflow": "w", "status": "SLEEPING"}})
    assert writer.update("new", workflow="v", status="QUEUED")["__typename"] == "InstancePayload"
    assert writer.handed_over == []


def test_a_report_is_one_batch_whatever_it_hands_over() -> None:
    writer = Handover()
    writer.create("RUNNING")
    writer.create("SLEEPING")
    assert len(writer.database.batches) == 2
    assert len(writer.database.batches[0]) == len(writer.database.batches[1])


# --- the cron trigger


def test_unfinished_instances_that_are_not_followed_are_handed_over() -> None:
    writer = Handover()
    for name in ("old", "recent", "followed", "behind", "over"):
        writer.create("COMPLETED" if name == "over" else "RUNNING", name)
    for name in ("old", "followed", "behind"):
        writer.age(name)
    writer.record("followed")
    writer.record("behind", behind=True)
    writer.runs.handed_over = []
    assert writer.reconcile() == {}
    assert sorted(writer.handed_over) == [(("w"), n, False) for n in ("behind", "old", "recent")]


def test_what_the_engine_does_not_have_is_not_handed_over() -> None:
    writer = Handover()
    for name, state in (("gone", EngineState(None)), ("failed", EngineError("out of reach"))):
        writer.create("RUNNING", name)
        writer.age(name)
        writer.runs.states[name] = state
    writer.runs.handed_over = []
    assert writer.reconcile() == {"failed": 1}
    assert writer.handed_over == []


@pytest.mark.parametrize("followed", [True, False])
def test_a_difference_is_left_to_the_follower_for_one_run(followed: bool) -> None:
    writer = Handover()
    writer.create("RUNNING")
    if followed:
        writer.record()
    writer.age()
    writer.runs.states["i"] = EngineState(I.COMPLETED, "1", OutputKind.JSON)
    state, head = writer.state(), writer.head()
    writer.runs.handed_over = []
    assert writer.reconcile() == {}
    assert (writer.state(), writer.head()) == (state, head)
    assert writer.read()["following"] == ("BEHIND" if followed else "NOT_FOLLOWED")
    assert writer.handed_over == [("w", "i", False)]
    assert writer.reconcile() == {"repaired": 1}
    assert (writer.read()["status"], writer.read()["output"]) == ("COMPLETED", 1)
    assert writer.handed_over == [("w", "i", False)]


def test_instances_are_behind_once_nothing_is_followed_any_longer() -> None:
    writer = Handover(follows=False)
    for name in ("old", "recent"):
        writer.create("RUNNING", name)
        writer.record(name)
    writer.age("old")
    writer.runs.states["old"] = EngineState(I.PAUSED)
    assert writer.reconcile() == {"repaired": 1}
    read = {name: writer.read(name) for name in ("old", "recent")}
    assert {name: instance["following"] for name, instance in read.items()} == {
        "old": "BEHIND",
        "recent": "BEHIND",
    }
    assert read["old"]["status"] == "PAUSED"


def test_an_instance_whose_history_is_recorded_meanwhile_is_not_behind() -> None:
    writer = Handover()
    writer.create("RUNNING")
    writer.record()
    writer.age()
    writer.runs.states["i"] = EngineState(I.PAUSED)
    statuses = writer.runs.get_statuses

    async def late(instances: Any) -> Any:
        if instances:
            changes = "status='SLEEPING',updated_at='2026-11-01T00:00:00.000Z'"
            writer.database.connection.execute(f"UPDATE instances SET {changes}")
        return await statuses(instances)

    writer.runs.get_statuses = late  # type: ignore[method-assign]  # the follower is quicker
    assert writer.reconcile() == {}
    assert writer.read()["following"] == "FOLLOWED"


def test_a_repeated_page_of_unfollowed_instances_stays_one_batch_more() -> None:
    writer = Handover()
    for number in range(limits.RECONCILE_PAGE):
        writer.create("RUNNING", f"i{number}")
    writer.database.batches.clear()
    writer.runs.handed_over = []
    writer.reconcile()
    assert len(writer.handed_over) == limits.RECONCILE_PAGE
    pages = 3  # one of queued instances, one full, and one behind it
    assert len(writer.database.batches) == 2 * pages


# --- the configuration


@pytest.mark.parametrize(
    ("shards", "follows"), [(1, True), ("2", True), (0, False), (None, False), ("many", False)]
)
def test_nothing_is_followed_without_shards_or_their_binding(shards: object, follows: bool) -> None:
    configuration = {"WORKFLOWS": {"w": "W"}, "FOLLOWER_SHARDS": shards}
    assert Services({**configuration, "FOLLOWER": {}}).engine.follows is follows
    engine = Services(configuration).engine
    assert engine.follows is False
    # Without a command, which this would suspend on.
    finished(engine.follow([("w", "i")]))
