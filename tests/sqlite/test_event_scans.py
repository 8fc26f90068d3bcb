"""The events that a page reads, and what cursors reveal of events that a caller may not see."""

from typing import Any

import pytest

from resolvers.access.principals import Principal, Restrictions, principal
from resolvers.base.limits import MAX_EVENTS_SCANNED, MAX_REPLAY_EVENTS
from resolvers.base.vocabulary import Scope
from tests.support import windows
from tests.support.client import ADMIN, Client
from tests.support.polls import append, code, poll
from tests.support.shards import Shard, ShardHost, shard_host_fixture
from tests.support.subscribers import Subscription
from tests.support.subscribing import (
    INSTANCE,
    REFERENCE,
    events_plan,
    head_of,
    plan_of,
)
from tests.support.subscribing import (
    PAGE as EVENTS,
)
from tests.support.writing import Writer

__all__ = ["shard_host_fixture"]

ORIGIN = "0" * 16
PAGE = """query ($f: EventFilter, $a: EventCursor, $n: Int) {
  events(filter: $f, after: $a, first: $n) { cursor hasMore events { cursor type } } }"""
OWN = {"refType": "t", "refId": "own"}
RESTRICTIONS = {
    "reference": Restrictions(reference=("t", "own")),
    "instance": Restrictions(instance_id="mine"),
    "both": Restrictions(reference=("t", "own"), workflows=("w",)),
}


def caller_of(limits: Restrictions) -> Principal:
    return principal(Scope.WRITE, restrictions=limits)


def page(client: Client, **variables: Any) -> Any:
    return client(PAGE, **variables)["events"]


def log_of_two() -> Writer:
    """The instance `mine`, by event 1, and `other` after it."""
    writer = Writer()
    writer.create("RUNNING", "mine", reference=OWN)
    writer.update("other", workflow="v", status="RUNNING")
    return writer


# --- how much is read


def test_a_page_ends_where_it_has_read_enough() -> None:
    writer = log_of_two()
    append(writer.database, 25_000, 24_998)
    writer.update("other", status="TERMINATED")
    found, ends, after = [], [], None
    while True:
        part = page(writer.client, f={"type": ["INSTANCE_TERMINATED"]}, a=after)
        found += part["events"]
        ends.append(int(part["cursor"]))
        if not part["hasMore"]:
            break
        after = part["cursor"]
    assert ends == [MAX_EVENTS_SCANNED, 2 * MAX_EVENTS_SCANNED, 25_001]
    assert [event["type"] for event in found] == ["INSTANCE_TERMINATED"]


def test_a_page_begins_with_what_retention_has_left() -> None:
    writer = log_of_two()
    append(writer.database, 40_000, 39_998)
    writer.database.connection.execute("DELETE FROM events WHERE id BETWEEN 5 AND 30000")
    part = page(writer.client, f={"type": ["INSTANCE_TERMINATED"]}, a=f"{5:016}")
    assert part == {"cursor": f"{40_000:016}", "hasMore": False, "events": []}
    # Without a filter a page is as full as it can be.
    whole = page(writer.client, n=1_000)
    assert (len(whole["events"]), whole["hasMore"]) == (1_000, True)


def test_a_full_page_knows_whether_more_follow_as_far_as_it_looks() -> None:
    writer = log_of_two()
    filter_ = {"workflow": ["v"]}
    assert page(writer.client, f=filter_, n=1)["hasMore"] is False
    append(writer.database, MAX_EVENTS_SCANNED + 1, MAX_EVENTS_SCANNED - 1)
    assert page(writer.client, f=filter_, n=1)["hasMore"] is False
    append(writer.database, MAX_EVENTS_SCANNED + 3, 2)
    assert page(writer.client, f=filter_, n=1)["hasMore"] is True
    assert page(writer.client, f=filter_, n=0)["hasMore"] is False


@pytest.mark.parametrize(
    "filter_",
    [{"instanceId": "mine"}, {"reference": {"refId": "own"}}, {"reference": OWN}],
    ids=str,
)
def test_a_filter_that_names_few_instances_finds_all_at_once(filter_: dict[str, Any]) -> None:
    writer = log_of_two()
    append(writer.database, 25_000, 24_998)
    writer.database.connection.execute("UPDATE events SET instance=2 WHERE id>2")
    writer.update("mine", status="COMPLETED")
    part = page(writer.client, f=filter_)
    assert [int(event["cursor"]) for event in part["events"]] == [1, 25_001]
    assert part["hasMore"] is False


# --- what cursors reveal


@pytest.mark.parametrize("limits", RESTRICTIONS.values(), ids=RESTRICTIONS)
def test_a_caller_with_restrictions_gets_the_cursors_of_its_own_events(
    limits: Restrictions,
) -> None:
    writer = log_of_two()
    mine = writer.client.as_(caller_of(limits))
    for _ in range(3):
        assert page(mine, n=0)["cursor"] == f"{1:016}"
        assert page(mine)["cursor"] == f"{1:016}"
        behind = page(mine, a=f"{1:016}")
        assert behind == {"cursor": f"{1:016}", "hasMore": False, "events": []}
        nested = mine('{ instance(instanceId: "mine") { events(first: 0) { cursor } } }')
        assert nested["instance"]["events"]["cursor"] == f"{1:016}"
        assert Writer(mine).track()["cursor"] == f"{1:016}"
        # Events of other instances change nothing.
        append(writer.database, head_of(writer.database) + 20_000, 20_000)
        writer.database.connection.execute("UPDATE events SET instance=2 WHERE id>2")
    recorded = Writer(mine).track({"instance": {"instanceId": "mine", "metadata": {"a": 1}}})
    assert recorded["cursor"] == page(mine, n=0)["cursor"] == f"{head_of(writer.database):016}"


def test_who_sees_nothing_is_told_of_no_position() -> None:
    writer = log_of_two()
    for limits in (Restrictions(reference=("t", "none")), Restrictions(instance_id="none")):
        nobody = writer.client.as_(caller_of(limits))
        assert page(nobody, n=0)["cursor"] == page(nobody)["cursor"] == ORIGIN


def test_a_caller_of_workflows_learns_of_tens_of_thousands_at_most() -> None:
    writer = log_of_two()
    mine = writer.client.as_(caller_of(Restrictions(workflows=("w",))))
    assert page(mine, n=0)["cursor"] == page(mine)["cursor"] == f"{1:016}"
    ends = set()
    for count in (10_001, 14_999, 19_999, 20_000, 20_001):
        append(writer.database, count, count - head_of(writer.database))
        writer.database.connection.execute("UPDATE events SET instance=2 WHERE id>2")
        ends.add((page(mine, n=0)["cursor"], page(mine)["cursor"]))
    round_numbers = {f"{n * MAX_EVENTS_SCANNED:016}" for n in (0, 1)}
    assert {end for end, _ in ends} <= {*round_numbers, f"{1:016}"}
    assert {end for _, end in ends} == {f"{MAX_EVENTS_SCANNED:016}"}


# --- replays


def test_frames_for_a_caller_with_restrictions_have_cursors_of_its_own_events() -> None:
    writer = log_of_two()
    caller = caller_of(RESTRICTIONS["reference"])
    plans = (
        events_plan(caller),
        plan_of(INSTANCE, caller=caller, id="mine"),
        plan_of(REFERENCE, caller=caller, t="t", id="own"),
    )
    writer.update("mine", metadata={"a": 1})
    writer.update("other", metadata={"a": 1})
    for plan in plans:
        [row] = writer.database.rows(*_of(plan.statement(0, 9)))
        assert row[0][:16] == f"{3:016}"
        assert writer.database.rows(*_of(plan.statement(3, 9)))[:1] in ([], [(None,)])
    for plan in plans[1:]:
        [row] = writer.database.rows(*_of(plan.statement(0, 9, initial=True)))
        assert row[0][:16] == " " * 16


def _of(statement: Any) -> tuple[Any, ...]:
    return (statement.sql, *statement.parameters)


def log_of(name: str, caller: Principal = ADMIN) -> Subscription:
    """A subscription of all events that the caller may see."""
    return Subscription(
        name, f"subscription {{ workflowEvents {{ {EVENTS} cursor }} }}", {}, caller
    )


@pytest.mark.parametrize("limits", RESTRICTIONS.values(), ids=RESTRICTIONS)
def test_a_replay_counts_and_reads_the_callers_own_events(
    limits: Restrictions, shard_host: ShardHost
) -> None:
    writer = log_of_two()
    append(writer.database, 3 * MAX_REPLAY_EVENTS, 3 * MAX_REPLAY_EVENTS - 2)
    writer.database.connection.execute("UPDATE events SET instance=2 WHERE id>2")
    writer.update("mine", metadata={"a": 1})
    shard = Shard(shard_host, writer.database)
    caller = caller_of(limits)
    subscriber = shard.connect(caller).subscribe(log_of("own", caller), 0)
    far = shard.connect().subscribe(log_of("all"), 0)
    assert (subscriber.errors, subscriber.position) == (None, None)
    found = [int(event["cursor"]) for event in subscriber.events]
    assert found == [1, 3 * MAX_REPLAY_EVENTS + 1]
    assert code(far.errors) == ("REPLAY_TOO_LONG", "MAX_REPLAY_EVENTS")
    # The events between the own ones are skipped, not read.
    assert shard.status()["polls"] <= 6


@pytest.mark.parametrize(
    "limits",
    [*RESTRICTIONS.values(), Restrictions(workflows=("w",))],
    ids=[*RESTRICTIONS, "workflows"],
)
def test_a_cursor_ahead_of_the_log_tells_a_caller_with_restrictions_nothing(
    limits: Restrictions, shard_host: ShardHost
) -> None:
    writer = log_of_two()
    caller = caller_of(limits)
    for after in (2, 3, 2**53 - 1):
        shard = Shard(shard_host, writer.database)
        subscriber = shard.connect(caller).subscribe(log_of("own", caller), after)
        subscriber.earliest = head = writer.head()
        everybody = shard.connect().subscribe(log_of("all"), after)
        shard.notify()
        assert (subscriber.errors, subscriber.events) == (None, [])
        assert (everybody.errors is None) is (after == 2)
        writer.update("mine", metadata={"after": after})
        shard.notify()
        assert [int(event["cursor"]) for event in subscriber.events] == [head + 1]
        writer.database.connection.execute("DELETE FROM events WHERE id>2")
        writer.database.connection.execute("UPDATE sqlite_sequence SET seq=2 WHERE name='events'")


def test_a_replay_that_is_refused_says_nothing_of_the_log_to_who_may_not_see_it() -> None:
    writer = log_of_two()
    append(writer.database, 2 * MAX_REPLAY_EVENTS, 2 * MAX_REPLAY_EVENTS - 2)
    callers = {
        "workflows": Restrictions(workflows=("w",)),
        "its own": RESTRICTIONS["instance"],
        "nothing": windows.RESTRICTIONS["nothing"],
    }
    groups = [(events_plan(caller_of(limits)), "0") for limits in callers.values()]
    result = poll(writer.database, *groups)
    for number, name in enumerate(callers):
        assert code(result.refused[number]) == ("REPLAY_TOO_LONG", "MAX_REPLAY_EVENTS")
        tells = str(2 * MAX_REPLAY_EVENTS) in result.refused[number][0]["message"]
        assert tells is (name == "nothing")
