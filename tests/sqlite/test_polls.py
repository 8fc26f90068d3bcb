"""Polls: where subscribers begin, wait and meet."""

import pytest

from resolvers.base import limits
from tests.support.pumping import ALL, Pump, append, code, of_instance, tracked
from tests.support.subscribing import INSTANCE, plan_of
from tests.support.writing import Writer
from tracker_do import polling, replays

# --- beginning


def test_who_begins_now_is_told_of_what_comes_and_of_objects_as_they_are() -> None:
    writer = tracked()
    pump = Pump(writer.database)
    log = pump.join(ALL)
    objects = [pump.join(plan_of(INSTANCE, id=name)) for name in ("i", "j")]
    result = pump.round()
    assert (result.live_position, result.more, log.told, log.begun) == (1, False, [], 1)
    assert [member.told[0][1] for member in objects] == [
        {"instanceId": "i", "status": "RUNNING", "output": None},
        None,
    ]
    assert [member.position for member in pump.members] == [None] * 3
    writer.update(output=1)
    result = pump.round()
    assert (result.live_position, result.more) == (2, False)
    assert [reached for reached, _ in log.told] == [2]
    assert [len(member.told) for member in objects] == [2, 1]
    # Nothing has happened, and nobody is told anything.
    assert {advance.text for advance in pump.round().advances.values()} == {None}


def test_who_begins_behind_a_cursor_is_told_of_what_came_since() -> None:
    writer = tracked()
    for output in range(4):
        writer.update(output=output)
    pump = Pump(writer.database)
    members = [pump.join(ALL, f"{after}", after) for after in (0, 3, 5)]
    result = pump.round()
    assert (result.live_position, result.more) == (5, False)
    assert [[e["cursor"][-1] for e in member.events] for member in members] == [
        ["1", "2", "3", "4", "5"],
        ["4", "5"],
        [],
    ]
    assert [member.position for member in members] == [None, None, None]


def test_a_subscriber_that_lags_is_read_for_while_others_are_live() -> None:
    writer = tracked()
    pump = Pump(writer.database)
    live = pump.join(ALL)
    pump.round()
    late = pump.join(ALL, after=0)
    ahead = pump.join(of_instance(1), after=1)
    writer.update(output=1)
    assert pump.round().more is False
    assert [member.position for member in (live, late, ahead)] == [None, None, None]
    assert [len(member.events) for member in (live, late, ahead)] == [1, 2, 0]


def test_the_live_ones_stop_where_somebody_waits_for_them() -> None:
    writer = tracked()
    pump = Pump(writer.database)
    live = pump.join(ALL)
    pump.round()
    append(writer.database, 9, 8)
    waiting = pump.join(ALL, after=5)
    result = pump.round()
    assert result.live_position == 5
    assert (live.told[-1][0], waiting.told, result.more) == (5, [], True)
    pump.settle()
    assert (live.position, waiting.position) == (None, None)
    assert [page[0] for page in live.told[1:]] == [page[0] for page in waiting.told] == [9]


def test_who_waits_at_the_head_is_met_by_many_live_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 1)
    monkeypatch.setattr(polling, "MAX_POLL_EVENTS", 3)
    writer = tracked()
    pump = Pump(writer.database, 3)
    for name in ("a", "b"):
        pump.join(ALL, name)
    pump.round()
    append(writer.database, 9, 8)
    waiting = [pump.join(ALL, "c", 9), pump.join(plan_of(INSTANCE, id="i"))]
    pump.settle()
    assert [member.position for member in waiting] == [None, None]


def test_with_nobody_live_the_shard_stands_at_the_head() -> None:
    writer = tracked()
    append(writer.database, 2_500, 2_499)
    pump = Pump(writer.database)
    lagging = pump.join(ALL, after=0)
    result = pump.round()
    assert (result.live_position, result.more, lagging.position) == (2_500, True, 1_000)
    joined = pump.join(plan_of(INSTANCE, id="i"))
    assert pump.round().live_position == 2_500
    assert (joined.position, lagging.position) == (None, 2_000)
    pump.settle()
    assert lagging.position is None
    assert len(lagging.events) == 2_500


# --- refusals


def test_a_cursor_that_the_log_has_not_come_to_is_refused() -> None:
    for positions in ((2,), (2**53 - 1,), (0, 2)):
        pump = Pump(tracked().database)
        live = pump.join(of_instance(7))
        if len(positions) == 1:
            pump.leave(live)
        members = [pump.join(ALL, f"{after}", after) for after in positions]
        result = pump.round()
        assert code(members[-1].errors) == ("INVALID_ARGUMENT", "after")
        assert members[-1].gone
        assert [member.errors for member in members[:-1]] == [None] * len(members[:-1])
        assert result.more is False
        assert pump.position == 1


def test_as_many_events_are_replayed_as_the_limit_and_no_more() -> None:
    database = tracked().database
    append(database, limits.MAX_REPLAY_EVENTS)
    pump = Pump(database)
    taken = pump.join(ALL, after=0)
    pump.settle()
    assert (taken.errors, len(taken.events)) == (None, 2)
    append(database, limits.MAX_REPLAY_EVENTS + 1)
    refused, near = pump.join(ALL, after=0), pump.join(ALL, after=1)
    pump.settle()
    assert code(refused.errors) == ("REPLAY_TOO_LONG", "MAX_REPLAY_EVENTS")
    assert (near.errors, taken.errors) == (None, None)
    assert [len(member.events) for member in (near, taken)] == [2, 3]


def test_who_has_begun_is_not_refused_for_falling_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MAX_REPLAY_EVENTS", 3)
    database = tracked().database
    append(database, 3, 2)
    pump = Pump(database, 1)
    member = pump.join(ALL, after=0)
    pump.round()
    append(database, 9, 6)
    pump.settle()
    assert (member.errors, len(member.events)) == (None, 9)


# --- the log grows shorter


def shortened() -> tuple[Writer, Pump]:
    """A log whose newest events have gone with their instance, as retention does it."""
    writer = tracked()
    writer.create("RUNNING", "old")
    for output in range(4):
        writer.update("old", output=output)
    return writer, Pump(writer.database)


def remove(writer: Writer) -> None:
    """The newest events go."""
    writer.database.connection.execute("DELETE FROM instances WHERE instance_id='old'")


def test_a_cursor_is_good_though_its_event_is_not_kept_any_more() -> None:
    writer, pump = shortened()
    cursor = writer.head()
    remove(writer)
    member = pump.join(ALL, after=cursor)
    pump.settle()
    writer.update(output="new")
    pump.settle()
    assert member.errors is None
    assert [event["instance"]["instanceId"] for event in member.events] == ["i"]


def test_nobody_waits_for_events_that_are_not_kept_any_more() -> None:
    writer, pump = shortened()
    pump = Pump(writer.database, 1)
    live = pump.join(ALL, "live", 0)
    pump.round()
    live.position = None
    ahead = pump.join(ALL, "ahead", writer.head())
    pump.round()
    remove(writer)
    pump.settle()
    writer.update(output="new")
    pump.settle()
    assert (live.events[-1], ahead.events) == (ahead.events[-1], [ahead.events[-1]])
