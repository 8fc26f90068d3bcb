"""Polls: how much is read, and in how many round trips."""

from typing import Any

import pytest

from resolvers.base import limits
from resolvers.subscriptions.plans import SubscriptionPlan
from tests.support.client import finished
from tests.support.d1 import SqliteD1
from tests.support.polls import (
    ALL,
    append,
    cursors,
    of_instance,
    poll,
    positions,
    texts,
    tracked,
)
from tests.support.shards import Shard, ShardHost, shard_host_fixture
from tests.support.subscribers import Subscription
from tests.support.subscribing import INSTANCE, REFERENCE, plan_of
from tracker_do import polling

__all__ = ["shard_host_fixture"]

# --- round trips


def live(count: int) -> list[tuple[SubscriptionPlan, None]]:
    """So many groups, each of an instance, that have come to event 1."""
    return [(of_instance(number), None) for number in range(count)]


def sizes(database: SqliteD1) -> list[int]:
    """The number of statements of each batch, except the batches of the test's own writes."""
    return [len(b) for b in database.batches if b[0].sql.startswith("SELECT")]


@pytest.mark.parametrize("count", [1, 99, limits.MAX_POLL_STATEMENTS])
def test_a_poll_for_a_hundred_groups_is_one_round_trip(count: int) -> None:
    writer = tracked()
    writer.create("RUNNING", "i0")
    writer.database.batches.clear()
    result = poll(writer.database, *live(count), live_position=1)
    # The head of the log, and a statement for each group.
    assert sizes(writer.database) == [1 + count]
    assert {n: cursors(result, n) for n in range(min(count, 2))} == {
        n: [[2], []][n] for n in range(min(count, 2))
    }


def test_a_poll_for_more_groups_asks_first_which_of_them_it_is_for() -> None:
    writer = tracked()
    groups = live(limits.MAX_POLL_STATEMENTS + 1)
    writer.database.batches.clear()
    poll(writer.database, *groups, live_position=1)
    assert sizes(writer.database) == [2]
    writer.create("RUNNING", "i7")
    writer.database.batches.clear()
    result = poll(writer.database, *groups, live_position=1)
    assert sizes(writer.database) == [2, 1]
    assert list(texts(result)) == [7]
    assert positions(result) == dict.fromkeys(range(limits.MAX_POLL_STATEMENTS + 1))


def test_groups_that_an_event_is_for_are_read_a_hundred_at_a_time() -> None:
    count = 2 * limits.MAX_POLL_STATEMENTS + 1
    writer = tracked()
    for start in range(0, count, 99):
        updates = range(start, min(start + 99, count))
        writer.track(*[{"instance": {"instanceId": f"i{n}", "workflow": "w"}} for n in updates])
    writer.database.batches.clear()
    result = poll(writer.database, *live(count), live_position=1)
    assert sizes(writer.database) == [2, 100, 100, 1]
    assert [len(cursors(result, n)) for n in range(count)] == [1] * count


def test_so_many_groups_catch_up_in_a_poll_and_no_more() -> None:
    database = tracked().database
    plans = [of_instance(n) for n in range(limits.MAX_POLL_REPLAYS + 1)]
    result = poll(database, *[(plan, "0") for plan in plans])
    assert positions(result) == dict.fromkeys(range(limits.MAX_POLL_REPLAYS))
    assert result.more
    *arrived, last = plans
    groups: list[tuple[SubscriptionPlan, Any]] = [(plan, None) for plan in arrived]
    result = poll(database, *groups, (last, "0"), live_position=1)
    assert result.more is False
    assert positions(result) == dict.fromkeys(range(limits.MAX_POLL_REPLAYS + 1))


def test_who_waits_to_catch_up_has_its_turn(
    monkeypatch: pytest.MonkeyPatch, shard_host: ShardHost
) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_REPLAYS", 1)
    monkeypatch.setattr(polling, "MAX_POLL_EVENTS", 1)
    shard = Shard(shard_host, pollReplays=1, pollEvents=1)
    append(tracked(shard.database).database, 6, 5)
    shard.hold_answers()
    subscribers = [
        shard.connect().subscribe(
            Subscription(name, f"subscription {name} {{ workflowEvents {{ cursor {_EVENTS} }} }}"),
            0,
        )
        for name in "abc"
    ]
    for _ in range(3):
        shard.release_answers(hold=True)
    assert [subscriber.position for subscriber in subscribers] == [1, 1, 1]


_EVENTS = "events { cursor }"


@pytest.mark.parametrize("position", [None, 1])
def test_a_window_takes_as_many_events_as_the_limit_and_no_more(position: int | None) -> None:
    writer = tracked()
    append(writer.database, 1 + limits.MAX_POLL_EVENTS, limits.MAX_POLL_EVENTS)
    result = poll(writer.database, (ALL, position), live_position=1)
    assert (len(cursors(result, 0)), result.more) == (limits.MAX_POLL_EVENTS, False)
    head = writer.head()
    append(writer.database, head + limits.MAX_POLL_EVENTS + 1, limits.MAX_POLL_EVENTS + 1)
    result = poll(writer.database, (ALL, position and head), live_position=head)
    assert (len(cursors(result, 0)), result.more) == (limits.MAX_POLL_EVENTS, True)
    reached = head + limits.MAX_POLL_EVENTS
    assert (result.live_position, positions(result)) == (
        (reached, {0: None}) if position is None else (reached + 1, {0: reached})
    )
    result = poll(writer.database, (ALL, position and reached), live_position=result.live_position)
    assert (cursors(result, 0), result.more) == ([reached + 1], False)


# --- whom writes notify


def registrations(database: SqliteD1) -> list[tuple[int, int]]:
    """The batches and positions in them at which a shard was registered."""
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
    plans = [plan_of(INSTANCE, id=name) for name in ("a", "b", "c")]
    poll(database, *[(plan, "") for plan in plans], registered=False)
    assert len(database.batches) == 3
    assert registrations(database) == [(0, 1)]
    assert database.rows("SELECT shard FROM trackers") == [("s",)]
    database.batches.clear()
    poll(database, *[(plan, None) for plan in plans])
    assert registrations(database) == []


def test_a_shard_that_was_registered_may_be_again() -> None:
    database = SqliteD1()
    for _ in range(2):
        poll(database, (plan_of(REFERENCE, t="t", id="1"), ""), registered=False)
    assert database.rows("SELECT shard FROM trackers") == [("s",)]
    finished(polling.unregister(database, "other"))
    finished(polling.unregister(database, "s"))
    finished(polling.unregister(database, "s"))
    assert database.rows("SELECT shard FROM trackers") == []
