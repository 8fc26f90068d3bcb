"""Polls: where subscribers begin, wait and meet."""

import pytest

from resolvers.base import limits
from tests.support.polls import (
    ALL,
    Interrupted,
    append,
    code,
    cursors,
    of_instance,
    poll,
    positions,
    texts,
    tracked,
)
from tests.support.shards import Shard, ShardHost, shard_host_fixture
from tests.support.subscribers import Subscription
from tests.support.subscribing import INSTANCE, PAGE, plan_of
from tests.support.writing import Writer
from tracker_do import polling, replays

__all__ = ["shard_host_fixture"]

LOG = Subscription("log", f"subscription {{ workflowEvents {{ {PAGE} cursor }} }}")
OBJECT = Subscription("object", INSTANCE, {"id": "i"})

# --- beginning


def test_who_begins_now_is_told_of_what_comes_and_of_objects_as_they_are() -> None:
    writer = tracked()
    plans = [ALL, *(plan_of(INSTANCE, id=name) for name in ("i", "j"))]
    result = poll(writer.database, *[(plan, "") for plan in plans])
    assert (result.live_position, result.more) == (1, False)
    assert {number: value for number, (_, value) in texts(result).items()} == {
        1: {"instanceId": "i", "status": "RUNNING", "output": None},
        2: None,
    }
    assert positions(result) == {0: None, 1: None, 2: None}
    live = [(plan, None) for plan in plans]
    writer.update(output=1)
    result = poll(writer.database, *live, live_position=1)
    assert (result.live_position, result.more) == (2, False)
    assert {number: cursor for number, (cursor, _) in texts(result).items()} == {
        0: f"{2:016}",
        1: f"{2:016}",
    }
    # Nothing has happened, and nobody is told anything.
    assert texts(poll(writer.database, *live, live_position=2)) == {}


def test_who_begins_now_begins_at_the_head_that_the_first_batch_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 1)
    writer = tracked()
    database = Interrupted(writer.database, lambda: writer.update(output=1))
    plans = [ALL, plan_of(INSTANCE, id="i"), of_instance(1)]
    result = poll(database, *[(plan, "") for plan in plans], (ALL, "0"))
    assert database.batches > 1
    assert (result.live_position, positions(result)) == (1, dict.fromkeys(range(4)))
    assert cursors(result, 3) == [1]
    # Those that are live go no further either, however much is written meanwhile.
    head = writer.head()
    again = Interrupted(writer.database, lambda: writer.update(output=2))
    result = poll(again, *[(plan, None) for plan in plans], live_position=1)
    assert again.batches > 1
    assert (result.live_position, cursors(result, 0)) == (head, list(range(2, head + 1)))


def test_who_begins_behind_a_cursor_is_told_of_what_came_since() -> None:
    writer = tracked()
    for output in range(4):
        writer.update(output=output)
    result = poll(writer.database, *[(ALL, f"{after}") for after in (0, 3, 5)])
    assert (result.live_position, result.more) == (5, False)
    assert [cursors(result, n) for n in range(3)] == [[1, 2, 3, 4, 5], [4, 5], []]
    assert positions(result) == {0: None, 1: None, 2: None}


def test_a_subscriber_that_lags_is_read_for_while_others_are_live() -> None:
    writer = tracked()
    writer.update(output=1)
    result = poll(writer.database, (ALL, None), (ALL, "0"), (of_instance(1), "1"), live_position=1)
    assert result.more is False
    assert positions(result) == {0: None, 1: None, 2: None}
    assert [cursors(result, n) for n in range(3)] == [[2], [1, 2], []]


def test_the_live_ones_stop_where_somebody_waits_for_them() -> None:
    writer = tracked()
    append(writer.database, 9, 8)
    result = poll(writer.database, (ALL, None), (ALL, "5"), live_position=1)
    assert (result.live_position, result.more) == (5, True)
    assert [cursors(result, n) for n in range(2)] == [[2, 3, 4, 5], []]
    assert positions(result) == {0: None, 1: None}
    result = poll(writer.database, (ALL, None), live_position=5)
    assert (result.live_position, result.more) == (9, False)
    assert cursors(result, 0) == [6, 7, 8, 9]


def test_who_waits_at_the_head_is_met_by_many_live_ones(
    monkeypatch: pytest.MonkeyPatch, shard_host: ShardHost
) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 1)
    monkeypatch.setattr(polling, "MAX_POLL_EVENTS", 3)
    shard = Shard(shard_host, pollEvents=3)
    writer = tracked(shard.database)
    live = [shard.connect().subscribe(each) for each in (LOG, OBJECT)]
    append(writer.database, 9, 8)
    waiting = [shard.connect().subscribe(LOG, 9), shard.connect().subscribe(OBJECT)]
    assert [subscriber.position for subscriber in (*live, *waiting)] == [None] * 4
    assert [len(subscriber.results) for subscriber in (live[0], waiting[0])] == [3, 0]


def test_with_nobody_live_the_shard_stands_at_the_head() -> None:
    writer = tracked()
    append(writer.database, 2_500, 2_499)
    result = poll(writer.database, (ALL, "0"))
    assert (result.live_position, result.more) == (2_500, True)
    assert positions(result) == {0: 1_000}
    read = cursors(result, 0)
    joined = plan_of(INSTANCE, id="i")
    result = poll(writer.database, (ALL, 1_000), (joined, ""), live_position=2_500)
    assert (result.live_position, positions(result)) == (2_500, {0: 2_000, 1: None})
    read += cursors(result, 0)
    result = poll(writer.database, (ALL, 2_000), live_position=2_500)
    assert (positions(result), result.more) == ({0: None}, False)
    assert [*read, *cursors(result, 0)] == list(range(1, 2_501))


# --- refusals


def test_a_cursor_that_the_log_has_not_come_to_is_refused() -> None:
    database = tracked().database
    for after in ("2", f"{2**53 - 1}"):
        result = poll(database, (ALL, after))
        assert code(result.refused[0]) == ("INVALID_ARGUMENT", "after")
        assert (result.advances, result.more, result.live_position) == ({}, False, 1)
    result = poll(database, (of_instance(7), ""), (ALL, "0"), (ALL, "2"))
    assert code(result.refused[2]) == ("INVALID_ARGUMENT", "after")
    assert (positions(result), len(result.refused)) == ({0: None, 1: None}, 1)
    assert (result.more, result.live_position) == (False, 1)


def test_as_many_events_are_replayed_as_the_limit_and_no_more(shard_host: ShardHost) -> None:
    shard = Shard(shard_host)
    writer = tracked(shard.database)
    append(writer.database, limits.MAX_REPLAY_EVENTS)
    connection = shard.connect()
    taken = connection.subscribe(LOG, 0)
    assert (taken.errors, len(taken.events)) == (None, 2)
    append(writer.database, limits.MAX_REPLAY_EVENTS + 1)
    refused, near = connection.subscribe(LOG, 0), connection.subscribe(LOG, 1)
    assert code(refused.errors) == ("REPLAY_TOO_LONG", "MAX_REPLAY_EVENTS")
    assert (near.errors, taken.errors) == (None, None)
    assert [len(subscriber.events) for subscriber in (near, taken)] == [2, 3]


def test_who_has_begun_is_not_refused_for_falling_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MAX_REPLAY_EVENTS", 3)
    database = tracked().database
    append(database, 3, 2)
    result = poll(database, (ALL, "0"), window=1)
    assert (result.refused, positions(result)) == ({}, {0: 1})
    append(database, 9, 6)
    result = poll(database, (ALL, 1), live_position=3)
    assert (result.refused, cursors(result, 0)) == ({}, list(range(2, 10)))


# --- the log grows shorter


def shortened() -> Writer:
    """A log whose newest events can be removed with their instance, as retention does it."""
    writer = tracked()
    writer.create("RUNNING", "old")
    for output in range(4):
        writer.update("old", output=output)
    return writer


def remove(writer: Writer) -> None:
    """The newest events go."""
    writer.database.connection.execute("DELETE FROM instances WHERE instance_id='old'")


def test_a_cursor_is_good_though_its_event_is_not_kept_any_more() -> None:
    writer = shortened()
    cursor = writer.head()
    remove(writer)
    result = poll(writer.database, (ALL, f"{cursor}"))
    assert (result.refused, positions(result), result.more) == ({}, {0: None}, False)
    writer.update(output="new")
    result = poll(writer.database, (ALL, None), live_position=result.live_position)
    [(_, page)] = texts(result).values()
    assert [event["instance"]["instanceId"] for event in page["events"]] == ["i"]


def test_nobody_waits_for_events_that_are_not_kept_any_more() -> None:
    writer = shortened()
    head = writer.head()
    result = poll(writer.database, (ALL, None), (ALL, f"{head}"), live_position=1, window=1)
    assert (result.live_position, positions(result)) == (2, {0: None, 1: head})
    remove(writer)
    result = poll(writer.database, (ALL, None), (ALL, head), live_position=2)
    assert (result.live_position, positions(result)) == (head, {0: None, 1: None})
    writer.update(output="new")
    result = poll(writer.database, (ALL, None), live_position=head)
    assert cursors(result, 0) == [head + 1]
