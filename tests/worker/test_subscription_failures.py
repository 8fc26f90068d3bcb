"""What is lost between a write and its subscribers is made up for: pokes, rounds, the database."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resolvers.base.limits import MAX_UNREAD_CHARACTERS
from tests.worker.api import Api
from tests.worker.event_log import (
    START,
    UPDATE,
    WORKFLOW_EVENTS,
    events_after,
    head,
    seed_events,
    write_unheard,
)
from tests.worker.raw_socket import PING, RawSocket, events_of, read_on, unread

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
    """A socket that follows a workflow's events, as "1"."""
    socket = RawSocket(server).init()
    variables = {"filter": {"workflow": [name]}, "after": after}
    socket.subscribe("1", WORKFLOW_EVENTS, variables=variables)
    # Live from here on.
    server.tracker("notify")
    return socket


def cursors(messages: list[Any], operation_id: str = "1") -> list[str]:
    return [event["cursor"] for event in events_of(messages, operation_id)]


def logged(api: Api, name: str, after: str) -> list[str]:
    """The cursors of a workflow's events in the log."""
    found = events_after(api, after, filter_={"workflow": [name]})
    return [event["cursor"] for event in found]


def test_an_event_whose_poke_was_lost_comes_with_the_next(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        write_unheard(rough, name, "unheard")
        assert socket.flushed() == []
        api.data(UPDATE, input={"instanceId": name, "metadata": {"note": "heard"}})
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 2)
        assert cursors(got) == logged(api, name, after)


def test_a_poke_for_somebody_else_is_enough(rough: LocalServer, api: Api, name: str) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        write_unheard(rough, name, "unheard")
        api.data(START, input={"workflow": f"{name}-other"})
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 1)
        assert cursors(got) == logged(api, name, after)


def test_the_cron_trigger_brings_an_event_whose_poke_was_lost(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        write_unheard(rough, name, "unheard")
        url = f"{rough.url}/cdn-cgi/local/scheduled"
        began = time.monotonic()
        triggered = httpx.get(url, params={"cron": "*/5 * * * *"}, timeout=30)
        assert triggered.status_code == HTTPStatus.OK
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 1)
        # Before the alarm would have.
        assert time.monotonic() - began < 8
        assert cursors(got) == logged(api, name, after)


def test_delivery_resumes_by_itself_when_the_database_answers_again(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with follow(rough, name, after) as socket:
        # What writes events goes on doing so: SQLite takes the triggers along.
        rough.query("ALTER TABLE events RENAME TO events_away")
        try:
            api.ask(UPDATE, input={"instanceId": name, "metadata": {"note": "meanwhile"}})
            write_unheard(rough, name, "unheard")
            rough.tracker("notify")
            rough.wait_for_log("could not read the log, again in 1000 ms")
            rough.wait_for_log("could not read the log, again in 2000 ms")
            # Somebody comes meanwhile, and the object is lost.
            late = RawSocket(rough).init()
            late.subscribe("1", WORKFLOW_EVENTS, variables={"after": after})
            rough.evict()
            assert socket.flushed() == []
        finally:
            rough.query("ALTER TABLE events_away RENAME TO events")
        with late:
            expected = logged(api, name, after)
            assert expected
            for waiting in (socket, late):
                got = waiting.receive_until(
                    lambda got: len(events_of(got, "1")) >= len(expected), seconds=15
                )
                assert cursors(got) == expected


def test_nothing_is_lost_or_doubled_where_the_object_is_lost_while_it_sends(
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
        expected = logged(api, name, after)
        assert len(expected) == writes
        assert evictions >= 20
        for socket in (first, second):
            got = socket.receive_until(lambda got: len(events_of(got, "1")) >= writes)
            assert cursors(got + socket.flushed()) == expected


def test_a_replay_is_whole_while_the_object_is_lost_again_and_again(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    seed_events(rough, name, 8_000)
    expected = logged(api, name, after)
    with RawSocket(rough).init() as socket:
        variables = {"filter": {"workflow": [name]}, "after": after}
        socket.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        evictions = 0
        deadline = time.monotonic() + 10
        while evictions < 6:
            assert time.monotonic() < deadline
            evictions += rough.evict()
            # Wakes it; a replay that is interrupted goes on.
            socket.send('{"type": "pong"}')
        rough.tracker("notify")
        got = socket.receive_until(lambda got: len(events_of(got, "1")) >= len(expected))
        assert cursors(got + socket.flushed()) == expected


def test_a_long_replay_holds_up_nobody(rough: LocalServer, api: Api, name: str) -> None:
    after = head(api)
    seed_events(rough, name, REPLAYED)
    now = head(api)
    with follow(rough, f"{name}-live", now) as live, RawSocket(rough).init() as replaying:
        replaying.subscribe("1", WORKFLOW_EVENTS, variables={"after": after})
        pages = replaying.receive_until(lambda got: len(got) == 2)
        api.data(START, input={"workflow": f"{name}-live"})
        assert len(cursors([live.receive()])) == 1
        # What is on its way to the other by now is not all of it.
        pages += replaying.flushed()
        assert max(cursors(pages)) < now
        expected = [event["cursor"] for event in events_after(api, after)]
        pages += replaying.receive_until(
            lambda got: bool(got) and got[-1]["payload"]["extensions"]["cursor"] >= expected[-1],
            seconds=60,
        )
        assert cursors(pages) == expected
        assert replaying.flushed() == live.flushed() == []


def test_a_replay_waits_for_a_client_that_does_not_read_and_nobody_else_does(
    rough: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    seed_events(rough, name, 20_000)
    expected = logged(api, name, after)
    variables = {"filter": {"workflow": [name]}, "after": after}
    slow = RawSocket(rough, answers_pings=False)
    with slow.init(), RawSocket(rough).init() as quick:
        slow.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        got = slow.receive_until(lambda got: unread(got) >= MAX_UNREAD_CHARACTERS)
        assert got.count(PING) == 1
        assert slow.flushed() == []
        quick.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        whole = quick.receive_until(lambda got: len(events_of(got, "1")) >= len(expected))
        assert cursors(whole) == expected
        # Neither a poke nor a new event makes it go on, only the answer does.
        api.data(UPDATE, input={"instanceId": name, "metadata": {"note": "meanwhile"}})
        assert len(events_of([quick.receive()], "1")) == 1
        assert slow.flushed() == []
        expected = logged(api, name, after)
        assert cursors(read_on(slow, got, len(expected))) == expected
