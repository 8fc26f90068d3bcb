"""Reconciliation, on SQLite and with an engine whose answers the test sets."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from resolvers.base import limits
from resolvers.base.vocabulary import InstanceStatus, OutputKind
from resolvers.engine import repairs
from resolvers.engine.drift import Remedy, Tracked, remedy
from resolvers.engine.reconciliation import reconcile
from resolvers.ports.database import Outcome, Statement
from resolvers.ports.engine import EngineError, EngineState
from tests.support.client import finished
from tests.support.d1 import SqliteD1
from tests.support.engines import RecordingEngine
from tests.support.plans import steps_of
from tests.support.writing import Writer

I = InstanceStatus  # noqa: E741  # as in resolvers/engine/drift.py
UNFINISHED = ["QUEUED", "RUNNING", "SLEEPING", "WAITING", "WAITING_FOR_PAUSE", "PAUSED", "UNKNOWN"]


class Tracking(Writer):
    """Writes and reconciles instances of the bound workflow `w`."""

    def __init__(self) -> None:
        self.runs = RecordingEngine("w")
        super().__init__(engine=self.runs)

    def old(self, status: str, instance_id: str = "i", *, hours: float = 1, **given: Any) -> None:
        """Create an instance whose last change is that long ago."""
        self.create(status, instance_id, **given)
        self.age(instance_id, hours=hours)

    def age(self, instance_id: str = "i", *, hours: float = 1) -> None:
        """Move the last change of an instance that far into the past."""
        then = f"strftime('%Y-%m-%dT%H:%M:%fZ','now','-{hours} hours')"
        self.database.connection.execute(
            f"UPDATE instances SET created_at={then},updated_at={then} WHERE instance_id=?",
            (instance_id,),
        )

    def reconcile(self) -> dict[str, int]:
        """Run the reconciliation once and return its counts."""
        return finished(reconcile(self.database, self.runs))

    def data(self, head: int = 0) -> list[Any]:
        """The data of the events after a position."""
        rows = self.database.rows("SELECT data FROM events WHERE id>?1 ORDER BY id", head)
        return [data and json.loads(data) for (data,) in rows]


# --- drift

# The status that each tracked status (the key) gets from each of the engine's; it stays if absent.
TAKEN: dict[str, dict[str, str]] = {
    "QUEUED": {s: s for s in ("RUNNING", "WAITING", "WAITING_FOR_PAUSE", "PAUSED", "UNKNOWN")},
    "RUNNING": {s: s for s in ("WAITING", "WAITING_FOR_PAUSE", "PAUSED", "UNKNOWN")},
    "SLEEPING": {s: s for s in ("WAITING_FOR_PAUSE", "PAUSED", "UNKNOWN")},
    "WAITING": {s: s for s in ("WAITING_FOR_PAUSE", "PAUSED", "UNKNOWN")},
    "WAITING_FOR_PAUSE": {s: s for s in ("RUNNING", "WAITING", "PAUSED", "UNKNOWN")},
    "PAUSED": {s: s for s in ("RUNNING", "WAITING", "UNKNOWN")},
    "UNKNOWN": {s: s for s in ("QUEUED", "RUNNING", "WAITING", "WAITING_FOR_PAUSE", "PAUSED")},
}
ENDS = ("COMPLETED", "ERRORED", "TERMINATED")
ENGINE = [s for s in InstanceStatus if s is not I.SLEEPING]


@pytest.mark.parametrize("engine", ENGINE)
@pytest.mark.parametrize("status", UNFINISHED)
def test_a_drifted_status_is_repaired(status: str, engine: InstanceStatus) -> None:
    tracking = Tracking()
    tracking.old(status)
    tracking.runs.states["i"] = EngineState(engine)
    state, head = tracking.state(), tracking.head()
    done = tracking.reconcile()
    wanted = str(engine) if engine in ENDS else TAKEN[status].get(str(engine))
    if wanted is None:
        assert (tracking.state(), tracking.head(), done) == (state, head, {})
        return
    assert tracking.read()["status"] == wanted
    [(type_, now, _, _)] = tracking.events(head)
    assert now == wanted
    assert type_ != "INSTANCE_RESTARTED"
    [data] = tracking.data(head)
    assert data["reconciled"] is True
    assert done == {"repaired": 1}
    assert tracking.reconcile() == {}


def test_the_output_of_a_completed_instance_is_stored() -> None:
    tracking = Tracking()
    tracking.old("SLEEPING", sleepUntil="2020-01-01T00:00:00Z")
    tracking.runs.states["i"] = EngineState(I.COMPLETED, '{"a":["1"]}', OutputKind.CONVERTED)
    tracking.reconcile()
    instance = tracking.read()
    assert (instance["status"], instance["output"]) == ("COMPLETED", {"a": ["1"]})
    assert kinds(tracking) == [("CONVERTED",)]
    assert instance["sleepUntil"] is None
    assert instance["completedAt"] is not None
    assert tracking.database.rows("SELECT count FROM status_counts WHERE status='COMPLETED'") == [
        (1,)
    ]


def test_a_reported_output_is_kept_where_the_engine_has_none() -> None:
    tracking = Tracking()
    tracking.old("RUNNING", output={"reported": 1})
    tracking.runs.states["i"] = EngineState(I.COMPLETED, "null", OutputKind.UNDEFINED)
    tracking.reconcile()
    assert tracking.read()["output"] == {"reported": 1}
    assert kinds(tracking) == [("JSON",)]


@pytest.mark.parametrize("kind", [OutputKind.UNDEFINED, OutputKind.JSON])
def test_a_result_that_is_null_is_distinguished_from_none(kind: OutputKind) -> None:
    tracking = Tracking()
    tracking.old("RUNNING")
    assert kinds(tracking) == [(None,)]
    tracking.runs.states["i"] = EngineState(I.COMPLETED, "null", kind)
    tracking.reconcile()
    assert tracking.read()["output"] is None
    assert kinds(tracking) == [(str(kind),)]


def kinds(tracking: Tracking) -> list[Any]:
    return tracking.database.rows("SELECT output_kind FROM instances")


def test_the_error_of_an_errored_instance_is_stored() -> None:
    tracking = Tracking()
    tracking.old("RUNNING")
    tracking.runs.states["i"] = EngineState(I.ERRORED, error=("TypeError", "m" * 9_000))
    head = tracking.head()
    tracking.reconcile()
    error = tracking.read()["error"]
    assert (error["name"], len(error["message"])) == ("TypeError", limits.MAX_ERROR_MESSAGE)
    assert tracking.types(head) == ["INSTANCE_ERRORED"]
    [data] = tracking.data(head)
    assert data["error"]["name"] == "TypeError"
    assert data["reconciled"] is True


@pytest.mark.parametrize(("kind", "status"), [("SLEEP", "SLEEPING"), ("WAIT_FOR_EVENT", "WAITING")])
def test_a_waiting_instance_is_sleeping_if_a_sleep_step_is_running(kind: str, status: str) -> None:
    tracking = Tracking()
    tracking.create("RUNNING")
    tracking.step("RUNNING", kind=kind)
    tracking.age()
    tracking.runs.states["i"] = EngineState(I.WAITING)
    tracking.reconcile()
    assert tracking.read()["status"] == status


def test_a_running_instance_stops_sleeping_only_after_its_wake_up_time() -> None:
    tracking = Tracking()
    tracking.old("SLEEPING", "i", sleepUntil="2020-01-01T00:00:00Z")
    tracking.old("SLEEPING", "j", sleepUntil="2100-01-01T00:00:00Z")
    assert tracking.reconcile() == {"repaired": 1}
    assert (tracking.read("i")["status"], tracking.read("j")["status"]) == ("RUNNING", "SLEEPING")


# --- instances that are left alone


def test_recent_finished_and_unbound_instances_are_left_alone() -> None:
    tracking = Tracking()
    tracking.create("RUNNING", "now")
    tracking.old("COMPLETED", "over")
    tracking.update("elsewhere", workflow="v", status="RUNNING")
    tracking.age("elsewhere")
    tracking.old("RUNNING", "asked")
    tracking.reconcile()
    assert tracking.runs.status_requests == [("w", "asked")]


def test_without_a_bound_workflow_the_database_is_left_alone() -> None:
    database = SqliteD1()
    assert finished(reconcile(database, RecordingEngine())) == {}
    assert database.batches == []


class Late(SqliteD1):
    """A database that another write changes between reading and repairing."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.change = change

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        if statements[0].sql.startswith("UPDATE instances"):
            self.connection.execute(self.change)
        return await super().batch(statements, final=final)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE instances SET status='SLEEPING'",
        "UPDATE instances SET updated_at='2026-01-01T00:00:00.000Z'",
        "UPDATE instances SET status='ERRORED',completed_at='2026-01-01T00:00:00.000Z'",
    ],
)
def test_a_report_during_the_reconciliation_takes_precedence(change: str) -> None:
    tracking = Tracking()
    tracking.old("RUNNING")
    tracking.runs.states["i"] = EngineState(I.COMPLETED)
    late = Late(change)
    late.connection = tracking.database.connection
    finished(reconcile(late, tracking.runs))
    [(status, reconciled)] = tracking.database.rows("SELECT status,reconciled_at FROM instances")
    assert status != "COMPLETED"
    assert reconciled is None


# --- lost starts


def test_a_start_that_the_engine_never_got_is_repeated() -> None:
    tracking = Tracking()
    tracking.old("QUEUED", input={"a": 1})
    tracking.runs.states["i"] = EngineState(None)
    head = tracking.head()
    assert tracking.reconcile() == {"started": 1}
    assert tracking.runs.calls == [("create", "w", "i", '{"a":1}')]
    assert (tracking.read()["status"], tracking.head()) == ("QUEUED", head)


def test_a_start_that_the_engine_refuses_is_repeated_until_it_is_a_day_old() -> None:
    tracking = Tracking()
    tracking.old("QUEUED", hours=23.5)
    tracking.runs.states["i"] = EngineState(None)
    tracking.runs.failure = "params too large"
    assert tracking.reconcile() == {"failed": 1}
    assert tracking.read()["status"] == "QUEUED"
    tracking.age(hours=24.5)
    assert tracking.reconcile() == {"failed": 1, "given up": 1}
    instance = tracking.read()
    assert instance["status"] == "ERRORED"
    assert instance["error"]["name"] == "EngineUnavailable"
    assert "params too large" in instance["error"]["message"]
    assert tracking.data()[-1]["reconciled"] is True


def test_an_old_start_that_the_engine_accepts_is_not_given_up() -> None:
    tracking = Tracking()
    tracking.old("QUEUED", hours=48)
    tracking.runs.states["i"] = EngineState(None)
    assert tracking.reconcile() == {"started": 1}
    assert tracking.read()["status"] == "QUEUED"


@pytest.mark.parametrize(
    ("hours", "sleep_until", "status"),
    [
        (23.5, None, "RUNNING"),
        (24.5, None, "ERRORED"),
        (24.5, "2020-01-01T00:00:00Z", "ERRORED"),
        (24.5, "2100-01-01T00:00:00Z", "RUNNING"),
    ],
)
def test_an_instance_unknown_to_the_engine_is_given_up_after_a_day_without_reports(
    hours: float, sleep_until: str | None, status: str
) -> None:
    tracking = Tracking()
    tracking.old("RUNNING", hours=hours, sleepUntil=sleep_until)
    tracking.runs.states["i"] = EngineState(None)
    tracking.reconcile()
    assert tracking.read()["status"] == status
    assert tracking.runs.calls == []


def test_an_engine_that_does_not_answer_changes_nothing() -> None:
    tracking = Tracking()
    for number, status in enumerate(UNFINISHED):
        tracking.old(status, f"i{number}", hours=48)
        tracking.runs.states[f"i{number}"] = EngineError("no answer within 10 seconds")
    state = tracking.state()
    assert tracking.reconcile() == {"failed": len(UNFINISHED)}
    assert (tracking.state(), tracking.runs.calls) == (state, [])


# --- bounds


def test_successive_runs_reach_all_instances() -> None:
    tracking = Tracking()
    count = 2 * limits.RECONCILE_BATCH + 7
    # All have the same time, so that only the id distinguishes their positions.
    tracking.database.connection.execute(
        "INSERT INTO instances (instance_id,workflow,status,created_at,updated_at)"
        " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<?-1)"
        " SELECT 'i'||i,'w',iif(i%2,'RUNNING','WAITING'),'2026-01-01T00:00:00.000Z',"
        "'2026-01-01T00:00:00.000Z' FROM n",
        (count,),
    )
    turns = []
    for _ in range(4):
        tracking.runs.status_requests.clear()
        tracking.reconcile()
        turns.append([instance_id for _, instance_id in tracking.runs.status_requests])
    first, second, third, again = turns
    assert len(first) == len(second) == limits.RECONCILE_BATCH
    assert len({*first, *second, *third}) == len(first) + len(second) + len(third) == count
    assert again == first


def test_starts_do_not_wait_for_all_other_instances() -> None:
    tracking = Tracking()
    for number in range(limits.RECONCILE_PAGE + 1):
        tracking.old("RUNNING", f"i{number}", hours=10)
    tracking.old("QUEUED", "lost", hours=1)
    tracking.runs.states["lost"] = EngineState(None)
    tracking.reconcile()
    assert tracking.runs.status_requests[0] == ("w", "lost")


def test_a_repair_that_fails_does_not_stop_the_others() -> None:
    tracking = Tracking()
    for name in ("a", "b"):
        tracking.old("RUNNING", name)
        tracking.runs.states[name] = EngineState(I.COMPLETED)
    tracking.database.connection.execute(
        "CREATE TRIGGER broken BEFORE UPDATE OF status ON instances WHEN NEW.instance_id='a'"
        " BEGIN SELECT RAISE(ABORT,'broken'); END"
    )
    tracking.reconcile()
    assert (tracking.read("a")["status"], tracking.read("b")["status"]) == ("RUNNING", "COMPLETED")


def test_a_page_is_found_by_the_index() -> None:
    tracking = Tracking()
    for lane in repairs.LANES:
        steps = steps_of(tracking.database, repairs.page(lane, ["w", "v"]))
        [seek] = [s for s in steps if "instances" in s]
        assert "instances_by_workflow_status (workflow=? AND status=? AND" in seek
        # The order of a page is that of the index, so it reads no other rows.
        assert sum("TEMP B-TREE" in s for s in steps) == 1


def test_a_recent_instance_needs_no_remedy() -> None:
    tracked = Tracked(
        id=1,
        workflow="w",
        instance_id="i",
        status=I.RUNNING,
        updated_at="2026-01-01T00:00:00.000Z",
        recent=True,
    )
    assert remedy(tracked, EngineState(I.COMPLETED)) is Remedy.NONE
