"""Limits of a socket and of a poll: the value is accepted, more is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import (
    MAX_FRAME_BYTES,
    MAX_INIT_FRAME_BYTES,
    MAX_INIT_FRAMES,
    MAX_OPERATION_ID,
    MAX_POLL_REPLAYS,
    MAX_POLL_STATEMENTS,
    MAX_REPLAY_EVENTS,
    MAX_SUBSCRIPTIONS,
)
from tests.worker.api import Api
from tests.worker.event_log import (
    START,
    STEP,
    WORKFLOW_EVENTS,
    events_after,
    head,
    seed_events,
    touch,
)
from tests.worker.raw_socket import RawSocket, events_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.local_server import LocalServer

LARGE = 400_000


@pytest.fixture
def api(rough: LocalServer) -> Iterator[Api]:
    """A caller of the same server."""
    with Api(rough) as caller:
        yield caller


@pytest.fixture
def socket(rough: LocalServer) -> Iterator[RawSocket]:
    """An acknowledged socket."""
    with RawSocket(rough) as opened:
        yield opened.init()


def of(name: str, **more: Any) -> dict[str, Any]:
    return {"filter": {"workflow": [name]}, **more}


def receive_events(socket: RawSocket, operation_id: str, count: int) -> list[Any]:
    got = socket.receive_until(lambda got: len(events_of(got, operation_id)) >= count, seconds=60)
    return events_of(got + socket.flushed(), operation_id)


def test_a_socket_has_100_subscriptions_and_the_next_is_refused(
    rough: LocalServer, socket: RawSocket, api: Api, name: str
) -> None:
    after = head(api)
    for number in range(MAX_SUBSCRIPTIONS):
        socket.subscribe(f"{number}", WORKFLOW_EVENTS, variables=of(name, after=after))
    for query in (WORKFLOW_EVENTS, "{ __typename }"):
        [refused] = socket.ask(query)
        assert refused["type"] == "error"
        [error] = refused["payload"]
        assert error["extensions"] == {"code": "SUBSCRIPTION_LIMIT", "limit": "MAX_SUBSCRIPTIONS"}
    socket.send({"type": "complete", "id": "7"})
    assert socket.ask("{ __typename }")[-1]["type"] == "complete"
    touch(api, name, "seen")
    got = socket.receive_until(lambda got: len(got) == MAX_SUBSCRIPTIONS - 1)
    expected = {str(number) for number in range(MAX_SUBSCRIPTIONS)} - {"7"}
    assert {message["id"] for message in got} == expected
    assert all(len(events_of([message], message["id"])) == 1 for message in got)
    assert rough.tracker("status")["subscriptions"] == MAX_SUBSCRIPTIONS - 1


def test_100_subscriptions_with_the_longest_ids_survive_eviction(
    rough: LocalServer, socket: RawSocket, api: Api, name: str
) -> None:
    after = head(api)
    ids = [f"{number:03d}".ljust(MAX_OPERATION_ID, "é") for number in range(MAX_SUBSCRIPTIONS)]
    for id_ in ids:
        socket.subscribe(id_, WORKFLOW_EVENTS, variables=of(name, after=after))
    rough.tracker("notify")
    for note in ("one", "two"):
        assert rough.evict()
        touch(api, name, note)
        got = socket.receive_until(lambda got: len(got) >= len(ids))
        assert sorted(message["id"] for message in got) == ids
    # A state that needed a row fits into the attachment again once it is smaller.
    for id_ in ids[:-1]:
        socket.send({"type": "complete", "id": id_})
    assert socket.flushed() == []
    assert rough.evict()
    touch(api, name, "three")
    assert socket.receive()["id"] == ids[-1]
    assert rough.tracker("status")["subscriptions"] == 1


def test_an_operation_id_of_129_characters_closes_with_4400(socket: RawSocket) -> None:
    longest = "😀" * MAX_OPERATION_ID
    socket.subscribe(longest, "{ __typename }")
    assert socket.receive()["id"] == longest
    assert socket.receive() == {"id": longest, "type": "complete"}
    socket.send_all(
        {"type": "subscribe", "id": longest + "x", "payload": {"query": "{ __typename }"}}
    )
    code, reason = socket.closed()
    assert code == 4400
    assert "id" in reason


def frame_of(size: int, character: str) -> str:
    """A ping of exactly `size` bytes."""
    frame = json.dumps({"type": "ping", "payload": {"x": ""}})
    padding = size - len(frame)
    width = len(character.encode())
    text = character * (padding // width) + "x" * (padding % width)
    return frame.replace('""', f'"{text}"')


@pytest.mark.parametrize("character", ["x", "☃", "😀"])
def test_a_message_of_1_mib_is_read_and_one_byte_more_closes_with_1009(
    socket: RawSocket, character: str
) -> None:
    most = frame_of(MAX_FRAME_BYTES, character)
    assert len(most.encode()) == MAX_FRAME_BYTES
    socket.send(most)
    assert socket.receive()["payload"] == json.loads(most)["payload"]
    socket.send_all(frame_of(MAX_FRAME_BYTES + 1, character))
    code, reason = socket.closed()
    assert code == 1009
    assert "MAX_FRAME_BYTES" in reason


def test_before_the_acknowledgement_a_frame_beyond_the_limit_closes_with_1009(
    rough: LocalServer,
) -> None:
    room = MAX_INIT_FRAME_BYTES - len(json.dumps({"type": "ping", "payload": {"a": ""}}))
    with RawSocket(rough) as unacknowledged:
        unacknowledged.send({"type": "ping", "payload": {"a": "x" * room}})
        assert unacknowledged.receive()["type"] == "pong"
        unacknowledged.send_all({"type": "ping", "payload": {"a": "x" * (room + 1)}})
        code, reason = unacknowledged.closed()
        assert (code, str(MAX_INIT_FRAME_BYTES) in reason) == (1009, True)


def test_before_the_acknowledgement_too_many_frames_close_with_4400(rough: LocalServer) -> None:
    ping = {"type": "ping", "payload": {"a": 1}}
    with RawSocket(rough) as unacknowledged:
        for _ in range(MAX_INIT_FRAMES):
            unacknowledged.send(ping)
            assert unacknowledged.receive()["type"] == "pong"
        unacknowledged.send_all(ping)
        code, reason = unacknowledged.closed()
        assert (code, "MAX_INIT_FRAMES" in reason) == (4400, True)
    with RawSocket(rough) as known:
        for _ in range(MAX_INIT_FRAMES - 1):
            known.send(ping)
            assert known.receive()["type"] == "pong"
        known.init()
        for _ in range(2 * MAX_INIT_FRAMES):
            known.send(ping)
            assert known.receive()["type"] == "pong"


def test_a_cursor_ahead_of_the_log_is_refused(socket: RawSocket, api: Api, name: str) -> None:
    ahead = f"{int(head(api)) + 1_000:016d}"
    for request in (
        {"variables": {"after": ahead}},
        {"variables": {"after": f"{2**53 - 1}"}},
        {"variables": {}, "extensions": {"after": ahead}},
    ):
        socket.subscribe("ask", WORKFLOW_EVENTS, **request)
        refused = socket.receive()
        assert (refused["type"], refused["id"]) == ("error", "ask")
        [error] = refused["payload"]
        assert error["extensions"]["code"] == "INVALID_ARGUMENT"
    # The operation is over: nothing more is sent for it.
    touch(api, name, "unseen")
    assert socket.flushed() == []


def test_more_subscription_plans_than_fit_one_batch_each_get_their_events(
    rough: LocalServer, api: Api, name: str
) -> None:
    count = MAX_POLL_STATEMENTS + 40
    after = head(api)
    with RawSocket(rough) as one, RawSocket(rough) as two:
        sockets = (one.init(), two.init())
        for number in range(count):
            sockets[number % 2].subscribe(
                f"{number}", WORKFLOW_EVENTS, variables=of(f"{name}-{number}", after=after)
            )
        live = "subscription($id: String!) { instance(instanceId: $id) { status } }"
        one.subscribe("live", live, variables={"id": f"{name}-0"})
        assert one.receive()["payload"]["data"] == {"instance": None}
        rough.tracker("notify")
        for number in range(0, count, 7):
            one_of_many = f"{name}-{number}"
            given = {"workflow": one_of_many, "instanceId": one_of_many, "trackOnly": True}
            api.data(START, input=given)
        rough.tracker("notify")
        got = one.flushed() + two.flushed()
        assert [m["payload"]["data"]["instance"] for m in got if m["id"] == "live"][-1] == {
            "status": "QUEUED"
        }
        notified = [message["id"] for message in got if message["id"] != "live"]
        assert sorted(notified) == sorted(str(number) for number in range(0, count, 7))


def test_many_replays_at_once_are_all_complete(
    rough: LocalServer, socket: RawSocket, api: Api, name: str
) -> None:
    count = 2 * MAX_POLL_REPLAYS + 5
    cursors = []
    for _ in range(count):
        cursors.append(head(api))
        seed_events(rough, name, 30)
    for number, after in enumerate(cursors):
        socket.subscribe(f"{number}", WORKFLOW_EVENTS, variables=of(name, after=after))
    touch(api, name, "live")
    expected = events_after(api, cursors[0], filter_={"workflow": [name]})
    got = socket.receive_until(
        lambda got: all(
            len(events_of(got, f"{number}")) >= len(expected) - 30 * number
            for number in range(count)
        )
    )
    got += socket.flushed()
    for number in range(count):
        assert events_of(got, f"{number}") == expected[30 * number :]


def test_a_page_too_large_for_the_database_comes_in_several(
    rough: LocalServer, socket: RawSocket, api: Api, name: str
) -> None:
    query = WORKFLOW_EVENTS.replace("cursor type", "cursor type instance { input }")
    large = f"{name}-large"
    api.data(
        START,
        input={"workflow": large, "instanceId": large, "input": "x" * LARGE, "trackOnly": True},
    )
    after = head(api)
    seed_events(rough, large, 40)
    expected = [event["cursor"] for event in events_after(api, after)]
    socket.subscribe("large", query, variables=of(large, after=after))
    socket.subscribe("small", WORKFLOW_EVENTS, variables=of(name, after=after))
    events = receive_events(socket, "large", 40)
    assert [event["cursor"] for event in events] == expected
    assert {len(event["instance"]["input"]) for event in events} == {LARGE}
    touch(api, name, "goes on")
    assert len(receive_events(socket, "small", 1)) == 1


def test_an_event_too_large_by_itself_ends_its_subscription_and_no_other(
    socket: RawSocket, api: Api, name: str
) -> None:
    steps = WORKFLOW_EVENTS.replace("cursor type", "cursor type instance { steps { output } }")
    for number in range(6):
        step = {"instanceId": name, "name": f"{number}", "status": "COMPLETED"}
        api.data(STEP, input={**step, "output": "x" * LARGE})
    after = head(api)
    socket.subscribe("large", steps, variables=of(name, after=after))
    socket.subscribe("small", WORKFLOW_EVENTS, variables=of(name, after=after))
    touch(api, name, "one")
    got = socket.receive_until(lambda got: {m["id"] for m in got} == {"large", "small"})
    [refused] = [message for message in got if message["id"] == "large"]
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"]["code"] == "RESULT_TOO_LARGE"
    touch(api, name, "two")
    assert len(receive_events(socket, "small", 1)) == 1


def test_a_replay_of_more_than_100_000_events_is_refused(
    rough: LocalServer, socket: RawSocket, api: Api, name: str
) -> None:
    before = head(api)
    seed_events(rough, name, MAX_REPLAY_EVENTS)
    touch(api, name, "one more")
    socket.subscribe("far", WORKFLOW_EVENTS, variables={"after": before})
    refused = socket.receive()
    assert (refused["type"], refused["id"]) == ("error", "far")
    [error] = refused["payload"]
    assert error["extensions"] == {"code": "REPLAY_TOO_LONG", "limit": "MAX_REPLAY_EVENTS"}
    assert str(MAX_REPLAY_EVENTS + 1) in error["message"]
    near = f"{int(before) + 1:016d}"
    socket.subscribe("near", WORKFLOW_EVENTS, variables=of("no-such-workflow", after=near))
    rough.tracker("notify")
    assert socket.flushed() == []
