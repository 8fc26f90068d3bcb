"""Prefetched results that come with a notification, and the position that sockets keep."""

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_OPERATION_ID
from tests.support.timing import until
from tests.worker.api import Api
from tests.worker.event_log import (
    START,
    STEP,
    TRACK,
    WORKFLOW_EVENTS,
    cursors_of,
    head,
    touch,
    write_without_notifying,
)
from tests.worker.raw_socket import RawSocket, events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from scripts.local_server import LocalServer

INSTANCE = """subscription Instance($id: String!) {
  instance(instanceId: $id) { status metadata steps { name status } }
}"""
# Only events of steps have attempts to read.
ATTEMPTS = """subscription Attempts($filter: EventFilter) {
  workflowEvents(filter: $filter) { events { cursor step { attempts { number } } } }
}"""


@pytest.fixture
def api(rough: LocalServer) -> Iterator[Api]:
    """A caller of it."""
    with Api(rough) as caller:
        yield caller


@pytest.fixture
def sockets(rough: LocalServer) -> Iterator[Callable[[], RawSocket]]:
    """A function that opens an acknowledged socket, which is closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(RawSocket(rough).init())


def follow(socket: RawSocket, name: str, query: str = WORKFLOW_EVENTS) -> None:
    """Subscribe to a workflow's events, as "1"."""
    socket.subscribe("1", query, variables={"filter": {"workflow": [name]}})


def settle(server: LocalServer) -> dict[str, Any]:
    """Poll until all groups are live; the status of the shard. The prefetch for the next write
    comes with the answer to the next notification."""
    for _ in range(2):
        server.tracker("notify")
    status: dict[str, Any] = server.tracker("status")
    return status


def prime(server: LocalServer, api: Api, name: str, sockets: Sequence[RawSocket]) -> dict[str, Any]:
    """Have the next write prefetch the results for these sockets; return the shard's status."""
    settle(server)
    touch(api, name, "primes")
    for socket in sockets:
        socket.receive_until(lambda got: len(events_of(got, "1")) >= 1)
    status: dict[str, Any] = server.tracker("status")
    return status


def received(socket: RawSocket, count: int, after: str) -> list[str]:
    """The cursors after `after` of the next events of a socket, at least `count` of them."""

    def cursors(got: list[Any]) -> list[str]:
        return [e["cursor"] for e in events_of(got, "1") if e["cursor"] > after]

    return cursors(socket.receive_until(lambda got: len(cursors(got)) >= count))


# --- prefetched results


def test_a_write_brings_the_prefetched_results_with_its_notification(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    first, second = sockets(), sockets()
    for socket in (first, second):
        follow(socket, name)
    second.subscribe("i", INSTANCE, variables={"id": name})
    before = prime(rough, api, name, [first, second])
    after = head(api)
    for n in range(5):
        touch(api, name, f"note {n}")
        api.data(STEP, input={"instanceId": name, "name": f"step {n}", "status": "RUNNING"})
        # Each has been delivered before the next is written.
        expected = cursors_of(api, name, after)
        assert received(first, len(expected), after) == expected
        after = expected[-1]
    status = rough.tracker("status")
    prefetched, polls = (status[what] - before[what] for what in ("prefetched", "polls"))
    # On a busy machine the prefetch, in the answer to a notification, may miss the next write.
    assert prefetched >= 5
    assert prefetched + polls == 10
    shown = [m["payload"]["data"] for m in second.flushed() if m["id"] == "i"]
    assert len(shown) >= 10
    assert shown[-1] == api.data(INSTANCE.replace("subscription", "query"), id=name)


def test_an_event_that_no_subscription_selects_sends_nothing_and_needs_no_poll(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    socket = sockets()
    follow(socket, name)
    before = prime(rough, api, name, [socket])
    api.data(START, input={"workflow": f"{name}-other", "trackOnly": True})
    assert socket.flushed() == []
    status = rough.tracker("status")
    assert status["prefetched"] == before["prefetched"] + 1
    assert (status["polls"], status["position"]) == (before["polls"], int(head(api)))


def test_the_next_notification_makes_up_for_a_lost_one(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    socket = sockets()
    follow(socket, name)
    before = prime(rough, api, name, [socket])
    after = head(api)
    write_without_notifying(rough, name, "not notified")
    touch(api, name, "notified")
    expected = cursors_of(api, name, after)
    assert len(expected) == 2
    assert received(socket, 2, after) == expected
    assert rough.tracker("status")["prefetched"] == before["prefetched"]


def test_a_subscriber_that_came_after_the_prefetch_gets_every_event(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    first, second = sockets(), sockets()
    follow(first, name)
    prime(rough, api, name, [first])
    after = head(api)
    second.subscribe("1", WORKFLOW_EVENTS, variables={"after": after})
    touch(api, name, "one")
    touch(api, name, "two")
    expected = cursors_of(api, name, after)
    for socket in (first, second):
        assert received(socket, 2, after) == expected


def test_an_evicted_shard_polls_for_itself(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    socket = sockets()
    follow(socket, name)
    prime(rough, api, name, [socket])
    after = head(api)
    assert rough.evict()
    touch(api, name, "one")
    touch(api, name, "two")
    assert received(socket, 2, after) == cursors_of(api, name, after)


def test_a_large_batch_is_polled_and_not_prefetched(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    socket = sockets()
    follow(socket, name)
    before = prime(rough, api, name, [socket])
    after = head(api)
    steps = [{"instanceId": name, "name": f"s{n}", "status": "RUNNING"} for n in range(50)]
    api.data(TRACK, updates=[{"step": step} for step in steps])
    expected = cursors_of(api, name, after)
    assert len(expected) >= 50
    assert received(socket, len(expected), after) == expected
    assert rough.tracker("status")["prefetched"] == before["prefetched"]


def test_a_long_result_is_polled_and_not_prefetched(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    socket = sockets()
    query = WORKFLOW_EVENTS.replace("status }", "status instance { metadata } }")
    follow(socket, name, query)
    before = prime(rough, api, name, [socket])
    after = head(api)
    touch(api, name, "n" * 505_000)
    assert received(socket, 1, after) == cursors_of(api, name, after)
    assert rough.tracker("status")["prefetched"] == before["prefetched"]


def test_a_write_succeeds_where_its_prefetched_statements_fail(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    broken, whole = sockets(), sockets()
    follow(broken, name, ATTEMPTS)
    follow(whole, name)
    before = prime(rough, api, name, [broken, whole])
    after = head(api)
    touch(api, name, "prefetched")
    assert received(whole, 1, after) == cursors_of(api, name, after)
    assert rough.tracker("status")["prefetched"] == before["prefetched"] + 1
    after = head(api)
    # Updates of instances do not touch attempts, so they go on without the table.
    rough.query("ALTER TABLE attempts RENAME TO attempts_away")
    try:
        touch(api, name, "kept")
        got = broken.receive_until(lambda got: bool(got) and got[-1]["type"] == "error")
    finally:
        rough.query("ALTER TABLE attempts_away RENAME TO attempts")
    assert got[-1]["payload"][0]["extensions"]["code"] == "INTERNAL"
    # There is one event, although the write was made twice.
    expected = cursors_of(api, name, after)
    assert len(expected) == 1
    assert received(whole, 1, after) == expected
    touch(api, name, "later")
    assert received(whole, 1, expected[0]) == cursors_of(api, name, expected[0])


# --- the position


@pytest.mark.parametrize("gone", list(itertools.combinations(range(4), 3)))
@pytest.mark.parametrize("asleep", [False, True])
def test_the_position_survives_the_sockets_that_kept_it(
    rough: LocalServer,
    api: Api,
    name: str,
    sockets: Callable[[], RawSocket],
    gone: Sequence[int],
    asleep: bool,
) -> None:
    opened = [sockets() for _ in range(4)]
    for socket in opened:
        follow(socket, name)
    prime(rough, api, name, opened)
    if asleep:
        assert rough.evict()
    for index in gone:
        opened[index].close()
    until(lambda: rough.tracker("status")["sockets"] == 1)
    assert rough.evict()
    after = head(api)
    write_without_notifying(rough, name, "not notified")
    touch(api, name, "notified")
    [left] = {0, 1, 2, 3} - {*gone}
    assert received(opened[left], 2, after) == cursors_of(api, name, after)
    assert opened[left].flushed() == []


def test_a_shard_that_has_lost_its_position_closes_with_1012(
    rough: LocalServer, api: Api, name: str, sockets: Callable[[], RawSocket]
) -> None:
    live, idle = sockets(), sockets()
    variables = {"filter": {"workflow": [name]}}
    # With ids this long, the state of the socket is kept in a row and not in its attachment.
    for n in range(100):
        id_ = f"{n:03d}".ljust(MAX_OPERATION_ID, "é")
        live.subscribe(id_, WORKFLOW_EVENTS, variables=variables)
    settle(rough)
    idle.close()
    until(lambda: rough.tracker("status")["sockets"] == 1)
    touch(api, name, "kept in a row")
    live.receive_until(lambda got: len(got) == 100)
    assert rough.evict()
    assert forget_position(rough.state) == 1
    touch(api, name, "after the loss")
    assert live.closed() == (1012, "The shard has lost its position")


def forget_position(state: Path) -> int:
    """Remove the position from the rows that keep it and return the number of such rows."""
    found = 0
    # Names of 64 digits; those of miniflare's own databases differ.
    for path in (state / "v3" / "do").rglob(f"*WorkflowTracker*/{'[0-9a-f]' * 64}.sqlite"):
        with closing(sqlite3.connect(path, timeout=5)) as database, database:
            for key, text in database.execute("SELECT key, state FROM attachments").fetchall():
                kept = json.loads(text)
                found += kept.pop("position", None) is not None
                row = (json.dumps(kept), key)
                database.execute("UPDATE attachments SET state=? WHERE key=?", row)
    return found
