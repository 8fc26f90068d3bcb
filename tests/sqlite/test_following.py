"""A history, in whatever parts it is read, becomes the same rows once."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import pytest

from resolvers.base import limits
from resolvers.base.json_text import encode
from resolvers.base.scrubbing import Scrubber
from resolvers.base.vocabulary import InstanceStatus, StepKind
from resolvers.following.follower import Follower
from resolvers.following.history import instant, parse_event
from resolvers.following.translation import Open, status_of
from resolvers.ports.database import DatabaseError
from tests.support.client import finished
from tests.support.d1 import SqliteD1
from tests.support.engines import RecordingEngine
from tests.support.writing import Writer

NOW_MS = 1_800_000_000_000
KEY = ("w", "i")
ENDED = {"due": NOW_MS + limits.FOLLOW_FIRST_LOOK_MS}
CONFIG = {"config": {"retries": {"limit": 3, "delay": "2 seconds", "backoff": "linear"}}}

Event: TypeAlias = dict[str, Any]
Line: TypeAlias = tuple[str, str, dict[str, Any]]
"""Type and step of an event, and what else it has."""


class History:
    """Builds a history, one event after the other, a millisecond apart."""

    def __init__(self, begins_ms: int = NOW_MS) -> None:
        self.events: list[Event] = []
        self._now_ms = begins_ms
        for type_ in ("workflow_queued", "workflow_started", "workflow_running"):
            self.add(type_)

    @classmethod
    def of(cls, events: list[Event], *, begins_ms: int = NOW_MS) -> History:
        """A history with these events, which goes on at a time."""
        history = cls(begins_ms)
        history.events = list(events)
        return history

    def add(self, type_: str, step: str | None = None, **more: Any) -> History:
        """Append an event."""
        named = {} if step is None else {"step": step}
        if "value" in more:
            more.setdefault("kind", "JSON")
        number = self.events[-1]["id"] + 1 if self.events else 1
        event = {"id": number, "at": self._now_ms, "type": type_, **named, **more}
        self.events.append(event)
        self._now_ms += 1
        return self

    def task(self, step: str, failures: int = 0) -> History:
        """Append a task that succeeds after some failures."""
        self.add("step_started", step, details=CONFIG)
        for attempt in range(1, failures + 1):
            self.add("attempt_started", step, attempt=attempt)
            error, details = ("TypeError", f"no {attempt}"), {"retryDelayMs": 50}
            self.add("attempt_errored", step, attempt=attempt, error=error, details=details)
        self.add("attempt_started", step, attempt=failures + 1)
        self.add("attempt_completed", step, attempt=failures + 1)
        return self.add("step_completed", step, value='"done"')

    @property
    def began_ms(self) -> int | None:
        """The time at which the run of this history began."""
        return next((e["at"] for e in self.events if e["type"] == "workflow_running"), None)

    def end(self, type_: str = "workflow_completed", **more: Any) -> History:
        return self.add(type_, **more)


def work(follower: Follower, job: dict[str, Any]) -> dict[str, Any]:
    """Do one job, and return its course."""
    [course] = finished(follower.work([job], now_ms=NOW_MS))
    return course


def part(
    reading: int, events: list[Event], *, began: int | None = None, is_over: bool = False
) -> dict[str, Any]:
    """The job that records a part."""
    return {"record": reading, "events": encode(events), "began": began, "isOver": is_over}


def journey() -> History:
    """A history with every kind of step."""
    history = History().task("pack-1").task("pack-2", failures=2)
    history.add("sleep_started", "nap-1", details={"durationMs": 5_000})
    history.add("sleep_completed", "nap-1")
    history.add("wait_started", "hear-1", details={"eventType": "go"})
    history.add("step_started", "beside-1", details=CONFIG)
    history.add("attempt_started", "beside-1", attempt=1)
    history.add("wait_timed_out", "hear-1")
    history.add("attempt_errored", "beside-1", attempt=1, error=("E", "last"))
    history.add("step_errored", "beside-1", error=("E", "last"))
    history.add("step_started", "open-1").add("attempt_started", "open-1", attempt=1)
    return history.end(value='{"all":1}')


class Recording:
    """An instance on a database of its own, and what follows it."""

    def __init__(self, database: SqliteD1 | None = None) -> None:
        self.writer = Writer(engine=RecordingEngine("w"))
        self.database = self.writer.database
        self.writer.start(instanceId="i", input=[1])
        self.follower = Follower(self.database, Scrubber())

    def begin(self, follower: Follower | None = None) -> dict[str, Any]:
        return work(follower or self.follower, {"begin": KEY})

    def record(
        self,
        reading: int,
        events: list[Event],
        *,
        began: int | None = None,
        is_over: bool = False,
        follower: Follower | None = None,
    ) -> dict[str, Any]:
        return work(follower or self.follower, part(reading, events, began=began, is_over=is_over))

    def follow(self, history: History, *parts: int) -> dict[str, Any]:
        """Read a history as follower.mjs does, in parts of these sizes and then at once.

        After each part another reading begins.
        """
        result: dict[str, Any] = {}
        for size in [*parts, len(history.events)]:
            result = {"again": True}
            while "again" in result:
                begun = self.begin()
                events = [e for e in history.events if e["id"] > begun["after"]]
                began = history.began_ms if begun["hasBegun"] else None
                result = self.record(begun["reading"], events[: size + 1], began=began)
            if "next" not in result:
                break
        return result

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is recorded, with its times."""
        select = self.database.rows
        columns = "instance,run,name,occurrence,status,output,error,attempt,started_at,completed_at"
        return {
            **self.writer.state(),
            "times": select("SELECT started_at,completed_at,followed FROM instances"),
            "steps": select(f"SELECT {columns},next_retry_at FROM steps ORDER BY id"),
            "attempts": select("SELECT * FROM attempts ORDER BY step,number"),
            "events": select(
                "SELECT type,run,status,step,occurrence,attempt,data,iif(id=1,NULL,at)"
                " FROM events ORDER BY id"
            ),
        }


def followed(history: History, *parts: int) -> dict[str, list[tuple[Any, ...]]]:
    recording = Recording()
    recording.follow(history, *parts)
    return recording.rows()


def test_a_history_becomes_steps_attempts_and_events_with_its_times() -> None:
    recording = Recording()
    assert recording.follow(journey()) == ENDED
    steps = recording.database.rows(
        "SELECT name,occurrence,kind,status,attempt,retry_limit,retry_delay,retry_backoff"
        " FROM steps ORDER BY step_index"
    )
    policy = (3, 2000, "LINEAR")
    none = (None, None, None)
    assert steps == [
        ("pack", 1, "TASK", "COMPLETED", 1, *policy),
        ("pack", 2, "TASK", "COMPLETED", 3, *policy),
        ("nap", 1, "SLEEP", "COMPLETED", 0, *none),
        ("hear", 1, "WAIT_FOR_EVENT", "FAILED", 0, *none),
        ("beside", 1, "TASK", "FAILED", 1, *policy),
        ("open", 1, "TASK", "CANCELLED", 1, *none),
    ]
    attempts = recording.database.rows(
        "SELECT number,a.status,a.started_at,a.ended_at,retry_at FROM attempts a"
        " JOIN steps s ON s.id=step WHERE name='pack' AND occurrence=2 ORDER BY number"
    )
    times = {event["id"]: instant(event["at"]) for event in journey().events}
    assert attempts == [
        (1, "FAILED", times[8], times[10], instant(NOW_MS + 9 + 50)),
        (2, "FAILED", times[11], times[12], instant(NOW_MS + 11 + 50)),
        (3, "COMPLETED", times[13], times[15], None),
    ]
    [instance] = recording.database.rows(
        "SELECT status,input,output,started_at,completed_at FROM instances"
    )
    last = journey().events[-1]["at"]
    assert instance == ("COMPLETED", "[1]", '{"all":1}', times[3], instant(last))


NAMES = ("plain", "two\nlines", "n" * 300)


@pytest.mark.parametrize("seed", range(40))
def test_any_parts_of_any_history_give_the_same_rows(seed: int) -> None:
    chance = random.Random(seed)
    history = History()
    open_steps: list[tuple[str, str]] = []
    for number in range(chance.randrange(5, 60)):
        if open_steps and chance.random() < 0.5:
            kind, name = open_steps.pop(chance.randrange(len(open_steps)))
            history.add(f"{kind}_completed", name, value="1")
            continue
        kind, name = chance.choice(("step", "sleep", "wait")), f"{NAMES[number % 3]}-{number + 1}"
        if chance.random() < 0.3:
            history.task(name, failures=chance.randrange(3))
            continue
        history.add(f"{kind}_started", name, details={"durationMs": chance.randrange(10_000)})
        if kind == "step":
            history.add("attempt_started", name, attempt=1)
        open_steps.append((kind, name))
    history.end(chance.choice(("workflow_completed", "workflow_errored", "workflow_terminated")))
    whole = followed(history)
    parts = [chance.randrange(1, 6) for _ in range(len(history.events))]
    assert followed(history, *parts) == whole


def test_a_part_that_is_recorded_twice_changes_nothing() -> None:
    recording = Recording()
    history = journey().events
    first = recording.begin()["reading"]
    second = recording.begin()["reading"]
    assert "next" in recording.record(first, history[:12])
    rows = recording.rows()
    assert "again" in recording.record(second, history[:12])
    assert "again" in recording.record(second, history[:12])
    assert recording.rows() == rows


def test_two_followers_in_turn_give_the_rows_of_one() -> None:
    recording = Recording()
    whole = journey()
    followers = [recording.follower, Follower(recording.database, Scrubber())]
    readings: list[tuple[int, list[Event]] | None] = [None, None]
    for turn in range(400):
        follower, reading = followers[turn % 2], readings[turn % 2]
        began = None
        if reading is None:
            begun = recording.begin(follower)
            left = [event for event in whole.events if event["id"] > begun["after"]]
            reading = (begun["reading"], left)
            began = whole.began_ms if begun["hasBegun"] else None
        number, left = reading
        answer = recording.record(number, left[:4], began=began, follower=follower)
        if answer == ENDED:
            break
        readings[turn % 2] = (number, left[4:]) if "next" in answer else None
    else:
        pytest.fail("neither came to the end")
    assert recording.rows() == followed(journey())


def test_a_batch_that_fails_changes_nothing_and_is_made_again() -> None:
    recording = Recording()
    history = journey().events
    broken = "CREATE TRIGGER broken BEFORE INSERT ON steps WHEN NEW.name='nap'"
    recording.database.connection.execute(f"{broken} BEGIN SELECT raise(ABORT,'D1 is down'); END")
    rows = recording.rows()
    begun = recording.begin()
    with pytest.raises(DatabaseError, match="D1 is down"):
        recording.record(begun["reading"], history)
    assert recording.rows() == rows
    # The state of that reading is lost, so another begins.
    assert recording.record(begun["reading"], history) == {"again": True}
    recording.database.connection.execute("DROP TRIGGER broken")
    assert recording.follow(journey()) == ENDED
    assert recording.rows() == followed(journey())


def test_the_parts_of_several_instances_are_one_batch() -> None:
    recording = Recording()
    recording.writer.start(instanceId="j", input=[1])
    before = len(recording.database.batches)
    begins = [{"begin": KEY}, {"begin": ("w", "j")}, {"begin": ("w", "nobody")}]
    begun = finished(recording.follower.work(begins, now_ms=NOW_MS))
    assert begun[2] == {"forget": True}
    jobs = [part(each["reading"], journey().events) for each in begun[:2]]
    assert finished(recording.follower.work(jobs, now_ms=NOW_MS)) == [ENDED, ENDED]
    assert len(recording.database.batches) == before + 2
    columns = "name,occurrence,status,started_at,completed_at"
    rows = [
        recording.database.rows(f"SELECT {columns} FROM steps WHERE instance={n} ORDER BY id")
        for n in (1, 2)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 6


def test_a_part_that_makes_a_batch_fail_does_not_hold_up_the_others() -> None:
    recording = Recording()
    recording.writer.start(instanceId="j", input=[1])
    bad = History().task("s-1").add("step_completed", "t-1", value="no JSON")
    begins = [{"begin": KEY}, {"begin": ("w", "j")}]
    begun = finished(recording.follower.work(begins, now_ms=NOW_MS))
    jobs = [part(begun[0]["reading"], bad.events), part(begun[1]["reading"], journey().events)]
    alone = {"again": True, "isAlone": True}
    assert finished(recording.follower.work(jobs, now_ms=NOW_MS)) == [alone, alone]
    again = work(recording.follower, {"begin": ("w", "j")})
    assert work(recording.follower, part(again["reading"], journey().events)) == ENDED
    begun_again = recording.begin()
    with pytest.raises(DatabaseError):
        recording.record(begun_again["reading"], bad.events)


def test_a_batch_has_no_more_statements_than_are_allowed_for() -> None:
    history = History()
    for number in range(1, limits.MAX_FOLLOW_EVENTS):
        history.add("sleep_started", f"s-{number}", details={"durationMs": number})
        history.add("sleep_completed", f"s-{number}")
    events = history.events[: limits.MAX_FOLLOW_EVENTS]
    recording = Recording()
    begun = recording.begin()
    recording.record(begun["reading"], events)
    allowed = Follower.EVENT_STATEMENTS * len(events) + Follower.PART_STATEMENTS
    assert len(recording.database.batches[-1]) <= allowed <= limits.MAX_FOLLOW_STATEMENTS


def test_a_history_that_begins_again_is_the_next_run() -> None:
    recording = Recording()
    first = History().task("old-1").task("old-2")
    recording.follow(first)
    second = History(NOW_MS + 60_000).task("new-1").task("new-2").end()
    assert recording.follow(second, 1, 1) == ENDED
    steps = recording.database.rows("SELECT run,name,status FROM steps ORDER BY id")
    assert steps == [(1, "old", "COMPLETED")] * 2 + [(2, "new", "COMPLETED")] * 2
    [(status,)] = recording.database.rows("SELECT status FROM runs WHERE run=1")
    assert status == "TERMINATED"


def test_a_history_that_is_shorter_than_the_position_is_the_next_run() -> None:
    recording = Recording()
    recording.follow(History().task("old-1").task("old-2"))
    second = History(NOW_MS + 60_000).task("new-1")
    begun = recording.begin()
    assert begun["after"] > len(second.events)
    # The run that the history is of is another, although nothing comes behind the position.
    assert recording.record(begun["reading"], [], began=second.began_ms) == {"again": True}
    second.task("new-2").task("new-3").end()
    assert recording.follow(second) == ENDED
    names = recording.database.rows("SELECT run,name,occurrence FROM steps WHERE run=2")
    assert names == [(2, "new", number) for number in (1, 2, 3)]


def test_while_an_instance_is_restarted_nothing_changes() -> None:
    recording = Recording()
    recording.follow(History().task("old-1"))
    rows = recording.rows()
    for events in ([], History().events[:2]):
        begun = recording.begin()
        assert "due" in recording.record(begun["reading"], events, began=None)
    assert recording.rows() == rows


@pytest.mark.parametrize("recorded", range(3, 28))
def test_a_restart_from_a_step_is_the_next_run_wherever_the_position_was(recorded: int) -> None:
    first = History().task("a-1").task("beside-1", failures=1).task("c-1").task("d-1").end()
    recording = Recording()
    recording.follow(History.of(first.events[:recorded]))
    # The engine keeps the first events and those of the steps before, and replaces the beginning
    # of the run.
    kept = [e for e in first.events[:13] if e["type"] != "workflow_running"]
    kept = [e for e in kept if e["id"] <= recorded]
    second = History.of(kept, begins_ms=NOW_MS + 60_000)
    second.add("workflow_running").task("c-1").task("d-1").end()
    assert recording.follow(second) == ENDED
    assert recording.writer.read()["run"] == 2
    assert recording.writer.read()["status"] == "COMPLETED"
    names = recording.database.rows("SELECT name||'-'||occurrence FROM steps WHERE run=2")
    started = [e["step"] for e in second.events if e["type"] == "step_started"]
    assert [name for (name,) in names] == started


def test_after_a_restart_the_old_history_is_not_recorded_as_the_new_run() -> None:
    recording = Recording()
    first = journey()
    recording.follow(first)
    assert recording.writer.act("restart")["__typename"] == "InstancePayload"
    rows = recording.rows()
    assert list(recording.follow(first)) == ["due"]
    begun = recording.begin()
    assert list(recording.record(begun["reading"], [])) == ["due"]
    assert recording.rows() == rows
    second = History(NOW_MS + 60_000).task("again-1").end()
    assert recording.follow(second) == ENDED
    assert recording.writer.read()["run"] == 2
    assert recording.writer.read()["status"] == "COMPLETED"
    # Nothing more comes of it.
    assert recording.follow(second) == ENDED
    assert recording.writer.read()["run"] == 2


def test_a_finished_instance_is_looked_at_ever_more_rarely_and_then_forgotten() -> None:
    recording = Recording()
    history = journey()
    ended_ms = history.events[-1]["at"]
    recording.follow(history)
    now_ms, looks = NOW_MS, 0
    while True:
        [begun] = finished(recording.follower.work([{"begin": KEY}], now_ms=now_ms))
        last = part(begun["reading"], history.events[-1:], began=history.began_ms, is_over=True)
        [course] = finished(recording.follower.work([last], now_ms=now_ms))
        if "forget" in course:
            break
        looks += 1
        # A restart is noticed before the time since the end has grown tenfold, or in a minute.
        age_ms = now_ms - ended_ms
        longest_ms = max((limits.FOLLOW_LOOK_FACTOR - 1) * age_ms, limits.FOLLOW_FIRST_LOOK_MS)
        assert now_ms < course["due"] <= now_ms + longest_ms
        now_ms = course["due"]
    assert looks == 4
    assert now_ms - ended_ms <= limits.FOLLOW_ENDED_MS


def test_a_history_that_cannot_be_read_falls_behind_until_its_next_part() -> None:
    recording = Recording()
    history = History().task("one-1")
    recording.follow(history)

    def fail(failures: int, message: str = "no answer") -> dict[str, Any]:
        return work(recording.follower, {"fail": KEY, "failures": failures, "message": message})

    def behind() -> list[tuple[Any, ...]]:
        return recording.database.rows("SELECT behind_since FROM instances")

    assert fail(limits.FOLLOW_BEHIND_FAILURES - 1) == {}
    assert behind() == [(None,)]
    assert fail(limits.FOLLOW_BEHIND_FAILURES) == {}
    assert behind() == [(instant(NOW_MS),)]
    recording.follow(history.task("two-1"))
    assert behind() == [(None,)]
    assert fail(1, "Error: instance.not_found") == {"forget": True}


def test_a_part_of_the_run_before_is_refused_after_a_restart() -> None:
    recording = Recording()
    history = journey().events
    reading = recording.begin()["reading"]
    recording.record(reading, history[:8])
    recording.writer.act("restart")
    rows = recording.rows()
    assert recording.record(reading, history[8:]) == {"again": True}
    assert recording.rows() == rows


def test_what_came_before_a_recorded_termination_is_recorded() -> None:
    recording = Recording()
    history = History().task("one-1").add("step_started", "two-1")
    history.add("attempt_started", "two-1", attempt=1).end("workflow_terminated")
    recording.follow(History())
    assert recording.writer.act("terminate")["instance"]["status"] == "TERMINATED"
    assert recording.follow(history) == ENDED
    steps = recording.database.rows("SELECT name,status,completed_at FROM steps ORDER BY id")
    end = instant(history.events[-1]["at"])
    assert [step[:2] for step in steps] == [("one", "COMPLETED"), ("two", "CANCELLED")]
    assert steps[1][2] == end
    assert recording.writer.read()["completedAt"] == end


@pytest.mark.parametrize(
    "type_",
    [
        "workflow_waiting",
        "workflow_unheard_of",
        "rollback_started",
        "rollback_step_started",
        "rollback_attempt_errored",
        "step_paused",
        "sleep_extended",
        "unheard",
        "",
    ],
)
def test_types_that_are_not_known_change_nothing(type_: str) -> None:
    history, plain = History(), History()
    for events in (history, plain):
        events.add("step_started", "s-1").add("attempt_started", "s-1", attempt=1)
    history.add(type_, "s-1" if not type_.startswith("workflow") else None)
    rows, expected = followed(history), followed(plain)
    for each in (rows, expected):
        del each["times"]
    assert rows == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("load-3", ("load", 3)),
        ("a-b-12", ("a-b", 12)),
        ("-1", ("", 1)),
        ("--2", ("-", 2)),
        ("line\nbreak-1", ("line\nbreak", 1)),
        ("no number", ("no number", 1)),
        ("zero-0", ("zero-0", 1)),
        ("arabic-٣", ("arabic-٣", 1)),
        ("huge-12345678901234567890", ("huge-12345678901234567890", 1)),
    ],
)
def test_a_step_is_its_name_and_its_occurrence(name: str, key: tuple[str, int]) -> None:
    step = parse_event({"id": 1, "at": 1, "type": "step_started", "step": name}).step
    assert step is not None
    assert (step.name, step.occurrence) == key


def test_odd_details_are_recorded_as_far_as_they_can_be() -> None:
    history = History()
    for number, config in enumerate(
        (None, {}, {"retries": None}, {"retries": {"limit": None, "delay": 1}}), 1
    ):
        history.add("step_started", f"s-{number}", details={"config": config})
        history.add("attempt_started", f"s-{number}", attempt=1)
        history.add("attempt_errored", f"s-{number}", attempt=1, details={"retryDelayMs": 1e300})
    history.add("sleep_started", "nap-1", details={"durationMs": 1e300}).add("sleep_started", "n-1")
    history.end("workflow_errored")
    recording = Recording()
    assert recording.follow(history) == ENDED
    [(retry_at,)] = recording.database.rows("SELECT DISTINCT retry_at FROM attempts")
    assert retry_at == "9999-12-31T23:59:59.999Z"
    assert recording.writer.read()["error"] is None


@pytest.mark.parametrize("parts", [(), (1,) * 20])
def test_sleeps_of_one_name_are_steps_of_their_own_whatever_the_engine_counts(
    parts: tuple[int, ...],
) -> None:
    history = History()
    for duration in (200, 300, 400):
        # The engine counts sleeps by their name and duration.
        history.add("sleep_started", "nap-1", details={"durationMs": duration})
        history.add("sleep_completed", "nap-1")
    history.add("sleep_started", "nap-1", details={"durationMs": 7_000})
    history.add("sleep_started", "nap-1", details={"durationMs": 1_000})
    history.add("wait_started", "nap-1", details={"eventType": "go"})
    history.add("sleep_completed", "nap-1")
    recording = Recording()
    recording.follow(history, *parts)
    steps = recording.database.rows("SELECT occurrence,kind,status FROM steps ORDER BY step_index")
    assert steps == [
        *((number, "SLEEP", "COMPLETED") for number in (1, 2, 3)),
        # The one that ends first has ended.
        (4, "SLEEP", "RUNNING"),
        (5, "SLEEP", "COMPLETED"),
        (6, "WAIT_FOR_EVENT", "RUNNING"),
    ]
    assert recording.writer.read()["status"] == "WAITING"


@pytest.mark.parametrize("duration", [None, 1e300, -1e300])
def test_odd_durations_are_recorded_as_far_as_they_can_be(duration: float | None) -> None:
    retries = {"limit": 1, "delay": "9" * 400 + " seconds"}
    history = History().add("sleep_started", "nap-1", details={"durationMs": duration})
    history.add("step_started", "s-1", details={"config": {"retries": retries}})
    recording = Recording()
    recording.follow(history.end())
    assert recording.writer.read()["status"] == "COMPLETED"


def test_a_job_that_cannot_be_done_does_not_disturb_the_others() -> None:
    recording = Recording()
    begun = recording.begin()
    broken = {**part(begun["reading"], []), "events": "no JSON"}
    courses = finished(recording.follower.work([broken, {"begin": KEY}], now_ms=NOW_MS))
    assert "JSON" in courses[0]["error"]
    assert "reading" in courses[1]


def test_a_history_without_news_is_not_behind() -> None:
    recording = Recording()
    history = History().add("sleep_started", "nap-1", details={"durationMs": 1_000_000})
    recording.follow(history)
    failures = limits.FOLLOW_BEHIND_FAILURES
    work(recording.follower, {"fail": KEY, "failures": failures, "message": "no answer"})
    begun = recording.begin()
    recording.record(begun["reading"], history.events[-1:], began=history.began_ms)
    assert recording.database.rows("SELECT behind_since FROM instances") == [(None,)]


@pytest.mark.parametrize("end", [None, "workflow_terminated"])
def test_a_status_that_the_history_does_not_tell_is_left_to_reconciliation(end: str | None) -> None:
    recording = Recording()
    history = History().add("sleep_started", "nap-1", details={"durationMs": 1_000_000})
    if end is not None:
        history.end(end)
    recording.follow(history)
    changes = "status='UNKNOWN',completed_at=NULL,behind_since=updated_at"
    recording.database.connection.execute(f"UPDATE instances SET {changes}")
    begun = recording.begin()
    recording.record(begun["reading"], history.events[-1:], began=history.began_ms)
    [(behind_since,)] = recording.database.rows("SELECT behind_since FROM instances")
    assert behind_since is not None


def test_an_instance_that_is_not_tracked_is_forgotten() -> None:
    assert work(Follower(SqliteD1(), Scrubber()), {"begin": KEY}) == {"forget": True}


def test_the_input_is_taken_if_none_is_known() -> None:
    recording = Recording()
    recording.database.connection.execute("UPDATE instances SET input=NULL")
    history = History()
    history.events[1]["value"] = '{"a":1}'
    recording.follow(history)
    assert recording.writer.read()["input"] == {"a": 1}


MINUTE_MS = 60_000


def _rests(*events: Line, status: str = "", after_ms: int = 0) -> tuple[int, int]:
    """The time to wait behind a history with these events, and then the time until it is due."""
    recording, history = Recording(), History()
    for type_, step, more in events:
        history.add(type_, step, **more)
    if status:
        history.add(status)
    now_ms = history.events[-1]["at"] + after_ms

    def record(events: list[Event]) -> dict[str, int]:
        job = recording.follower.work([part(reading, events)], now_ms=now_ms)
        [course] = finished(job)
        return dict(course)

    reading = recording.begin()["reading"]
    wait_ms = record(history.events)["waitMs"]
    return wait_ms, record([])["due"] - now_ms


SLEEP: Line = ("sleep_started", "nap-1", {"details": {"durationMs": 5_000_000}})
LONG: Line = ("sleep_started", "nap-1", {"details": {"durationMs": 1e12}})
WAIT: Line = ("wait_started", "hear-1", {})
TASK: Line = ("step_started", "work-1", {})
FAILED: Line = ("attempt_errored", "work-1", {"attempt": 1, "details": {"retryDelayMs": 7_000_000}})
SHORT: Line = ("sleep_started", "wink-1", {"details": {"durationMs": 9_000}})
SETTLE, NEAR = limits.FOLLOW_SETTLE_MS, limits.FOLLOW_NEAR_MS
QUIET, REST = limits.FOLLOW_QUIET_MS, limits.FOLLOW_MIN_REST_MS


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (_rests(SLEEP), (SETTLE, 5_000_000)),
        # Somebody may restart it meanwhile.
        (_rests(LONG), (SETTLE, limits.FOLLOW_MAX_SLEEP_MS)),
        (_rests(TASK, FAILED), (SETTLE, 7_000_000)),
        (_rests(TASK, FAILED, SLEEP), (SETTLE, 5_000_000)),
        (_rests(WAIT), (NEAR, REST)),
        (_rests(WAIT, SLEEP), (SETTLE, REST)),
        (_rests(SHORT), (9_000 + NEAR, 9_000)),
        # The engine is late.
        (_rests(SHORT, after_ms=10_000), (NEAR - 1_000, limits.FOLLOW_RETRY_MS)),
        (_rests(SLEEP, status="workflow_paused"), (SETTLE, REST)),
        (_rests(status="workflow_queued"), (NEAR, REST)),
        # A step runs.
        (_rests(SLEEP, TASK), (QUIET, REST)),
        (_rests(), (QUIET, REST)),
        # Intervals grow with the time without an event.
        (_rests(WAIT, after_ms=4 * MINUTE_MS), (SETTLE, MINUTE_MS)),
        (_rests(WAIT, after_ms=6_000 * MINUTE_MS), (SETTLE, limits.FOLLOW_MAX_REST_MS)),
        (_rests(TASK, after_ms=8 * MINUTE_MS), (SETTLE, 2 * MINUTE_MS)),
        (_rests(TASK, after_ms=6_000 * MINUTE_MS), (SETTLE, limits.FOLLOW_MAX_BUSY_REST_MS)),
    ],
)
def test_a_history_is_closed_while_nothing_can_happen(
    result: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert result == expected


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([], InstanceStatus.RUNNING),
        ([StepKind.SLEEP], InstanceStatus.SLEEPING),
        ([StepKind.SLEEP, StepKind.WAIT_FOR_EVENT], InstanceStatus.WAITING),
        ([StepKind.SLEEP, StepKind.WAIT_FOR_EVENT, StepKind.TASK], InstanceStatus.RUNNING),
    ],
)
def test_the_status_follows_from_the_open_steps(
    kinds: list[StepKind], status: InstanceStatus
) -> None:
    assert status_of([Open(kind) for kind in kinds])[0] is status


# --- kinds of outputs


def test_the_output_of_a_sensitive_step_is_not_recorded_in_whatever_parts_it_is_read() -> None:
    for size in range(1, 9):
        history = History()
        history.add("step_started", "key-1", details={"config": {"sensitive": "output"}})
        history.add("attempt_started", "key-1", attempt=1)
        history.add("step_completed", "key-1", value='"[REDACTED]"')
        history.task("after-1").end(value="null", kind="UNDEFINED")
        recording = Recording()
        recording.follow(history, *[size] * (len(history.events) // size))
        rows = recording.database.rows
        assert rows("SELECT name,output,output_kind FROM steps ORDER BY step_index") == [
            ("key", None, "REDACTED"),
            ("after", '"done"', "JSON"),
        ]
        assert rows("SELECT output,output_kind FROM instances") == [(None, "UNDEFINED")]
