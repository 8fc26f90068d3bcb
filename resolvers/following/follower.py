"""Records the histories of instances, part by part, as a follower reads them.

JavaScript reads the histories and sends jobs, several at a time:

    {"begin": ["orders", "i-1"]}                     begin to read the history of an instance
    {"record": 3, "events": "[…]", "isOver": false}  record its next part
    {"fail": ["orders", "i-1"], "failures": 2, …}    its history could not be read

Each gets a course, which says how to go on. All that they write is one batch of D1.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from typing import Any, ClassVar, TypeAlias

from resolvers.base.cache import Cache
from resolvers.base.foreign_errors import NO_INSTANCE
from resolvers.base.json_text import decode
from resolvers.base.limits import (
    FOLLOW_BEHIND_FAILURES,
    FOLLOW_ENDED_MS,
    FOLLOW_FIRST_LOOK_MS,
    FOLLOW_LOOK_FACTOR,
    FOLLOW_MAX_BUSY_REST_MS,
    FOLLOW_MAX_REST_MS,
    FOLLOW_MAX_SLEEP_MS,
    FOLLOW_MIN_REST_MS,
    FOLLOW_NEAR_MS,
    FOLLOW_QUIET_MS,
    FOLLOW_RETRY_MS,
    FOLLOW_SETTLE_MS,
    MAX_FOLLOWED,
)
from resolvers.base.scrubbing import Scrubber
from resolvers.following.history import Event, instant, parse_event, scrub_event
from resolvers.following.records import (
    STALE,
    Followed,
    Place,
    begin_next_run,
    catch_up,
    fall_behind,
    move,
    parse_followed,
    require,
    select_followed,
    set_times,
    write_updates,
)
from resolvers.following.translation import ENDS, RUNNING, Update
from resolvers.ports.database import Database, DatabaseError, Outcome, Statement
from resolvers.ports.engine import Key

Course: TypeAlias = dict[str, Any]
"""The way to go on: one of

    reading, after, hasBegun   read the history behind the event `after`; with `hasBegun`, say when
                               its run began
    next, waitMs               read on, and report it if nothing comes for so long
    again                      begin another reading; with `isAlone` its parts are recorded alone
    due                        read again at this time, in milliseconds since 1970
    forget                     follow the instance no longer
    error                      the job could not be done
"""


@dataclass(frozen=True, slots=True)
class _Move:
    """The place of an instance before and after a part, and the time of its last event."""

    before: Place
    after: Place
    at: str


@dataclass(frozen=True, slots=True)
class _Writes:
    """The statements of a job, and the move that they belong to."""

    statements: list[Statement]
    move: _Move | None = None


_Job: TypeAlias = Generator[_Writes, Sequence[Outcome], Course]


@dataclass(slots=True)
class _Reading:
    """One reading of a history, with the state of the instance that its next part continues."""

    followed: Followed
    place: Place
    # The time of the last event, or of the last change before the reading.
    since_ms: int
    is_first: bool = True


@dataclass(slots=True)
class Follower:
    """Records what readers of histories send; each reading has a state of its own."""

    # The most statements of an event: of its step, of an attempt that it overtakes, and of the
    # instance. A part has a few more, and a batch those of the notifications.
    EVENT_STATEMENTS: ClassVar[int] = 3
    PART_STATEMENTS: ClassVar[int] = 12

    database: Database
    scrubber: Scrubber
    _readings: Cache[int, _Reading] = field(default_factory=lambda: Cache(MAX_FOLLOWED))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def work(self, jobs: Sequence[Mapping[str, Any]], *, now_ms: int) -> list[Course]:
        """Do jobs in one batch, and return the course of each.

        If the batch fails by one of several jobs, each is to be done again on its own. Raises
        DatabaseError if it fails otherwise.
        """
        courses: dict[int, Course] = {}
        waiting: dict[int, tuple[_Job, _Writes]] = {}
        for number, given in enumerate(jobs):
            job = self._job(given, now_ms)
            result = _advance(job)
            if isinstance(result, _Writes):
                waiting[number] = (job, result)
            else:
                courses[number] = result
        try:
            outcomes = await self._perform([writes for _, writes in waiting.values()])
        except DatabaseError as error:
            is_stale = STALE in str(error)
            if not is_stale and (len(waiting) == 1 or not error.is_of_statement):
                raise
            again: Course = {"again": True}
            if len(waiting) > 1:
                again["isAlone"] = True
            return [courses.get(number, again) for number in range(len(jobs))]
        for (number, (job, _)), its_own in zip(waiting.items(), outcomes, strict=True):
            result = _advance(job, its_own)
            assert not isinstance(result, _Writes), "a job has one set of writes"
            courses[number] = result
        return [courses[number] for number in range(len(jobs))]

    async def _perform(self, writes: Sequence[_Writes]) -> list[Sequence[Outcome]]:
        """Run the statements of all jobs, and return the outcomes of each."""
        moves = [each.move for each in writes if each.move is not None]
        statements: list[Statement] = []
        if moves:
            statements += [require([m.before for m in moves]), move([m.after for m in moves])]
        start = len(statements)
        statements += [statement for each in writes for statement in each.statements]
        if moves:
            statements.append(set_times([(m.after, m.at) for m in moves]))
        if not statements:
            return []
        outcomes = await self.database.batch(statements)
        result = []
        for each in writes:
            result.append(outcomes[start : start + len(each.statements)])
            start += len(each.statements)
        return result

    def _job(self, given: Mapping[str, Any], now_ms: int) -> _Job:
        if "begin" in given:
            workflow, instance_id = given["begin"]
            return self._begin((workflow, instance_id))
        if "fail" in given:
            workflow, instance_id = given["fail"]
            return _fail((workflow, instance_id), given["failures"], given["message"], now_ms)
        return self._record(given, now_ms)

    def _begin(self, key: Key) -> _Job:
        """Begin to read the history of an instance, so that its last recorded event comes first."""
        [outcome] = yield _Writes([select_followed(key)])
        if outcome.text is None:
            return {"forget": True}
        followed, updated_ms = parse_followed(outcome.text, key)
        number = next(self._numbers)
        self._readings.put(number, _Reading(followed, followed.place, updated_ms))
        position = followed.position
        return {
            "reading": number,
            "after": 0 if position is None else position.number - 1,
            "hasBegun": bool(followed.begun_ms),
        }

    def _record(self, given: Mapping[str, Any], now_ms: int) -> _Job:
        """Record a part; no events mean that none have come for a while, or that none follow."""
        number = given["record"]
        reading = self._readings.get(number)
        if reading is None:
            return {"again": True}
        # If the batch fails, the state is ahead of the rows.
        self._readings.forget(number)
        followed = reading.followed
        rules = self.scrubber.rules(followed.translation.workflow)
        events = [scrub_event(parse_event(event), rules) for event in decode(given["events"])]
        if reading.is_first:
            match _compare(followed, events, given["began"]):
                case _Match.UNKNOWN:
                    return _again_later(reading, now_ms)
                case _Match.OTHER:
                    at_ms = given["began"] or events[0].position.at_ms
                    yield _Writes([begin_next_run(followed, instant(at_ms))])
                    return {"again": True}
                case _Match.BEGINS:
                    followed.begun_ms = 0
                case _Match.CONTINUES:
                    events = events[1:]
            reading.is_first = False
            # If the status is another than the history tells, reconciliation repairs it.
            if followed.is_behind and not events and followed.is_consistent:
                yield _Writes([catch_up(reading.place)])
        elif not events and not given["isOver"]:
            return {"due": _due(reading, now_ms)}
        if events:
            updates = _translate(followed, events)
            reading.since_ms = events[-1].position.at_ms
            before, reading.place = reading.place, followed.place
            moved = _Move(before, reading.place, events[-1].at)
            yield _Writes(write_updates(followed, updates), moved)
        position = followed.position
        assert position is not None
        if position.type in ENDS:
            return _look_after_end(position.at_ms, now_ms)
        if given["isOver"]:
            # A history without an end was cut off by a restart.
            return _again_later(reading, now_ms)
        self._readings.put(number, reading)
        return {"next": True, "waitMs": _wait(reading, now_ms)}


def _advance(job: _Job, outcomes: Any = None) -> _Writes | Course:
    """Run a job to its writes, or to its course; what it raises does not disturb the others."""
    try:
        return job.send(outcomes)
    except StopIteration as stop:
        course: Course = stop.value
        return course
    except Exception as error:  # the other jobs are of other instances
        return {"error": f"{type(error).__name__}: {error}"}


class _Match(Enum):
    """The result of comparing a history with what is recorded."""

    CONTINUES = auto()
    # Nothing is recorded of this run.
    BEGINS = auto()
    # The run is another one.
    OTHER = auto()
    # The engine is restarting the instance, so it cannot be told yet.
    UNKNOWN = auto()


def _compare(followed: Followed, events: Sequence[Event], began: int | None) -> _Match:
    """Compare the first events that are read, and the beginning of their run.

    Every restart replaces the event with which a run begins, even if it keeps the steps before a
    certain one. The last recorded event is compared too, because a run that is queued has no such
    event.
    """
    if followed.begun_ms and began is None:
        return _Match.UNKNOWN
    is_same = not followed.begun_ms or began == followed.begun_ms
    if followed.position is None:
        # After a restart by an action, the history may still be that of the run before.
        is_old = followed.begun_ms and is_same
        return _Match.BEGINS if events and not is_old else _Match.UNKNOWN
    if not is_same:
        return _Match.OTHER
    if not events:
        return _Match.UNKNOWN
    return _Match.CONTINUES if events[0].position == followed.position else _Match.OTHER


def _translate(followed: Followed, events: Sequence[Event]) -> list[tuple[Event, Update]]:
    """Translate events into updates, and move the position behind them."""
    updates: list[tuple[Event, Update]] = []
    for event in events:
        updates += [(event, update) for update in followed.translation.updates(event)]
        followed.position = event.position
        if event.type == RUNNING and not followed.begun_ms:
            followed.begun_ms = event.position.at_ms
    return updates


def _fail(key: Key, failures: int, message: str, now_ms: int) -> _Job:
    """Decide after a history could not be read."""
    if NO_INSTANCE.search(message):
        return {"forget": True}
    if failures >= FOLLOW_BEHIND_FAILURES:
        yield _Writes([fall_behind(key, instant(now_ms))])
    return {}


def _wait(reading: _Reading, now_ms: int) -> int:
    """The milliseconds without an event after which the history is closed."""
    translation, since_ms = reading.followed.translation, reading.since_ms
    longest = FOLLOW_QUIET_MS if translation.is_busy else FOLLOW_NEAR_MS
    until_ms = translation.rests_until_ms
    if until_ms is not None and not translation.is_busy:
        if until_ms - now_ms > FOLLOW_NEAR_MS:
            return FOLLOW_SETTLE_MS
        since_ms = max(since_ms, until_ms)
    # One that was quiet for so long before it was opened is closed soon.
    return max(since_ms + longest - now_ms, FOLLOW_SETTLE_MS)


def _due(reading: _Reading, now_ms: int) -> int:
    """The time at which a history from which nothing comes is to be read again."""
    translation = reading.followed.translation
    longest = FOLLOW_MAX_BUSY_REST_MS if translation.is_busy else FOLLOW_MAX_REST_MS
    latest = now_ms + _rest(now_ms - reading.since_ms, FOLLOW_MIN_REST_MS, longest)
    until_ms = translation.rests_until_ms
    if until_ms is None:
        return latest
    if until_ms <= now_ms:
        # The engine is late.
        return now_ms + _rest(now_ms - until_ms, FOLLOW_RETRY_MS, longest)
    # Somebody may restart the instance while it sleeps.
    if translation.is_timed:
        return min(until_ms, now_ms + FOLLOW_MAX_SLEEP_MS)
    return min(until_ms, latest)


def _again_later(reading: _Reading, now_ms: int) -> Course:
    """Try again soon: the engine may be restarting the instance."""
    return {"due": now_ms + _rest(now_ms - reading.since_ms, FOLLOW_RETRY_MS, FOLLOW_MAX_REST_MS)}


def _rest(quiet_ms: int, shortest: int, longest: int) -> int:
    """A time that grows with the time since something last happened."""
    return min(max(quiet_ms // 4, shortest), longest)


def _look_after_end(ended_ms: int, now_ms: int) -> Course:
    """Look again later, in case the instance is restarted, or no more."""
    age_ms = max(now_ms - ended_ms, 0)
    due = now_ms + max((FOLLOW_LOOK_FACTOR - 1) * age_ms, FOLLOW_FIRST_LOOK_MS)
    return {"forget": True} if due - ended_ms > FOLLOW_ENDED_MS else {"due": due}
