"""Delivery after lost notifications, evictions and failures of the database."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_UNREAD_CHARACTERS
from tests.worker.api import Api, run_cron
from tests.worker.event_log import (
    START,
    UPDATE,
    WORKFLOW_EVENTS,
    cursors_of,
    events_after,
    head,
    seed_events,
    touch,
    write_without_notifying,
)
from tests.worker.raw_socket import PING, RawSocket, characters_of, events_of, read_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.local_server import LocalServer

REPLAYED = 30_000


@pytest.fixture
def api(rough: LocalServer) -> Iterator[Api]:
    """A caller of it."""
    with Api(rough) as caller:
        yield caller


def follow(server: LocalServer, name: str, after: str) -> RawSocket:
    """A socket that is subscribed to a workflow's events, as "1"."""
    socket = RawSocket(server).init()
    variables = {"filter": {"workflow": [name]}, "after": after}
    socket.subscribe("1", WORKFLOW_EVENTS, variables=variables)
    # After a poll the subscription is live.
    server.tracker("notify")
    return socket


def cursors(messages: list[Any], operation_id: str = "1") -> list[str]:
    return [event["cursor"] for event in events_of(messages, operation_id)]


def test_an_event_whose_notification_was_lost_comes_with_the_next(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        write_without_notifying(rough, name, "not notified")
        assert socket.flushed() == []
        touch(api, name, "notified")
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 2)
        assert cursors(got) == cursors_of(api, name, after)


def test_a_notification_of_another_event_is_enough(rough: LocalServer, api: Api, name: str) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        write_without_notifying(rough, name, "not notified")
        api.data(START, input={"workflow": f"{name}-other", "trackOnly": True})
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 1)
        assert cursors(got) == cursors_of(api, name, after)


def test_the_cron_trigger_delivers_an_event_whose_notification_was_lost(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        write_without_notifying(rough, name, "not notified")
        began = time.monotonic()
        run_cron(rough)
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 1)
        # The alarm would have come later.
        assert time.monotonic() - began < 8
        assert cursors(got) == cursors_of(api, name, after)


def test_delivery_resumes_when_the_database_answers_again(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        # SQLite renames the table in the triggers too, so they go on writing events.
        rough.query("ALTER TABLE events RENAME TO events_away")
        try:
            api.ask(UPDATE, input={"instanceId": name, "metadata": {"note": "meanwhile"}})
            write_without_notifying(rough, name, "not notified")
            rough.tracker("notify")
            rough.wait_for_log("could not read the log, again in 1000 ms")
            rough.wait_for_log("could not read the log, again in 2000 ms")
            # A new subscriber comes meanwhile, and the shard is evicted.
            late = RawSocket(rough).init()
            late.subscribe("1", WORKFLOW_EVENTS, variables={"after": after})
            rough.evict()
            assert socket.flushed() == []
        finally:
            rough.query("ALTER TABLE events_away RENAME TO events")
        with late:
            expected = cursors_of(api, name, after)
            assert expected
            for waiting in (socket, late):
                got = waiting.receive_until(
                    lambda got: len(events_of(got, "1")) >= len(expected), seconds=15
                )
                assert cursors(got) == expected


def test_no_event_is_lost_or_repeated_when_the_shard_is_evicted_while_it_sends(
    rough: LocalServer, api: Api, name: str
) -> None:
    choice = random.Random(7)
    after = head(api)
    writes = 150

    def write() -> None:
        with Api(rough) as writer:
            for n in range(writes):
                writer.data(UPDATE, input={"instanceId": name, "metadata": {"n": n}})

    with follow(rough, name, after) as first, follow(rough, name, after) as second:
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            evictions = 0
            while not writing.done():
                evictions += rough.evict()
                time.sleep(choice.random() * 0.05)
            writing.result()
        rough.tracker("notify")
        expected = cursors_of(api, name, after)
        assert len(expected) == writes
        assert evictions >= 20
        for socket in (first, second):
            got = socket.receive_until(lambda got: len(events_of(got, "1")) >= writes)
            assert cursors(got + socket.flushed()) == expected


def test_a_replay_is_complete_although_the_shard_is_evicted_again_and_again(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    seed_events(rough, name, 8_000)
    expected = cursors_of(api, name, after)
    with RawSocket(rough).init() as socket:
        variables = {"filter": {"workflow": [name]}, "after": after}
        socket.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        evictions = 0
        deadline = time.monotonic() + 10
        while evictions < 6:
            assert time.monotonic() < deadline
            evictions += rough.evict()
            # A message wakes the shard, which goes on with the replay.
            socket.send('{"type": "pong"}')
        rough.tracker("notify")
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= len(expected))
        assert cursors(got + socket.flushed()) == expected


def test_a_long_replay_does_not_delay_other_subscribers(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    seed_events(rough, name, REPLAYED)
    now = head(api)
    with follow(rough, f"{name}-live", now) as live, RawSocket(rough).init() as replaying:
        replaying.subscribe("1", WORKFLOW_EVENTS, variables={"after": after})
        pages = replaying.receive_until(lambda got: len(got) == 2)
        api.data(START, input={"workflow": f"{name}-live", "trackOnly": True})
        assert len(cursors([live.receive()])) == 1
        # The replay has not reached the head of the log yet.
        pages += replaying.flushed()
        assert max(cursors(pages)) < now
        expected = [event["cursor"] for event in events_after(api, after)]
        pages += replaying.receive_until(
            lambda got: bool(got) and got[-1]["payload"]["extensions"]["cursor"] >= expected[-1],
            seconds=60,
        )
        assert cursors(pages) == expected
        assert replaying.flushed() == live.flushed() == []


def test_a_replay_waits_for_a_slow_client_and_other_subscribers_do_not(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    seed_events(rough, name, 20_000)
    expected = cursors_of(api, name, after)
    variables = {"filter": {"workflow": [name]}, "after": after}
    slow = RawSocket(rough, answers_pings=False)
    with slow.init(), RawSocket(rough).init() as quick:
        slow.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        got = slow.receive_until(lambda got: characters_of(got) >= MAX_UNREAD_CHARACTERS)
        assert got.count(PING) == 1
        assert slow.flushed() == []
        quick.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        whole = quick.receive_until(lambda got: len(events_of(got, "1")) >= len(expected))
        assert cursors(whole) == expected
        # Neither a notification nor a new event makes it go on, only the pong does.
        touch(api, name, "meanwhile")
        assert len(events_of([quick.receive()], "1")) == 1
        assert slow.flushed() == []
        expected = cursors_of(api, name, after)
        assert cursors(read_on(slow, got, len(expected))) == expected
