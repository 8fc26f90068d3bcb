"""Subscribers spread over several shards of the tracker."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_SOCKETS
from schema.application import Application
from scripts.local_server import LocalServer
from tests.support.timing import until
from tests.worker.api import Api
from tests.worker.event_log import (
    UPDATE,
    WORKFLOW_EVENTS,
    events_after,
    head,
    write_without_notifying,
)
from tests.worker.raw_socket import RawSocket, events_of
from tracker_do.frames import CloseCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.conftest import StartServer

SHARDS = [f"shard-{number}" for number in range(3)]
SOCKETS = 45


@pytest.fixture(scope="module")
def sharded(prepared: None) -> Iterator[LocalServer]:
    """A server with three shards."""
    with LocalServer(vars={"TRACKER_SHARDS": str(len(SHARDS))}) as running:
        yield running


@pytest.fixture
def api(sharded: LocalServer) -> Iterator[Api]:
    """A caller of it."""
    with Api(sharded) as caller:
        yield caller


def registered(server: LocalServer) -> set[str]:
    """The shards that writes notify."""
    return {row["shard"] for row in server.query("SELECT shard FROM trackers")}


def follow(server: LocalServer, stack: ExitStack, name: str, after: str) -> RawSocket:
    socket = stack.enter_context(RawSocket(server)).init()
    variables = {"filter": {"workflow": [name]}, "after": after}
    socket.subscribe("1", WORKFLOW_EVENTS, variables=variables)
    return socket


def shard_of(server: LocalServer, before: dict[str, Any]) -> str:
    """The shard that has more sockets than before."""
    [shard] = [s for s in SHARDS if server.tracker("status", s)["sockets"] > before[s]["sockets"]]
    return shard


def statuses(server: LocalServer) -> dict[str, Any]:
    return {shard: server.tracker("status", shard) for shard in SHARDS}


def test_subscribers_of_all_shards_get_every_event(
    sharded: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    with ExitStack() as stack:
        sockets = [follow(sharded, stack, name, after) for _ in range(SOCKETS)]
        for n in range(10):
            api.data(UPDATE, input={"instanceId": name, "metadata": {"n": n}})
            if n % 3 == 1:
                sharded.evict(SHARDS[n % len(SHARDS)])
        expected = events_after(api, after, filter_={"workflow": [name]})
        assert len(expected) == 10
        for socket in sockets:
            got = socket.receive_until(lambda got: len(events_of(got, "1")) >= 10)
            assert events_of(got + socket.flushed(), "1") == expected
        counts = [status["sockets"] for status in statuses(sharded).values()]
        assert sum(counts) == SOCKETS
        assert min(counts) > 0
        assert registered(sharded) == set(SHARDS)
    until(lambda: sum(status["sockets"] for status in statuses(sharded).values()) == 0)


def test_a_shard_is_notified_only_while_it_has_subscribers(
    sharded: LocalServer, api: Api, name: str
) -> None:
    # The subscribers of earlier tests have gone, which the next notification reveals.
    api.data(UPDATE, input={"instanceId": name, "metadata": {"n": 0}})
    until(lambda: not registered(sharded))
    before = statuses(sharded)
    with ExitStack() as stack:
        socket = follow(sharded, stack, name, head(api))
        shard = shard_of(sharded, before)
        until(lambda: registered(sharded) == {shard})
        api.data(UPDATE, input={"instanceId": name, "metadata": {"n": 1}})
        assert len(events_of([socket.receive()], "1")) == 1
        after = statuses(sharded)
        assert after[shard]["position"] == int(head(api))
        for other in set(SHARDS) - {shard}:
            assert after[other]["position"] == before[other]["position"]
        # The last subscription ends, and its socket stays open.
        socket.send({"type": "complete", "id": "1"})
        assert socket.flushed() == []
        api.data(UPDATE, input={"instanceId": name, "metadata": {"n": 2}})
        until(lambda: not registered(sharded))
        # A subscriber that resumes gets the events that were written meanwhile.
        last = head(api)
        write_without_notifying(sharded, name, "not notified")
        variables = {"filter": {"workflow": [name]}, "after": last}
        socket.subscribe("2", WORKFLOW_EVENTS, variables=variables)
        api.data(UPDATE, input={"instanceId": name, "metadata": {"n": 3}})
        got = socket.receive_until(lambda got: len(events_of(got, "2")) >= 2)
        assert events_of(got, "2") == events_after(api, last, filter_={"workflow": [name]})
        assert registered(sharded) == {shard}


def test_a_subscriber_that_comes_while_the_last_one_leaves_misses_nothing(
    sharded: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    seen: list[Any] = []
    with ExitStack() as stack:
        socket = stack.enter_context(RawSocket(sharded)).init()
        for n in range(30):
            last = f"{n - 1}"
            variables = {"filter": {"workflow": [name]}, "after": after}
            socket.send({"type": "complete", "id": last})
            # The write's notification may find the shard without subscribers.
            api.data(UPDATE, input={"instanceId": name, "metadata": {"n": n}})
            socket.subscribe(f"{n}", WORKFLOW_EVENTS, variables=variables)
            message = socket.receive()
            assert message["id"] == f"{n}"
            seen += events_of([message], f"{n}")
            after = message["payload"]["extensions"]["cursor"]
    expected = events_after(api, f"{int(seen[0]['cursor']) - 1:016d}", filter_={"workflow": [name]})
    assert seen == expected
    assert len(seen) == 30


def test_a_shard_whose_registration_is_lost_registers_again(
    sharded: LocalServer, api: Api, name: str
) -> None:
    # A crash leaves this state between the deletion of the shard's row and the moment in which the
    # shard stores that it is gone.
    with ExitStack() as stack:
        before = statuses(sharded)
        first = follow(sharded, stack, name, head(api))
        shard = shard_of(sharded, before)
        until(lambda: registered(sharded) == {shard})
        sharded.query("DELETE FROM trackers")
        assert sharded.evict(shard)
        first.subscribe(
            "2", WORKFLOW_EVENTS, variables={"filter": {"workflow": [name]}, "after": head(api)}
        )
        assert first.flushed() == []
        until(lambda: registered(sharded) == {shard}, seconds=3)
        api.data(UPDATE, input={"instanceId": name, "metadata": {"n": 1}})
        got = first.receive_until(lambda got: len(got) == 2, seconds=3)
        assert {message["id"] for message in got} == {"1", "2"}


def test_a_socket_beyond_max_sockets_closes_with_1013(
    start_server: StartServer,
) -> None:
    server = start_server(vars={"MAX_SOCKETS": "2"})
    with RawSocket(server) as first, RawSocket(server) as second:
        first.init()
        # The count survives an eviction, and includes sockets that are not acknowledged.
        server.evict()
        with RawSocket(server) as third:
            code, reason = third.closed()
            assert code == CloseCode.TRY_AGAIN_LATER
            assert "MAX_SOCKETS" in reason
        second.close()
        until(lambda: server.tracker("status")["sockets"] == 1)
        with RawSocket(server) as later:
            later.init()
            assert later.ask("{ __typename }")
        assert first.ask("{ __typename }")


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1.5", "²"])
def test_an_invalid_max_sockets_leaves_the_default(value: str) -> None:
    assert Application({"MAX_SOCKETS": value}).max_sockets == MAX_SOCKETS
