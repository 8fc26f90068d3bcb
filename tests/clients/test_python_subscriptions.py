"""The Python client's subscriptions: they reconnect by themselves, and miss and repeat nothing."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from flowflare.client import (
    EventFilter,
    FlowflareClient,
    InstancePayload,
    InstanceStatus,
    Reconnect,
    StartWorkflowInput,
    SyncFlowflareClient,
    Unreachable,
    UpdateWorkflowInstanceInput,
    WorkflowEvent,
)
from tests.worker.event_log import seed_events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from flowflare.client import EventPage
    from scripts.local_server import LocalServer

DEADLINE_S = 90
QUICK = Reconnect(first=timedelta(milliseconds=50), longest=timedelta(milliseconds=200))
FAR = 200_000
"""More events than are replayed (MAX_REPLAY_EVENTS)."""


@pytest.fixture
async def client(rough: LocalServer) -> AsyncIterator[FlowflareClient]:
    """A client of a server that the tests may stop; its subscriptions come back soon."""
    async with FlowflareClient(rough.url, rough.key, reconnect=QUICK) as connected:
        yield connected


@pytest.fixture
def name() -> str:
    """A workflow of this test alone."""
    return f"watched-{uuid.uuid4().hex[:8]}"


async def start(client: FlowflareClient, name: str, instance_id: str) -> None:
    """Start an instance, however often the service has to be asked."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                started = await client.start_workflow(
                    StartWorkflowInput(workflow=name, instance_id=instance_id, track_only=True)
                )
            except Unreachable:
                await asyncio.sleep(0.05)
                continue
            assert isinstance(started, InstancePayload), started
            return


async def take(pages: AsyncGenerator[EventPage, None], count: int) -> list[WorkflowEvent]:
    """The next so many events."""
    events: list[WorkflowEvent] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(events) < count:
            events += (await anext(pages)).events
    return events


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(DEADLINE_S):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the server knows
            await asyncio.sleep(0.05)


def ids(events: list[WorkflowEvent]) -> list[str]:
    return [event.instance.instance_id for event in events]


def sockets(server: LocalServer) -> int:
    """The number of sockets of the service."""
    count = server.tracker("status")["sockets"]
    assert isinstance(count, int)
    return count


async def test_every_event_arrives_once_through_a_restart_and_a_crash(
    rough: LocalServer, client: FlowflareClient, name: str
) -> None:
    def crash() -> None:
        rough.crash()
        rough.start()

    head = await client.get_log_head()
    expected = [f"{name}-{number}" for number in range(12)]
    filter = EventFilter(workflow=[name])
    async with aclosing(client.watch_events(filter, head.cursor)) as pages:
        reader = asyncio.create_task(take(pages, len(expected)))
        for number, instance_id in enumerate(expected):
            if number in (4, 8):
                await asyncio.to_thread(crash if number == 4 else rough.restart)
            await start(client, name, instance_id)
        events = await reader
    assert ids(events) == expected
    logged = await client.list_events(filter, after=head.cursor)
    assert [event.cursor for event in events] == [event.cursor for event in logged.events]


async def test_events_before_the_first_result_are_not_lost(
    rough: LocalServer, client: FlowflareClient, name: str
) -> None:
    # It stays away for a while: what happens meanwhile is before its first result.
    slow = Reconnect(first=timedelta(seconds=4))
    before = await asyncio.to_thread(sockets, rough)
    async with (
        FlowflareClient(rough.url, rough.key, reconnect=slow) as away,
        aclosing(away.watch_events(EventFilter(workflow=[name]))) as pages,
    ):
        reader = asyncio.create_task(take(pages, 1))
        await until(lambda: sockets(rough) == before + 1)
        await asyncio.to_thread(rough.restart)
        await start(client, name, name)
        assert ids(await reader) == [name]


async def test_any_document_can_be_followed(
    rough: LocalServer, client: FlowflareClient, name: str
) -> None:
    head = await client.get_log_head()
    # Neither a cursor is selected, nor is one given by a variable; results look the same.
    chosen = f'filter: {{workflow: ["{name}"]}}, after: "{head.cursor}"'
    document = f"subscription {{ workflowEvents({chosen}) {{ events {{ type }} }} }}"
    page = {"workflowEvents": {"events": [{"type": "INSTANCE_QUEUED"}]}}
    await start(client, name, f"{name}-1")
    async with aclosing(client.subscribe(document)) as results, asyncio.timeout(DEADLINE_S):
        assert await anext(results) == page
        await asyncio.to_thread(rough.restart)
        await start(client, name, f"{name}-2")
        assert await anext(results) == page
        following = asyncio.ensure_future(anext(results))
        await start(client, name, f"{name}-3")
        assert await following == page


async def test_a_subscription_begins_behind_its_cursor(client: FlowflareClient, name: str) -> None:
    head = await client.get_log_head()
    for number in range(3):
        await start(client, name, f"{name}-{number}")
    async with aclosing(client.watch_events(EventFilter(workflow=[name]), head.cursor)) as pages:
        first = await take(pages, 1)
        rest = await take(pages, 3 - len(first)) if len(first) < 3 else []
    assert ids(first + rest) == [f"{name}-{number}" for number in range(3)]
    async with aclosing(client.watch_events(after=first[0].cursor)) as pages:
        assert (await take(pages, 1))[0].cursor > first[0].cursor


async def test_a_log_too_long_to_replay_is_read_and_then_followed(
    rough: LocalServer, client: FlowflareClient, name: str
) -> None:
    await start(client, name, name)
    before = await client.get_log_head()
    # The log's numbers jump: as if so much had happened, and retention had removed it.
    rough.query(
        "INSERT INTO events (id, at, type, instance, run, status)"
        " SELECT ?1, '2026-01-01T00:00:00.000Z', 'INSTANCE_UPDATED', id, run, status"
        " FROM instances WHERE instance_id = ?2",
        [int(before.cursor) + FAR, name],
    )
    seed_events(rough, name, 1500)
    async with aclosing(client.watch_events(EventFilter(workflow=[name]), before.cursor)) as pages:
        read = await take(pages, 1501)
        assert [int(event.cursor) - int(before.cursor) for event in read] == list(
            range(FAR, FAR + 1501)
        )
        await start(client, name, f"{name}-live")
        assert ids(await take(pages, 1)) == [f"{name}-live"]


async def test_an_unchanged_instance_is_not_repeated_when_the_connection_is(
    rough: LocalServer, client: FlowflareClient, name: str
) -> None:
    await start(client, name, name)
    before = await asyncio.to_thread(sockets, rough)
    async with aclosing(client.watch_instance(name)) as states, asyncio.timeout(DEADLINE_S):
        first = await anext(states)
        assert first is not None
        assert first.status is InstanceStatus.QUEUED
        following = asyncio.ensure_future(anext(states))
        await asyncio.to_thread(rough.restart)
        await until(lambda: sockets(rough) == before + 1)
        await until(lambda: rough.tracker("status")["subscriptions"] >= 1)
        await client.update_workflow_instance(
            UpdateWorkflowInstanceInput(instance_id=name, status=InstanceStatus.RUNNING)
        )
        changed = await following
        assert changed is not None
        assert changed.status is InstanceStatus.RUNNING


async def test_a_reference_is_followed(client: FlowflareClient, name: str) -> None:
    async with aclosing(client.watch_reference("order", name)) as states:
        async with asyncio.timeout(DEADLINE_S):
            assert (await anext(states)).latest_instance is None


async def test_a_result_of_more_than_a_mebibyte_arrives(client: FlowflareClient, name: str) -> None:
    await start(client, name, name)
    half = "x" * 500_000
    update = UpdateWorkflowInstanceInput(instance_id=name, input=half, output=half, metadata=half)
    assert isinstance(await client.update_workflow_instance(update), InstancePayload)
    async with aclosing(client.watch_instance(name)) as states, asyncio.timeout(DEADLINE_S):
        instance = await anext(states)
    assert instance is not None
    assert instance.input == instance.output == instance.metadata == half


async def test_a_closed_subscription_leaves_no_socket(
    rough: LocalServer, client: FlowflareClient, name: str
) -> None:
    await start(client, name, name)
    before = await asyncio.to_thread(sockets, rough)
    async for _ in client.watch_instance(name):
        await until(lambda: sockets(rough) == before + 1)
        break
    await until(lambda: sockets(rough) == before)


async def test_it_gives_up_after_the_given_time(rough: LocalServer, name: str) -> None:
    patience = Reconnect(first=timedelta(milliseconds=10), give_up_after=timedelta(seconds=0.2))
    async with (
        FlowflareClient(rough.url, rough.key, reconnect=patience) as client,
        aclosing(client.watch_instance(name)) as states,
    ):
        assert await anext(states) is None
        await asyncio.to_thread(rough.crash)
        try:
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(Unreachable, match=r"0:00:00\.2"):
                    await anext(states)
        finally:
            await asyncio.to_thread(rough.start)


def started_again(client: SyncFlowflareClient) -> None:
    """Repeat a request until it is answered: connections kept open have ended with the server."""
    for _ in range(5):
        try:
            client.get_log_head()
            return
        except Unreachable:
            continue
    raise AssertionError


def test_code_that_is_not_asynchronous_follows_through_a_restart(
    rough: LocalServer, name: str
) -> None:
    with SyncFlowflareClient(rough.url, rough.key, reconnect=QUICK) as client:
        head = client.get_log_head().cursor
        pages = client.watch_events(EventFilter(workflow=[name]), after=head)
        for instance_id in (f"{name}-1", f"{name}-2"):
            client.start_workflow(
                StartWorkflowInput(workflow=name, instance_id=instance_id, track_only=True)
            )
            assert ids(next(pages).events) == [instance_id]
            if instance_id.endswith("-1"):
                rough.restart()
                started_again(client)
        pages.close()
