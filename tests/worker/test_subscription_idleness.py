"""Timeouts, and what survives a shard that the runtime puts to sleep.

These tests wait for many seconds, so they run at the same time.
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
from tests.worker.event_log import START, WORKFLOW_EVENTS, head, touch, write_without_notifying
from tests.worker.raw_socket import RawSocket, events_of
from tests.worker.subscribers import NodeClients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Scenario: TypeAlias = "Callable[[LocalServer], None]"
Waits: TypeAlias = "dict[str, Future[None]]"

PINGS_EACH_MS = 1_000
# The alarm goes off twice after the last activity, every ten seconds; then ten idle seconds pass.
ASLEEP_AFTER_S = 35
# Other tests keep the machine busy, so a test may notice late.
LATE_S = 8


def start_workflow(api: Api) -> str:
    """Start an instance that only this test uses and return the name of it and its workflow."""
    name = f"idle-{uuid.uuid4().hex[:8]}"
    api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})
    return name


def follow(socket: RawSocket, name: str, **variables: Any) -> None:
    """Subscribe to a workflow's events, as "1"."""
    filter_ = {"workflow": [name]}
    socket.subscribe("1", WORKFLOW_EVENTS, variables={"filter": filter_, **variables})


def an_idle_shard_sleeps_and_its_sockets_stay_open(server: LocalServer) -> None:
    with Api(server) as api, NodeClients() as node, RawSocket(server).init() as quiet:
        name = start_workflow(api)
        connection = node.open("pinging", server, keep_alive_ms=PINGS_EACH_MS)
        variables: dict[str, Any] = {"filter": {"workflow": [name]}}
        variables["after"] = head(api)
        inbox = node.subscribe("pinging", "events", WORKFLOW_EVENTS, variables=variables)
        follow(quiet, name, after=variables["after"])
        touch(api, name, "before")
        inbox.until(lambda inbox: len(inbox.events) == 1)
        assert len(events_of([quiet.receive()], "1")) == 1
        before = server.tracker("status")
        # A request for its status would wake it.
        time.sleep(ASLEEP_AFTER_S)
        after = server.tracker("status")
        assert before.pop("since") != after.pop("since")
        kept = ("sockets", "subscriptions", "position")
        assert [before[what] for what in kept] == [after[what] for what in kept]
        # It answered pings while asleep, on the same connection all the time.
        pings = ASLEEP_AFTER_S * 1_000 // PINGS_EACH_MS
        assert connection.count("pong") >= pings - 5
        assert connection.count("ping") - connection.count("pong") <= 1
        assert connection.count("opened") == 1
        assert connection.count("closed") == 0
        touch(api, name, "after")
        inbox.until(lambda inbox: len(inbox.events) == 2)
        assert len(events_of([quiet.receive()], "1")) == 1


def the_alarm_delivers_an_event_whose_notification_was_lost(server: LocalServer) -> None:
    most = POLL_AGAIN_MS / 1_000 + LATE_S
    with Api(server) as api, RawSocket(server).init() as socket:
        name = start_workflow(api)
        follow(socket, name, after=head(api))
        for note in ("before the first alarm", "after it"):
            write_without_notifying(server, name, note)
            began = time.monotonic()
            assert len(events_of([socket.receive(seconds=most)], "1")) == 1
            # Only the alarm comes this late.
            assert time.monotonic() - began > 1


def a_socket_without_init_closes_with_4408_even_after_an_eviction(
    server: LocalServer,
) -> None:
    with (
        RawSocket(server) as silent,
        RawSocket(server) as pinging,
        RawSocket(server) as acknowledged,
    ):
        opened = time.monotonic()
        acknowledged.init()
        pinging.send('{"type":"ping"}')
        assert pinging.receive() == {"type": "pong"}
        server.evict()
        for socket in (silent, pinging):
            assert socket.refused() == (4408, "Connection initialisation timeout")
            waited = time.monotonic() - opened
            assert INIT_TIMEOUT_MS - 1_000 < waited * 1_000 < INIT_TIMEOUT_MS + LATE_S * 1_000
        assert acknowledged.flushed() == []


def a_stream_of_events_is_kept_open_by_comments(server: LocalServer) -> None:
    request = {
        "query": WORKFLOW_EVENTS,
        "variables": {"filter": {"workflow": ["no-such-workflow"]}},
    }
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {server.key}"}
    url = f"{server.url}/graphql"
    with httpx.stream("POST", url, json=request, headers=headers, timeout=30) as response:
        lines = response.iter_lines()
        began = time.monotonic()
        assert next(line for line in lines if line.startswith(":")) == ":"
        assert time.monotonic() - began < SSE_KEEP_ALIVE_MS / 1_000 + LATE_S


def on_its_own(scenario: Scenario) -> None:
    """Run a scenario on a server whose shard no other test wakes."""
    with LocalServer() as server:
        try:
            scenario(server)
        except BaseException as error:
            error.add_note(f"server log:\n{server.log[-8000:]}")
            raise


@pytest.fixture(scope="module")
def waits(server: LocalServer) -> Iterator[Waits]:
    """All scenarios, running."""
    with ThreadPoolExecutor() as pool:
        futures = {
            scenario.__name__: pool.submit(on_its_own, scenario)
            for scenario in (
                an_idle_shard_sleeps_and_its_sockets_stay_open,
                the_alarm_delivers_an_event_whose_notification_was_lost,
            )
        }
        for scenario in (
            a_socket_without_init_closes_with_4408_even_after_an_eviction,
            a_stream_of_events_is_kept_open_by_comments,
        ):
            futures[scenario.__name__] = pool.submit(scenario, server)
        yield futures


@pytest.mark.parametrize(
    "scenario",
    [
        a_socket_without_init_closes_with_4408_even_after_an_eviction,
        a_stream_of_events_is_kept_open_by_comments,
        the_alarm_delivers_an_event_whose_notification_was_lost,
        an_idle_shard_sleeps_and_its_sockets_stay_open,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_scenario(waits: Waits, scenario: Scenario) -> None:
    waits[scenario.__name__].result()
