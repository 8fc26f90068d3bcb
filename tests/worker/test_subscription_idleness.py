"""What time does, and what survives a shard that the runtime puts to sleep.

These tests wait for many seconds; they do so together.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest

from resolvers.base.limits import INIT_TIMEOUT_MS, POLL_AGAIN_MS, SSE_KEEP_ALIVE_MS
from scripts.local_server import LocalServer
from tests.worker.api import Api
from tests.worker.event_log import START, UPDATE, WORKFLOW_EVENTS, head, write_unheard
from tests.worker.raw_socket import RawSocket, events_of
from tests.worker.subscribers import NodeClients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Scenario: TypeAlias = "Callable[[LocalServer], None]"
Waits: TypeAlias = "dict[str, Future[None]]"

PINGS_EACH_MS = 1_000
# The alarm rings twice after the last thing that happened, ten seconds each; then ten idle ones.
ASLEEP_AFTER_S = 35
# What comes in time may be seen later, while other tests keep the machine busy.
LATE_S = 8


def a_workflow(api: Api) -> str:
    """An instance of this test alone, and the name of its workflow."""
    name = f"idle-{uuid.uuid4().hex[:8]}"
    api.data(START, input={"workflow": name, "instanceId": name})
    return name


def follow(socket: RawSocket, name: str, **variables: Any) -> None:
    """Subscribe to a workflow's events, as "1"."""
    filter_ = {"workflow": [name]}
    socket.subscribe("1", WORKFLOW_EVENTS, variables={"filter": filter_, **variables})


def an_idle_object_sleeps_and_its_sockets_do_not_notice(server: LocalServer) -> None:
    with Api(server) as api, NodeClients() as node, RawSocket(server).init() as quiet:
        name = a_workflow(api)
        connection = node.open("pinging", server, keep_alive_ms=PINGS_EACH_MS)
        variables: dict[str, Any] = {"filter": {"workflow": [name]}}
        variables["after"] = head(api)
        inbox = node.subscribe("pinging", "events", WORKFLOW_EVENTS, variables=variables)
        follow(quiet, name, after=variables["after"])
        api.data(UPDATE, input={"instanceId": name, "metadata": {"note": "before"}})
        inbox.until(lambda inbox: len(inbox.events) == 1)
        assert len(events_of([quiet.receive()], "1")) == 1
        before = server.tracker("status")
        # Asking would wake it.
        time.sleep(ASLEEP_AFTER_S)
        after = server.tracker("status")
        assert before.pop("since") != after.pop("since")
        kept = ("sockets", "subscriptions", "position")
        assert [before[what] for what in kept] == [after[what] for what in kept]
        # What it answered while asleep, and that it was the same connection all the time.
        pings = ASLEEP_AFTER_S * 1_000 // PINGS_EACH_MS
        assert connection.count("pong") >= pings - 5
        assert connection.count("ping") - connection.count("pong") <= 1
        assert connection.count("opened") == 1
        assert connection.count("closed") == 0
        api.data(UPDATE, input={"instanceId": name, "metadata": {"note": "after"}})
        inbox.until(lambda inbox: len(inbox.events) == 2)
        assert len(events_of([quiet.receive()], "1")) == 1


def an_alarm_brings_an_event_whose_poke_was_lost(server: LocalServer) -> None:
    most = POLL_AGAIN_MS / 1_000 + LATE_S
    with Api(server) as api, RawSocket(server).init() as socket:
        name = a_workflow(api)
        follow(socket, name, after=head(api))
        for note in ("while somebody is there", "after an alarm"):
            write_unheard(server, name, note)
            began = time.monotonic()
            assert len(events_of([socket.receive(seconds=most)], "1")) == 1
            # Nothing else has brought it.
            assert time.monotonic() - began > 1


def without_init_a_socket_closes_with_4408_even_if_the_object_was_evicted(
    server: LocalServer,
) -> None:
    with RawSocket(server) as silent, RawSocket(server) as pinging, RawSocket(server) as let_in:
        opened = time.monotonic()
        let_in.init()
        pinging.send('{"type":"ping"}')
        assert pinging.receive() == {"type": "pong"}
        server.evict()
        for socket in (silent, pinging):
            assert socket.refused() == (4408, "Connection initialisation timeout")
            waited = time.monotonic() - opened
            assert INIT_TIMEOUT_MS - 1_000 < waited * 1_000 < INIT_TIMEOUT_MS + LATE_S * 1_000
        assert let_in.flushed() == []


def a_stream_of_events_is_kept_open_by_comments(server: LocalServer) -> None:
    request = {"query": WORKFLOW_EVENTS, "variables": {"filter": {"workflow": ["nobody"]}}}
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {server.key}"}
    url = f"{server.url}/graphql"
    with httpx.stream("POST", url, json=request, headers=headers, timeout=30) as response:
        lines = response.iter_lines()
        began = time.monotonic()
        assert next(line for line in lines if line.startswith(":")) == ":"
        assert time.monotonic() - began < SSE_KEEP_ALIVE_MS / 1_000 + LATE_S


def on_its_own(scenario: Scenario) -> None:
    """Run it on a server that nobody else wakes."""
    with LocalServer() as server:
        try:
            scenario(server)
        except BaseException as error:
            error.add_note(f"server log:\n{server.log[-8000:]}")
            raise


@pytest.fixture(scope="module")
def waits(server: LocalServer) -> Iterator[Waits]:
    """All of these, under way."""
    with ThreadPoolExecutor() as pool:
        futures = {
            scenario.__name__: pool.submit(on_its_own, scenario)
            for scenario in (
                an_idle_object_sleeps_and_its_sockets_do_not_notice,
                an_alarm_brings_an_event_whose_poke_was_lost,
            )
        }
        for scenario in (
            without_init_a_socket_closes_with_4408_even_if_the_object_was_evicted,
            a_stream_of_events_is_kept_open_by_comments,
        ):
            futures[scenario.__name__] = pool.submit(scenario, server)
        yield futures


@pytest.mark.parametrize(
    "scenario",
    [
        without_init_a_socket_closes_with_4408_even_if_the_object_was_evicted,
        a_stream_of_events_is_kept_open_by_comments,
        an_alarm_brings_an_event_whose_poke_was_lost,
        an_idle_object_sleeps_and_its_sockets_do_not_notice,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_in_time(waits: Waits, scenario: Scenario) -> None:
    waits[scenario.__name__].result()
