"""Clients that do not read: their backlog is bounded, and they lose no event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_UNREAD_CHARACTERS, PONG_TIMEOUT_MS
from scripts.local_server import LocalServer
from tests.worker.api import Api
from tests.worker.event_log import head
from tests.worker.raw_socket import PING, RawSocket, characters_of, events_of, read_on

if TYPE_CHECKING:
    from collections.abc import Iterator


SIZE = 100_000
UPDATE = """mutation ($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename } }"""
LARGE = """subscription { workflowEvents(filter: {workflow: ["large"]}) {
  cursor events { cursor instance { input } } } }"""


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture
def api(server: LocalServer) -> Iterator[Api]:
    with Api(server) as api:
        given = {"instanceId": "i", "workflow": "large", "status": "RUNNING", "input": "x" * SIZE}
        api.data(UPDATE, input=given)
        yield api


def write(api: Api, count: int) -> list[str]:
    """Write that many events and return their cursors."""
    before = head(api)
    for number in range(count):
        api.data(UPDATE, input={"instanceId": "i", "metadata": {"n": f"{before}-{number}"}})
    page = api.data(
        "query ($a: EventCursor) { events(after: $a, first: 1000) { events { cursor } } }", a=before
    )
    return [event["cursor"] for event in page["events"]["events"]]


def cursors(messages: list[Any]) -> list[str]:
    return [event["cursor"] for event in events_of(messages, "1")]


def test_a_live_subscriber_gets_the_rest_once_it_answers_the_ping(
    server: LocalServer, api: Api
) -> None:
    with RawSocket(server, answers_pings=False).init() as slow, RawSocket(server).init() as quick:
        for socket in (slow, quick):
            socket.subscribe("1", LARGE)
            assert socket.flushed() == []
        written = write(api, 40)
        seen = quick.receive_until(lambda got: len(events_of(got, "1")) >= len(written))
        assert cursors(seen) == written
        got = slow.flushed()
        assert got.count(PING) == 1
        assert MAX_UNREAD_CHARACTERS <= characters_of(got) < MAX_UNREAD_CHARACTERS + 3 * SIZE
        rest = read_on(slow, got, len(written))
        assert cursors(rest) == written
        # It is live again, like the other.
        [cursor] = write(api, 1)
        for socket in (slow, quick):
            messages = socket.receive_until(lambda got: bool(events_of(got, "1")))
            assert cursors(messages) == [cursor]


def test_a_slow_subscriber_is_still_behind_after_an_eviction(server: LocalServer, api: Api) -> None:
    with RawSocket(server, answers_pings=False).init() as slow:
        slow.subscribe("1", LARGE)
        assert slow.flushed() == []
        written = write(api, 30)
        got = slow.flushed()
        assert server.evict()
        written += write(api, 20)
        got += slow.flushed()
        assert got.count(PING) == 1
        assert characters_of(got) < MAX_UNREAD_CHARACTERS + 3 * SIZE
        rest = read_on(slow, got, len(written))
        assert cursors(rest) == written


def test_queries_wait_for_a_client_that_does_not_read_their_answers(
    server: LocalServer, api: Api
) -> None:
    query = '{ instance(instanceId: "i") { input } }'
    with RawSocket(server, answers_pings=False).init() as slow:
        for number in range(20):
            slow.subscribe(f"q{number}", query)
        answered: list[Any] = []
        pings = 0
        while len([m for m in answered if m["type"] == "complete"]) < 20:
            message = slow.receive()
            if message == PING:
                pings += 1
                slow.send({"type": "pong"})
            else:
                answered.append(message)
        assert {m["id"] for m in answered} == {f"q{number}" for number in range(20)}
        assert pings >= 1


def test_a_client_that_answers_no_ping_closes_with_1013_and_resumes_at_its_cursor(
    server: LocalServer, api: Api
) -> None:
    with RawSocket(server, answers_pings=False).init() as slow:
        slow.subscribe("1", LARGE)
        assert slow.flushed() == []
        written = write(api, 15)
        messages, code, reason = slow.drained(seconds=PONG_TIMEOUT_MS / 1000 + 20)
        assert (code, "PONG_TIMEOUT_MS" in reason) == (1013, True)
    seen = cursors([message for message in messages if message != PING])
    assert seen == written[: len(seen)]
    with RawSocket(server).init() as back:
        back.subscribe("1", LARGE, extensions={"after": seen[-1]})
        rest = back.receive_until(lambda got: len(events_of(got, "1")) >= len(written) - len(seen))
        assert seen + cursors(rest) == written


def test_a_client_that_sends_pings_and_reads_nothing_closes_with_1013(
    server: LocalServer,
) -> None:
    with RawSocket(server, answers_pings=False).init() as slow:
        large = {"type": "ping", "payload": {"a": "x" * 900_000}}
        for _ in range(5):
            slow.send_all(large)
        messages, code, reason = slow.drained()
        assert (code, "read" in reason) == (1013, True)
        assert messages.count(PING) == 1
        assert characters_of(messages) < 2 * MAX_UNREAD_CHARACTERS + 1_000_000


def test_one_pong_makes_room_for_a_few_answers_only(server: LocalServer, api: Api) -> None:
    query = '{ a: instance(instanceId: "i") { input } b: instance(instanceId: "i") { input } }'
    with RawSocket(server, answers_pings=False).init() as slow:
        for number in range(60):
            slow.subscribe(f"q{number}", query)
        got = slow.receive_until(lambda got: characters_of(got) >= MAX_UNREAD_CHARACTERS)
        got += slow.flushed()
        slow.send({"type": "pong"})
        more = slow.receive_until(lambda more: PING in more)
        more += slow.flushed()
        assert characters_of(more) < MAX_UNREAD_CHARACTERS + 6 * 2 * SIZE


def test_many_large_first_results_are_all_sent(server: LocalServer, api: Api) -> None:
    with RawSocket(server).init() as socket:
        for number in range(60):
            query = f'subscription {{ a{number}: instance(instanceId: "i") {{ input }} }}'
            socket.subscribe(str(number), query)
        got = socket.receive_until(lambda got: len({m["id"] for m in got}) == 60)
        assert len(got) == 60
        assert socket.flushed() == []
