"""After any sequence of updates, counters, attempts, ends and log agree with the rows."""

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
_STATUSES = st.sampled_from(sorted(InstanceStatus)).map(str)
_STEP_STATUSES = st.sampled_from(sorted(StepStatus)).map(str)
_OUTPUTS = st.sampled_from((None, 1, {"a": "b"}))


def _some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


_INSTANCE = _some(
    workflow=_WORKFLOWS,
    status=_STATUSES,
    output=_OUTPUTS,
    metadata=_OUTPUTS,
    error=st.sampled_from((None, {"message": "x"})),
    reference=st.sampled_from((None, {"refType": "t", "refId": "1"})),
    sleepUntil=st.sampled_from((None, "2030-01-01T00:00:00Z")),
)
_STEP = _some(
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


class Tracking(RuleBasedStateMachine):
    """Random mutations on two instances."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = Writer(engine=RecordingEngine("w", "v"))

    def _check(self, result: Any, state: Any, head: int) -> None:
        """Fail if there is a change without an event, or an event without a change."""
        changed = self.writer.state() != state
        assert changed == (self.writer.head() != head), (result, self.writer.events(head))
        refused = result["__typename"] in ("IllegalTransition", "InvalidInput", "NotFound")
        assert not (changed and refused), result

    def _mutate(self, name: str, *values: Any, **given: Any) -> None:
        state, head = self.writer.state(), self.writer.head()
        self._check(getattr(self.writer, name)(*values, **given), state, head)

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

    @rule(action=st.sampled_from(("pause", "resume", "terminate", "restart")), instance_id=_IDS)
    def act(self, action: str, instance_id: str) -> None:
        self._mutate("act", action, instance_id)

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
    def what_has_ended_has_no_open_steps(self) -> None:
        rows = self.writer.database.rows
        ended = f"SELECT id FROM instances WHERE status IN {in_list(sorted(TERMINAL))}"
        open_ = "status IN ('PENDING','RUNNING','RETRYING')"
        assert rows(f"SELECT name FROM steps WHERE {open_} AND instance IN ({ended})") == []
        running = f"a.status='RUNNING' AND s.instance IN ({ended})"
        assert rows(f"SELECT 1 FROM attempts a JOIN steps s ON s.id=a.step WHERE {running}") == []
        cancelled = f"status='CANCELLED' AND instance NOT IN ({ended})"
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
             WHERE e.instance=s.instance AND e.step=s.name AND e.attempt=a.number
             AND e.type LIKE 'ATTEMPT%' AND e.id>coalesce((SELECT max(r.id) FROM events r
               WHERE r.instance=s.instance AND r.type='INSTANCE_RESTARTED'),0)) AS seen
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
