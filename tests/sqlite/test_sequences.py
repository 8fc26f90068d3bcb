"""After any sequence of updates, counters, runs, attempts, ends and log agree with the rows."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resolvers.base.transitions import TERMINAL
from resolvers.base.vocabulary import InstanceStatus, StepKind, StepStatus
from resolvers.ports.sql import in_list
from tests.support.engines import RecordingEngine
from tests.support.properties import repeatable
from tests.support.writing import Writer

_IDS = st.sampled_from(("i", "j"))
_WORKFLOWS = st.sampled_from(("w", "v"))
_ANY_WORKFLOW = st.sampled_from((None, "w", "v"))
_RUNS = st.sampled_from((None, 1, 1, 2, 3))
_STATUSES = st.sampled_from(sorted(InstanceStatus)).map(str)
_STEP_STATUSES = st.sampled_from(sorted(StepStatus)).map(str)
_OUTPUTS = st.sampled_from((None, 1, {"a": "b"}))


def _some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


_INSTANCE = _some(
    workflow=_ANY_WORKFLOW,
    run=_RUNS,
    status=_STATUSES,
    output=_OUTPUTS,
    metadata=_OUTPUTS,
    error=st.sampled_from((None, {"message": "x"})),
    reference=st.sampled_from((None, {"refType": "t", "refId": "1"})),
    sleepUntil=st.sampled_from((None, "2030-01-01T00:00:00Z")),
)
_STEP = _some(
    workflow=_ANY_WORKFLOW,
    run=_RUNS,
    occurrence=st.integers(1, 2),
    attempt=st.integers(1, 4),
    index=st.integers(1, 4),
    kind=st.sampled_from(sorted(StepKind)).map(str),
    output=_OUTPUTS,
    error=st.just({"message": "y"}),
    retryAt=st.just("2030-01-01T00:00:00Z"),
)
_UPDATES = st.one_of(
    st.builds(lambda i, given: {"instance": {"instanceId": i, **given}}, _IDS, _INSTANCE),
    st.builds(
        lambda i, name, status, given: {
            "step": {"instanceId": i, "name": name, "status": status, **given}
        },
        _IDS,
        st.sampled_from("ab"),
        _STEP_STATUSES,
        _STEP,
    ),
)


_REFUSALS = {"IllegalTransition", "InvalidInput", "NotFound", "AmbiguousInstance", "RunMismatch"}
# The rows of earlier runs.
_HISTORY = (
    "SELECT instance,run,status,output,error,started_at,completed_at FROM runs",
    "SELECT s.* FROM steps s JOIN instances i ON i.id=s.instance AND s.run<i.run",
    """SELECT a.* FROM attempts a JOIN steps s ON s.id=a.step
       JOIN instances i ON i.id=s.instance AND s.run<i.run""",
)


class Tracking(RuleBasedStateMachine):
    """Random mutations on the instances of two workflows with two ids."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = Writer(engine=RecordingEngine("w", "v"))

    def _check(self, result: Any, state: Any, head: int) -> None:
        """Fail if there is a change without an event, or an event without a change."""
        changed = self.writer.state() != state
        assert changed == (self.writer.head() != head), (result, self.writer.events(head))
        assert not (changed and result["__typename"] in _REFUSALS), result
        named = result["__typename"] == "AmbiguousInstance" and [
            instance["workflow"]["name"] for instance in result["instances"]
        ]
        assert named in (False, ["v", "w"]), result

    def _history(self) -> list[set[tuple[Any, ...]]]:
        return [set(self.writer.database.rows(sql)) for sql in _HISTORY]

    def _mutate(self, name: str, *values: Any, **given: Any) -> None:
        state, head, history = self.writer.state(), self.writer.head(), self._history()
        result = getattr(self.writer, name)(*values, **given)
        self._check(result, state, head)
        for before, after in zip(history, self._history(), strict=True):
            assert before <= after, "an earlier run has changed"
            if name != "act":
                assert before == after

    @rule(workflow=_WORKFLOWS, instance_id=_IDS, status=_STATUSES)
    def create(self, workflow: str, instance_id: str, status: str) -> None:
        self._mutate("update", instance_id, workflow=workflow, status=status)

    @rule(workflow=_WORKFLOWS, instance_id=_IDS)
    def start(self, workflow: str, instance_id: str) -> None:
        self._mutate("start", workflow, instanceId=instance_id)

    @rule(instance_id=_IDS, given=_INSTANCE)
    def update(self, instance_id: str, given: dict[str, Any]) -> None:
        self._mutate("update", instance_id, **given)

    @rule(
        instance_id=_IDS,
        name=st.sampled_from("ab"),
        statuses=st.lists(_STEP_STATUSES, min_size=1, max_size=3),
        given=_STEP,
    )
    def step(self, instance_id: str, name: str, statuses: list[str], given: dict[str, Any]) -> None:
        for status in statuses:
            self._mutate("step", status, name, instance_id, **given)

    @rule(updates=st.lists(_UPDATES, max_size=4))
    def track(self, updates: list[dict[str, Any]]) -> None:
        state, head = self.writer.state(), self.writer.head()
        result = self.writer.track(*updates)
        self._check(result, state, head)
        if result["__typename"] == "TrackPayload":
            assert (result["applied"] > 0) == (self.writer.head() > head)
            assert result["cursor"] == f"{self.writer.head():016}"

    @rule(
        action=st.sampled_from(("pause", "resume", "terminate", "restart", "restart")),
        instance_id=_IDS,
        workflow=_ANY_WORKFLOW,
    )
    def act(self, action: str, instance_id: str, workflow: str | None) -> None:
        self._mutate("act", action, instance_id, workflow=workflow)

    @rule(instance_id=_IDS)
    def remove(self, instance_id: str) -> None:
        """Delete a finished instance, as retention does."""
        self.writer.database.connection.execute(
            "DELETE FROM instances WHERE instance_id=? AND completed_at IS NOT NULL", (instance_id,)
        )

    @invariant()
    def counters_are_what_counting_would_give(self) -> None:
        rows = self.writer.database.rows
        counted = "SELECT workflow,status,count(*) FROM instances GROUP BY 1,2 ORDER BY 1,2"
        kept = "SELECT workflow,status,count FROM status_counts WHERE count>0 ORDER BY 1,2"
        assert rows(kept) == rows(counted)
        retrying = """SELECT i.instance_id FROM instances i WHERE i.retrying_steps IS NOT
          (SELECT count(*) FROM steps s WHERE s.instance=i.id AND s.status='RETRYING')"""
        assert rows(retrying) == []

    @invariant()
    def the_last_event_of_an_instance_has_its_status(self) -> None:
        differing = """SELECT i.instance_id,i.status FROM instances i WHERE i.status IS NOT
          (SELECT e.status FROM events e WHERE e.instance=i.id ORDER BY e.id DESC LIMIT 1)"""
        assert self.writer.database.rows(differing) == []
        ended = tuple(sorted(TERMINAL))
        for status, finished in self.writer.database.rows(
            "SELECT status,completed_at IS NOT NULL FROM instances"
        ):
            assert bool(finished) == (status in ended)

    @invariant()
    def the_runs_before_the_current_one_are_kept(self) -> None:
        for first, last, count, current in self.writer.database.rows(
            "SELECT min(r.run),max(r.run),count(*),i.run FROM runs r"
            " JOIN instances i ON i.id=r.instance GROUP BY i.id"
        ):
            assert (last, count) == (current - 1, current - first)
        later = "SELECT 1 FROM steps s JOIN instances i ON i.id=s.instance AND s.run>i.run"
        assert self.writer.database.rows(later) == []

    @invariant()
    def a_run_that_has_ended_has_no_open_steps(self) -> None:
        rows = self.writer.database.rows
        ended = f"""SELECT s.id FROM steps s JOIN instances i ON i.id=s.instance
          WHERE s.run<i.run OR i.status IN {in_list(sorted(TERMINAL))}"""
        open_ = "status IN ('PENDING','RUNNING','RETRYING')"
        assert rows(f"SELECT name FROM steps WHERE {open_} AND id IN ({ended})") == []
        running = f"SELECT 1 FROM attempts WHERE status='RUNNING' AND step IN ({ended})"
        assert rows(running) == []
        cancelled = f"status='CANCELLED' AND id NOT IN ({ended})"
        assert rows(f"SELECT name FROM steps WHERE {cancelled}") == []
        assert rows("SELECT name FROM steps WHERE status<>'RETRYING' AND next_retry_at>''") == []

    @invariant()
    def only_the_last_attempt_of_a_step_may_be_under_way(self) -> None:
        for step, status, current in self.writer.database.rows(
            "SELECT id,status,attempt FROM steps"
        ):
            attempts = self.writer.database.rows(
                "SELECT number,status FROM attempts WHERE step=?1 ORDER BY number", step
            )
            assert [number for number, _ in attempts] == list(range(1, current + 1))
            assert all(state == "FAILED" for _, state in attempts[:-1]), attempts
            if current:
                ends = {
                    "RUNNING": ["RUNNING"],
                    "COMPLETED": ["COMPLETED"],
                    # A step that waited for its next attempt has a failed one.
                    "CANCELLED": ["CANCELLED", "FAILED"],
                }
                assert attempts[-1][1] in ends.get(status, ["FAILED"]), (status, attempts)

    @invariant()
    def the_log_has_the_start_and_the_failure_of_every_attempt(self) -> None:
        """An attempt that was never reported is not in the log, unless its failure came late."""
        rows = """SELECT s.name,a.number,a.status,a.started_at IS NULL,a.error IS NULL,
            (SELECT group_concat(e.type) FROM events e JOIN instances i ON i.id=e.instance
             WHERE e.instance=s.instance AND e.run=s.run AND e.step=s.name
             AND e.occurrence=s.occurrence AND e.attempt=a.number
             AND e.type LIKE 'ATTEMPT%') AS seen
          FROM attempts a JOIN steps s ON s.id=a.step"""
        for *_, status, unreported, lacks_error, seen in self.writer.database.rows(rows):
            events = seen.split(",") if seen else []
            if unreported:
                assert events == ([] if lacks_error else ["ATTEMPT_FAILED"])
                continue
            failures = events.count("ATTEMPT_FAILED")
            assert events == ["ATTEMPT_STARTED"] + ["ATTEMPT_FAILED"] * failures
            # A second one has the error of an attempt that was overtaken before.
            assert failures in ((0,) if status != "FAILED" else (1,) if lacks_error else (1, 2))


TestTracking = Tracking.TestCase
TestTracking.settings = repeatable(150, steps=30)
