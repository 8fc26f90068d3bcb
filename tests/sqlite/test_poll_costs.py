"""Polls: how much is read, and in how many round trips."""

import pytest

from resolvers.base import limits
from tests.support.client import finished
from tests.support.d1 import SqliteD1
from tests.support.pumping import ALL, Pump, append, of_instance, tracked
from tests.support.subscribing import INSTANCE, REFERENCE, plan_of
from tests.support.writing import Writer
from tracker_do import polling

# --- round trips


def joined(count: int, *, live: bool = True) -> tuple[Writer, Pump]:
    """A shard with so many groups."""
    writer = tracked()
    pump = Pump(writer.database)
    for number in range(count):
        pump.join(of_instance(number), after=None if live else 0)
    pump.settle()
    pump.database.batches.clear()
    return writer, pump


def sizes(pump: Pump) -> list[int]:
    """How many statements each batch had that was not a write of the test's."""
    return [len(b) for b in pump.database.batches if b[0].sql.startswith("SELECT")]


@pytest.mark.parametrize("count", [1, 99, limits.MAX_POLL_STATEMENTS])
def test_a_poll_for_a_hundred_groups_is_one_round_trip(count: int) -> None:
    writer, pump = joined(count)
    writer.create("RUNNING", "i0")
    pump.database.batches.clear()
    pump.round()
    # The head of the log, and a statement for each group.
    assert sizes(pump) == [1 + count]
    assert [len(member.events) for member in pump.members[:2]] == [1, 0][: min(count, 2)]


def test_a_poll_for_more_groups_asks_first_which_of_them_it_is_for() -> None:
    writer, pump = joined(limits.MAX_POLL_STATEMENTS + 1)
    pump.round()
    assert sizes(pump) == [2]
    writer.create("RUNNING", "i7")
    pump.database.batches.clear()
    result = pump.round()
    assert sizes(pump) == [2, 1]
    assert [n for n, advance in result.advances.items() if advance.text is not None] == [7]
    assert {advance.position for advance in result.advances.values()} == {None}
    assert len(result.advances) == limits.MAX_POLL_STATEMENTS + 1


def test_groups_that_an_event_is_for_are_read_a_hundred_at_a_time() -> None:
    count = 2 * limits.MAX_POLL_STATEMENTS + 1
    writer, pump = joined(count)
    writer.track(
        *[{"instance": {"instanceId": f"i{n}", "workflow": "w"}} for n in range(99)],
    )
    for start in (99, 198):
        updates = range(start, min(start + 99, count))
        writer.track(*[{"instance": {"instanceId": f"i{n}", "workflow": "w"}} for n in updates])
    pump.database.batches.clear()
    pump.round()
    assert sizes(pump) == [2, 100, 100, 1]
    assert [len(member.events) for member in pump.members] == [1] * count


def test_so_many_groups_catch_up_in_a_round_and_no_more() -> None:
    writer = tracked()
    pump = Pump(writer.database)
    members = [pump.join(of_instance(n), after=0) for n in range(limits.MAX_POLL_REPLAYS + 1)]
    result = pump.round()
    assert sorted(result.advances) == list(range(limits.MAX_POLL_REPLAYS))
    assert result.more
    assert members[-1].position == "0"
    assert pump.round().more is False
    assert [member.position for member in members] == [None] * len(members)


def test_who_waits_to_catch_up_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_REPLAYS", 1)
    monkeypatch.setattr(polling, "MAX_POLL_EVENTS", 1)
    database = tracked().database
    append(database, 6, 5)
    pump = Pump(database, 1)
    members = [pump.join(ALL, name, 0) for name in "abc"]
    for _ in range(3):
        pump.round()
    assert [member.position for member in members] == [1, 1, 1]


@pytest.mark.parametrize("live", [True, False])
def test_a_window_takes_as_many_events_as_the_limit_and_no_more(live: bool) -> None:
    writer = tracked()
    pump = Pump(writer.database)
    member = pump.join(ALL, after=None if live else 1)
    pump.round()
    member = pump.join(ALL, "again", 1) if not live else member
    append(writer.database, 1 + limits.MAX_POLL_EVENTS, limits.MAX_POLL_EVENTS)
    pump.round()
    assert (len(member.events), pump.more) == (limits.MAX_POLL_EVENTS, False)
    head = writer.head()
    append(writer.database, head + limits.MAX_POLL_EVENTS + 1, limits.MAX_POLL_EVENTS + 1)
    result = pump.round()
    assert (len(member.events), result.more) == (2 * limits.MAX_POLL_EVENTS, True)
    assert result.live_position == head + limits.MAX_POLL_EVENTS
    pump.round()
    assert len(member.events) == 2 * limits.MAX_POLL_EVENTS + 1


# --- whom writes poke


def registrations(database: SqliteD1) -> list[tuple[int, int]]:
    """Where in which batch a shard was registered."""
    return [
        (number, place)
        for number, batch in enumerate(database.batches)
        for place, statement in enumerate(batch)
        if "INTO trackers" in statement.sql
    ]


def test_a_shard_is_registered_in_the_batch_that_says_from_where_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 1)
    database = SqliteD1()
    pump = Pump(database)
    for name in ("a", "b", "c"):
        pump.join(plan_of(INSTANCE, id=name), name)
    pump.round()
    assert len(database.batches) == 3
    assert registrations(database) == [(0, 1)]
    assert database.rows("SELECT shard FROM trackers") == [("s",)]
    database.batches.clear()
    pump.round()
    assert registrations(database) == []


def test_a_shard_that_was_registered_may_be_again() -> None:
    database = SqliteD1()
    for _ in range(2):
        pump = Pump(database)
        pump.join(plan_of(REFERENCE, t="t", id="1"))
        pump.round()
    assert database.rows("SELECT shard FROM trackers") == [("s",)]
    finished(polling.unregister(database, "other"))
    finished(polling.unregister(database, "s"))
    finished(polling.unregister(database, "s"))
    assert database.rows("SELECT shard FROM trackers") == []
