"""Polls: what fails by itself, and what fails for all."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from resolvers.base import limits
from resolvers.ports.database import DatabaseError, Outcome, Statement
from resolvers.subscriptions.plans import SubscriptionPlan
from tests.support.client import finished
from tests.support.d1 import SqliteD1
from tests.support.pumping import ALL, Pump, append, code, of_instance, tracked
from tests.support.subscribing import plan_of
from tracker_do import polling
from tracker_do.polls import Group, PollRequest


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
        """See the port."""
        self.asked.append(len(statements))
        if len(self.asked) in self._batches or any(map(self._fails, statements)):
            raise DatabaseError(self._message)
        return await self._database.batch(statements, final=final)


def broken() -> SubscriptionPlan:
    """A plan whose statement no database runs."""
    plan = of_instance(9)
    return replace(plan, sql="SELECT nothing FROM nowhere", _parameters=())


@pytest.mark.parametrize("position", [None, "0", 0])
def test_a_statement_that_fails_by_itself_refuses_its_group_alone(position: Any) -> None:
    writer = tracked()
    writer.update(output=1)
    groups = [Group(ALL, None), Group(broken(), position), Group(of_instance(1), "0")]
    result = finished(polling.poll(writer.database, PollRequest("s", True, 0, groups), 1_000))
    assert {number: code(errors)[0] for number, errors in result.refused.items()} == {1: "INTERNAL"}
    assert {n: advance.position for n, advance in result.advances.items()} == {
        0: None,
        2: None,
    }
    assert (result.live_position, result.more) == (2, False)


def test_all_statements_that_fail_are_found_at_once() -> None:
    groups = [Group(broken(), None), Group(ALL, None), Group(broken(), ""), Group(broken(), "0")]
    database = Failing(tracked().database)
    result = finished(polling.poll(database, PollRequest("s", True, 0, groups), 1_000))
    assert sorted(result.refused) == [0, 3]
    assert sorted(result.advances) == [1, 2]
    assert len(database.asked) < 10


@pytest.mark.parametrize(
    "message", ["D1_ERROR: Network connection lost.", "D1_ERROR: overloaded", "no row"]
)
def test_a_database_that_does_not_answer_fails_the_round(message: str) -> None:
    database = Failing(tracked().database, lambda _: True, message)
    with pytest.raises(DatabaseError, match=message):
        finished(polling.poll(database, PollRequest("s", True, 0, [Group(ALL, None)]), 1_000))
    assert len(database.asked) == 1


def test_a_failure_that_is_no_groups_own_fails_the_round() -> None:
    groups = [Group(ALL, None), Group(of_instance(1), "0")]
    passing = Failing(tracked().database, batches=(1,))
    with pytest.raises(DatabaseError, match="odd"):
        finished(polling.poll(passing, PollRequest("s", True, 0, groups), 1_000))
    lasting = Failing(tracked().database, lambda _: True)
    with pytest.raises(DatabaseError, match="odd"):
        finished(polling.poll(lasting, PollRequest("s", True, 0, groups), 1_000))


def test_a_connection_that_is_lost_while_a_group_is_looked_for_refuses_nobody() -> None:
    groups = [Group(ALL, None), Group(broken(), None), Group(of_instance(1), None)]
    for lost in (2, 3, 4):
        database = Failing(tracked().database, batches=(lost,), message="Network connection lost.")
        with pytest.raises(DatabaseError, match="Network"):
            finished(polling.poll(database, PollRequest("s", True, 0, groups), 1_000))


def test_a_statement_that_fails_is_found_among_many_plans_in_few_round_trips() -> None:
    plans = [of_instance(n) for n in range(3 * limits.MAX_POLL_STATEMENTS)]
    writer = tracked()
    writer.track(*[{"instance": {"instanceId": f"i{n}", "workflow": "w"}} for n in range(50)])
    plan = plans[7]
    plans[7] = replace(plan, sql="SELECT nothing FROM nowhere", _parameters=())
    groups = [Group(plan, None) for plan in plans]
    database = Failing(writer.database)
    result = finished(polling.poll(database, PollRequest("s", True, 0, groups), 1_000))
    assert list(result.refused) == [7]
    told = [number for number, advance in result.advances.items() if advance.text is not None]
    assert told == [number for number in range(50) if number != 7]
    # Not one for each plan: a Worker has a thousand in all.
    assert len(database.asked) < 30


def test_a_later_batch_that_fails_fails_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 1)
    groups = [Group(ALL, "0"), Group(of_instance(1), "0")]
    lost = Failing(tracked().database, batches=(2,), message="Network connection lost.")
    with pytest.raises(DatabaseError, match="Network"):
        finished(polling.poll(lost, PollRequest("s", True, 0, groups), 1_000))


# --- texts that are too long

_LONG = "x" * 500_000
_OUTPUTS = "subscription { workflowEvents { cursor events { cursor %s } } }"
_OUTPUT = plan_of(_OUTPUTS % "instance { output }")
_TOO_LONG = plan_of(_OUTPUTS % f"instance {{ {' '.join(f'o{n}: output' for n in range(5))} }}")


def test_a_window_whose_text_is_too_long_is_made_smaller() -> None:
    writer = tracked()
    writer.update(output=_LONG)
    append(writer.database, 12, 10)
    pump = Pump(writer.database)
    member, other = pump.join(_OUTPUT, after=0), pump.join(ALL, after=0)
    result = pump.round()
    # 1,000, 125, 15, 1; and twice that the next time.
    assert (member.position, result.window, result.more) == (1, 2, True)
    pump.settle()
    assert len(member.events) == len(other.events) == 12
    assert {len(event["instance"]["output"]) for event in member.events} == {500_000}
    assert member.errors is None
    # Of three events the text is just short enough.
    assert max(reached - before for (before, _), (reached, _) in pairwise(member.told)) <= 3
    writer.update(output=1)
    for _ in range(12):
        pump.round()
    assert pump.window == limits.MAX_POLL_EVENTS


def test_an_event_whose_text_alone_is_too_long_refuses_its_group_alone() -> None:
    writer = tracked()
    pump = Pump(writer.database)
    members = [pump.join(plan) for plan in (_TOO_LONG, _OUTPUT, ALL)]
    pump.round()
    writer.update(output=_LONG)
    pump.settle()
    assert code(members[0].errors) == ("RESULT_TOO_LARGE", None)
    assert [member.errors for member in members[1:]] == [None, None]
    assert [len(member.events) for member in members[1:]] == [1, 1]


def test_an_object_whose_text_is_too_long_refuses_its_group_alone() -> None:
    writer = tracked()
    outputs = " ".join(f"o{n}: output" for n in range(5))
    pump = Pump(writer.database)
    plan = plan_of(f'subscription {{ instance(instanceId: "i") {{ {outputs} }} }}')
    members = [pump.join(plan), pump.join(ALL)]
    pump.round()
    writer.update(output=_LONG)
    later = pump.join(plan, "later")
    pump.settle()
    assert code(members[0].errors) == code(later.errors) == ("RESULT_TOO_LARGE", None)
    assert (members[1].errors, len(members[1].events)) == (None, 1)


def test_a_window_is_no_longer_than_each_plan_may_render() -> None:
    wide = """subscription { workflowEvents { cursor events { cursor instance { reference {
      instances(first: 100) { nodes { id } } } } } } }"""
    writer = tracked()
    append(writer.database, 500, 499)
    pump = Pump(writer.database)
    plan = plan_of(wide)
    assert 1 < plan.window < 250
    member = pump.join(plan, after=0)
    pump.round()
    assert member.position == plan.window
    pump.settle()
    assert len(member.events) == 500
