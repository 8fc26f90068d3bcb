"""Polls: what fails by itself, and what fails for all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from resolvers.base import limits
from resolvers.ports.database import DatabaseError, Outcome, Statement
from tests.support.d1 import SqliteD1
from tests.support.polls import (
    ALL,
    append,
    broken,
    code,
    of_instance,
    poll,
    positions,
    texts,
    tracked,
)
from tests.support.shards import Shard, ShardHost, shard_host_fixture
from tests.support.subscribers import Subscription
from tests.support.subscribing import PAGE, plan_of
from tracker_do import polling

__all__ = ["shard_host_fixture"]


class Failing:
    """A database in which some statements, or batches by their number, fail."""

    def __init__(
        self,
        database: SqliteD1,
        fails: Callable[[Statement], bool] = lambda _: False,
        message: str = "D1_ERROR: odd: SQLITE_ERROR",
        batches: Sequence[int] = (),
    ) -> None:
        self._database = database
        self._fails = fails
        self._message = message
        self._batches = batches
        self.asked: list[int] = []

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run a batch (see `Database.batch`)."""
        self.asked.append(len(statements))
        if len(self.asked) in self._batches or any(map(self._fails, statements)):
            raise DatabaseError(self._message)
        return await self._database.batch(statements, final=final)


@pytest.mark.parametrize("position", [None, "0", 0])
def test_a_statement_that_fails_by_itself_refuses_its_group_alone(position: Any) -> None:
    writer = tracked()
    writer.update(output=1)
    groups = [(ALL, None), (broken(), position), (of_instance(1), "0")]
    result = poll(writer.database, *groups)
    assert {number: code(errors)[0] for number, errors in result.refused.items()} == {1: "INTERNAL"}
    assert positions(result) == {0: None, 2: None}
    assert (result.live_position, result.more) == (2, False)


def test_all_statements_that_fail_are_found_at_once() -> None:
    groups = [(broken(), None), (ALL, None), (broken(), ""), (broken(), "0")]
    database = Failing(tracked().database)
    result = poll(database, *groups)
    assert sorted(result.refused) == [0, 3]
    assert sorted(result.advances) == [1, 2]
    assert len(database.asked) < 10


@pytest.mark.parametrize(
    "message", ["D1_ERROR: Network connection lost.", "D1_ERROR: overloaded", "no row"]
)
def test_a_database_that_does_not_answer_fails_the_poll(message: str) -> None:
    database = Failing(tracked().database, lambda _: True, message)
    with pytest.raises(DatabaseError, match=message):
        poll(database, (ALL, None))
    assert len(database.asked) == 1


def test_a_failure_that_is_no_groups_own_fails_the_poll() -> None:
    groups = [(ALL, None), (of_instance(1), "0")]
    passing = Failing(tracked().database, batches=(1,))
    with pytest.raises(DatabaseError, match="odd"):
        poll(passing, *groups)
    lasting = Failing(tracked().database, lambda _: True)
    with pytest.raises(DatabaseError, match="odd"):
        poll(lasting, *groups)


def test_a_connection_that_is_lost_while_a_group_is_looked_for_refuses_nobody() -> None:
    groups = [(ALL, None), (broken(), None), (of_instance(1), None)]
    for lost in (2, 3, 4):
        database = Failing(tracked().database, batches=(lost,), message="Network connection lost.")
        with pytest.raises(DatabaseError, match="Network"):
            poll(database, *groups)


def test_a_statement_that_fails_is_found_among_many_plans_in_few_round_trips() -> None:
    plans = [of_instance(n) for n in range(3 * limits.MAX_POLL_STATEMENTS)]
    writer = tracked()
    writer.track(*[{"instance": {"instanceId": f"i{n}", "workflow": "w"}} for n in range(50)])
    plan = plans[7]
    plans[7] = replace(plan, sql="SELECT nothing FROM nowhere", _parameters=())
    groups = [(plan, None) for plan in plans]
    database = Failing(writer.database)
    result = poll(database, *groups)
    assert list(result.refused) == [7]
    assert list(texts(result)) == [number for number in range(50) if number != 7]
    # Not one for each plan: a Worker has a thousand in all.
    assert len(database.asked) < 30


def test_a_later_batch_that_fails_fails_the_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 1)
    groups = [(ALL, "0"), (of_instance(1), "0")]
    lost = Failing(tracked().database, batches=(2,), message="Network connection lost.")
    with pytest.raises(DatabaseError, match="Network"):
        poll(lost, *groups)


def test_a_poll_that_failed_is_made_again_later_and_later(shard_host: ShardHost) -> None:
    shard = Shard(shard_host)
    subscriber = shard.connect().subscribe(Subscription("log", _LOG))
    writer = tracked(shard.database)
    shard.failing = 100
    for seconds in (1, 2, 4):
        began = time.time()
        shard.fire_alarm()
        assert shard.alarm_at is not None
        assert began + seconds <= shard.alarm_at / 1_000 + 0.01 <= time.time() + seconds + 0.01
        # The number of failures is stored.
        shard.evict()
    assert subscriber.events == []
    shard.failing = 0
    shard.fire_alarm()
    assert len(subscriber.events) == writer.head()


# --- texts that are too long

_LONG = "x" * 500_000
_OUTPUTS = "subscription { workflowEvents { cursor events { cursor %s } } }"
_OUTPUT = _OUTPUTS % "instance { output }"
_FIVE = " ".join(f"o{n}: output" for n in range(5))
_TOO_LONG = _OUTPUTS % f"instance {{ {_FIVE} }}"
_OBJECT = f'subscription {{ instance(instanceId: "i") {{ {_FIVE} }} }}'
_LOG = f"subscription {{ workflowEvents {{ {PAGE} cursor }} }}"


def test_a_window_whose_text_is_too_long_is_made_smaller() -> None:
    writer = tracked()
    writer.update(output=_LONG)
    append(writer.database, 12, 10)
    result = poll(writer.database, (plan_of(_OUTPUT), "0"), (ALL, "0"))
    # 1,000, 125, 15, 1; and twice that the next time.
    assert (positions(result)[0], result.window, result.more) == (1, 2, True)
    # Once the texts are short, it grows as far as it may.
    writer.update(output=1)
    for window in (1, 2, 500, 501, 1_000):
        result = poll(writer.database, (plan_of(_OUTPUT), None), live_position=12, window=window)
        assert result.window == min(2 * window, limits.MAX_POLL_EVENTS)


def test_events_whose_texts_are_long_come_in_small_pages(shard_host: ShardHost) -> None:
    shard = Shard(shard_host)
    writer = tracked(shard.database)
    writer.update(output=_LONG)
    append(writer.database, 12, 10)
    connection = shard.connect()
    subscriber = connection.subscribe(Subscription("outputs", _OUTPUT), 0)
    other = connection.subscribe(Subscription("log", _LOG), 0)
    assert len(subscriber.events) == len(other.events) == 12
    assert {len(event["instance"]["output"]) for event in subscriber.events} == {500_000}
    assert subscriber.errors is None
    # Of three events the text is just short enough.
    reached = [cursor for cursor, _ in subscriber.results]
    assert max(after - before for before, after in pairwise(reached)) <= 3


@pytest.mark.parametrize("query", [_TOO_LONG, _OBJECT])
def test_a_text_that_alone_is_too_long_refuses_its_group_alone(
    query: str, shard_host: ShardHost
) -> None:
    shard = Shard(shard_host)
    writer = tracked(shard.database)
    connection = shard.connect()
    subscribers = [
        connection.subscribe(Subscription(each, each)) for each in (query, _OUTPUT, _LOG)
    ]
    writer.update(output=_LONG)
    shard.notify()
    assert code(subscribers[0].errors) == ("RESULT_TOO_LARGE", None)
    assert [subscriber.errors for subscriber in subscribers[1:]] == [None, None]
    assert [len(subscriber.events) for subscriber in subscribers[1:]] == [1, 1]
    if query == _OBJECT:
        later = connection.subscribe(Subscription("later", query))
        assert code(later.errors) == ("RESULT_TOO_LARGE", None)


def test_a_window_is_no_longer_than_each_plan_may_render() -> None:
    wide = """subscription { workflowEvents { cursor events { cursor instance { reference {
      instances(first: 100) { nodes { id } } } } } } }"""
    writer = tracked()
    append(writer.database, 500, 499)
    plan = plan_of(wide)
    assert 1 < plan.window < 250
    result = poll(writer.database, (plan, "0"))
    assert (positions(result), result.more) == ({0: plan.window}, True)
    assert len(texts(result)[0][1]["events"]) == plan.window
    end = 500 - plan.window
    result = poll(writer.database, (plan, end), live_position=500)
    assert (positions(result), result.more) == ({0: None}, False)
    assert len(texts(result)[0][1]["events"]) == plan.window
