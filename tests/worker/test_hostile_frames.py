"""Hostile values in frames do no harm, and an operation may have any id."""

from __future__ import annotations

from itertools import chain, product
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed

from resolvers.base.limits import MAX_OPERATION_ID, MAX_POLL_EVENTS
from tests.worker.event_log import WORKFLOW_EVENTS, events_after, head, seed_events
from tests.worker.hostile import (
    ALONE,
    JSON_TEXTS,
    OF_EVERY_OBJECT,
    STRINGS,
    UNREADABLE,
    Bystander,
    refuse_unsound_errors,
)
from tests.worker.raw_socket import RawSocket, events_of

# Enough to fill the backlog, so that the client gets a ping.
_PAGES = 6

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "HERE"
VALUES = [*chain(*JSON_TEXTS), *ALONE, *(value.json for value in UNREADABLE.values())]

_START = '{"type":"subscribe","id":"it","payload":'
_QUERY = '{"query":"query($toString: JSON) { __typename }"'
_SUBSCRIPTION = '{"query":"subscription { workflowEvents { cursor } }"'
FRAMES = {
    "a message": HERE,
    "type": '{"type":HERE}',
    "another member": '{"type":"ping","more":HERE}',
    "a key": '{"type":"ping",HERE:1}',
    "payload of connection_init": '{"type":"connection_init","payload":HERE}',
    "authorization": '{"type":"connection_init","payload":{"authorization":HERE}}',
    "payload of ping": '{"type":"ping","payload":HERE}',
    "a member of its payload": '{"type":"ping","payload":{"__proto__":HERE}}',
    "a key of its payload": '{"type":"ping","payload":{HERE:1}}',
    "payload of pong": '{"type":"pong","payload":HERE}',
    "id of complete": '{"type":"complete","id":HERE}',
    "id of subscribe": '{"type":"subscribe","id":HERE,"payload":' + _SUBSCRIPTION + "}}",
    "id of a query": '{"type":"subscribe","id":HERE,"payload":' + _QUERY + "}}",
    "payload of subscribe": _START + "HERE}",
    "query": _START + '{"query":HERE}}',
    "operationName": _START + _QUERY + ',"operationName":HERE}}',
    "variables": _START + _QUERY + ',"variables":HERE}}',
    "a variable": _START + _QUERY + ',"variables":{"toString":HERE}}}',
    "a key of variables": _START + _SUBSCRIPTION + ',"variables":{HERE:1}}}',
    "extensions": _START + _SUBSCRIPTION + ',"extensions":HERE}}',
    "the cursor of extensions": _START + _SUBSCRIPTION + ',"extensions":{"after":HERE}}}',
    "a key of extensions": _START + _SUBSCRIPTION + ',"extensions":{HERE:1}}}',
    "another member of a payload": _START + _SUBSCRIPTION + ',"__proto__":HERE}}',
}
BEFORE_INIT = ["a message", "type", "authorization", "payload of ping", "id of complete"]
"""Frames that are also accepted before `connection_init`."""
END = '{"type":"complete","id":"it"}'
CLOSED = (1009, 4400, 4401, 4403, 4429)

IDS = ["1", *OF_EVERY_OBJECT]
OTHER_IDS = [t for t in STRINGS.values() if 0 < len(t) <= MAX_OPERATION_ID and t not in IDS]


def refuse_unsound_messages(messages: list[Any]) -> None:
    """Fail if a message is not of the protocol, or an error is unsound."""
    for message in messages:
        assert message["type"] in ("connection_ack", "next", "complete", "error", "pong"), message
        if message["type"] == "error":
            refuse_unsound_errors(message["payload"])
        if message["type"] == "next" and "errors" in message["payload"]:
            refuse_unsound_errors(message["payload"]["errors"])


def send_each(bystander: Bystander, frames: Iterator[str], *, acknowledged: bool) -> None:
    """Send frames, on a new socket whenever one is closed."""
    frame = next(frames, None)
    while frame is not None:
        with RawSocket(bystander.server) as socket:
            if acknowledged:
                socket.init()
            while frame is not None:
                socket.send_all(frame, END)
                frame = next(frames, None)
                try:
                    messages = socket.flushed()
                except (AssertionError, ConnectionClosed):
                    assert socket.refused()[0] in CLOSED
                    break
                refuse_unsound_messages(messages)


@pytest.mark.parametrize(
    ("place", "acknowledged"),
    [*((place, True) for place in FRAMES), *((place, False) for place in BEFORE_INIT)],
)
def test_a_hostile_value_in_a_frame_does_no_harm(
    bystander: Bystander, place: str, acknowledged: bool
) -> None:
    frames = (FRAMES[place].replace(HERE, value) for value in VALUES)
    send_each(bystander, frames, acknowledged=acknowledged)
    bystander.assert_served()


def follow(bystander: Bystander, socket: RawSocket, operation_id: str, after: str) -> None:
    """Subscribe to the events of the instance."""
    variables = {"filter": {"instanceId": bystander.instance_id}, "after": after}
    socket.subscribe(operation_id, WORKFLOW_EVENTS, variables=variables)


@pytest.mark.parametrize(
    ("operation_id", "evicted"),
    [
        *product(IDS, ["never", "before", "after", "both"]),
        *product(OTHER_IDS, ["after"]),
    ],
    ids=ascii,
)
def test_a_subscriber_of_any_id_gets_its_events(
    bystander: Bystander, operation_id: str, evicted: str
) -> None:
    server, api = bystander.server, bystander.api
    after = head(api)
    with RawSocket(server).init() as socket:
        socket.send({"type": "complete", "id": operation_id})
        assert socket.flushed() == []
        if evicted in ("before", "both"):
            assert server.evict()
        follow(bystander, socket, operation_id, after)
        bystander.touch()
        got = socket.receive_until(lambda got: len(events_of(got, operation_id)) >= 1)
        if evicted in ("after", "both"):
            assert server.evict()
        bystander.touch()
        got += socket.receive_until(lambda more: len(events_of(got + more, operation_id)) >= 2)
        expected = events_after(api, after, filter_={"instanceId": bystander.instance_id})
        assert events_of(got, operation_id) == expected
        assert {message["id"] for message in got} == {operation_id}
        bystander.assert_served()
        assert len(events_of([socket.receive()], operation_id)) == 1
        socket.send({"type": "complete", "id": operation_id})
        assert socket.flushed() == []
        bystander.assert_served()
        assert socket.flushed() == []
        # The id is free again, also for an operation of another kind.
        socket.subscribe(operation_id, "{ __typename }")
        answer = {"data": {"__typename": "Query"}}
        assert socket.receive_until(lambda got: len(got) == 2) == [
            {"id": operation_id, "type": "next", "payload": answer},
            {"id": operation_id, "type": "complete"},
        ]


@pytest.fixture(scope="module")
def replayed() -> dict[str, Any]:
    """The cursor before the events that this module's tests replay, once they are there."""
    return {}


@pytest.mark.parametrize("operation_id", IDS)
def test_a_subscriber_of_any_id_catches_up(
    bystander: Bystander, replayed: dict[str, Any], operation_id: str
) -> None:
    server, api = bystander.server, bystander.api
    if not replayed:
        replayed["after"] = head(api)
        seed_events(server, bystander.instance_id, MAX_POLL_EVENTS * _PAGES)
    after = replayed["after"]
    with RawSocket(server).init() as socket:
        follow(bystander, socket, operation_id, after)
        pages = [socket.receive()]
        assert server.evict()
        bystander.touch()
        expected = events_after(api, after, filter_={"instanceId": bystander.instance_id})
        assert len(expected) > MAX_POLL_EVENTS * _PAGES
        pages += socket.receive_until(
            lambda got: len(events_of(pages + got, operation_id)) >= len(expected)
        )
        assert events_of(pages, operation_id) == expected
        bystander.touch()
        assert len(events_of([socket.receive()], operation_id)) == 1
        for _ in range(2):
            assert server.evict()
            bystander.assert_served()
            assert len(events_of([socket.receive()], operation_id)) == 1
        assert socket.flushed() == []


@pytest.mark.parametrize("operation_id", IDS)
def test_an_id_in_use_closes_with_4409(bystander: Bystander, operation_id: str) -> None:
    with RawSocket(bystander.server).init() as socket:
        for _ in range(2):
            follow(bystander, socket, operation_id, head(bystander.api))
        assert socket.refused() == (4409, f"Subscriber for {operation_id} already exists")
    bystander.assert_served()
