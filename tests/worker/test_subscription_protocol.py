"""graphql-transport-ws on the wire: every close code, every kind of operation, ping and pong."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.event_log import START, WORKFLOW_EVENTS, head
from tests.worker.raw_socket import PROTOCOL, RawSocket, events_of, init_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.local_server import LocalServer
    from tests.worker.api import Api
    from tests.worker.conftest import StartServer

HELLO = "{ __typename }"
SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": HELLO}}


@pytest.fixture
def socket(server: LocalServer) -> Iterator[RawSocket]:
    """A socket that is not acknowledged yet."""
    with RawSocket(server) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A name no other test uses."""
    return f"wire-{uuid.uuid4().hex[:8]}"


def test_the_handshake_echoes_the_subprotocol(socket: RawSocket) -> None:
    assert socket.connection.subprotocol == PROTOCOL
    assert socket.init().ask(HELLO) == [
        {"id": "ask", "type": "next", "payload": {"data": {"__typename": "Query"}}},
        {"id": "ask", "type": "complete"},
    ]


def test_the_supported_one_of_several_subprotocols_is_chosen(server: LocalServer) -> None:
    with RawSocket(server, subprotocols=["graphql-ws", PROTOCOL, "x"]) as socket:
        assert socket.connection.subprotocol == PROTOCOL


@pytest.mark.parametrize(
    "subprotocols", [None, ["graphql-ws"], ["graphql-transport-ws2"], ["GRAPHQL-TRANSPORT-WS"]]
)
def test_without_the_subprotocol_the_socket_closes_with_4406(
    server: LocalServer, subprotocols: list[str] | None
) -> None:
    with RawSocket(server, subprotocols=subprotocols) as socket:
        assert socket.connection.subprotocol is None
        assert socket.closed() == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize(
    "message",
    [
        "",
        " ",
        "{",
        "ping",
        "null",
        "1",
        "[]",
        '"connection_init"',
        "{}",
        '{"type": null}',
        '{"type": 1}',
        '{"type": "start"}',
        '{"type": "connection_terminate"}',
        '{"type": "next", "id": "1", "payload": {}}',
        '{"type": "connection_ack"}',
        '{"type": "connection_init", "payload": "key"}',
        '{"type": "connection_init", "payload": []}',
        '{"type": "ping", "payload": "text"}',
        '{"type": "pong", "payload": 1}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "extensions": "x"}}',
        '{"type": "complete"}',
        '{"type": "complete", "id": null}',
        '{"type": "ping", "payload": {"a": NaN}}',
        '{"type": "ping", "payload": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
        '{"type": "ping", "payload": ' + '{"a":' * 10_000,
        b"",
        b'{"type": "ping"}',
        b"\x00\xff",
    ],
)
@pytest.mark.parametrize("acknowledged", [False, True], ids=["new", "acknowledged"])
def test_a_message_the_protocol_does_not_know_closes_with_4400(
    socket: RawSocket, message: str | bytes, acknowledged: bool
) -> None:
    if acknowledged:
        socket.init()
    socket.send_all(message)
    code, reason = socket.closed()
    assert code == 4400
    assert reason
    assert len(reason.encode()) <= 123


def test_an_authorization_that_is_not_a_string_closes_with_4400(socket: RawSocket) -> None:
    socket.send({"type": "connection_init", "payload": {"authorization": 1}})
    assert socket.closed() == (4400, "connection_init: payload.authorization must be a string")


def test_frames_after_a_close_are_ignored(server: LocalServer, api: Api, name: str) -> None:
    with RawSocket(server) as socket:
        socket.init()
        given = {"workflow": name, "instanceId": name, "trackOnly": True}
        start = {"query": START, "variables": {"input": given}}
        socket.send_all("no", {"type": "subscribe", "id": "1", "payload": start}, SUBSCRIBE)
        assert socket.closed()[0] == 4400
    assert api.data("query($id: String!) { instance(instanceId: $id) { id } }", id=name) == {
        "instance": None
    }


def test_an_operation_before_init_closes_with_4401(socket: RawSocket) -> None:
    socket.send(SUBSCRIBE)
    assert socket.closed() == (4401, "Unauthorized")


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"authorization": None},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic KEY"},
        {"authorization": "KEY"},
        {"Authorization": "Bearer KEY"},
        {"authorization": "Bearer KEYx"},
        {"authorization": "Bearer fft_e30.e30"},
        {"authorization": "Bearer \ud800"},
        {"authorization": "Bearer " + "x" * 60_000},
    ],
)
def test_a_wrong_key_closes_with_4403(socket: RawSocket, payload: dict[str, str] | None) -> None:
    text = json.dumps({"type": "connection_init", "payload": payload})
    socket.send(text.replace("KEY", socket.key))
    code, reason = socket.closed()
    assert code == 4403
    assert socket.key not in reason


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_complete_with_an_unknown_id_is_ignored(socket: RawSocket, acknowledged: bool) -> None:
    if acknowledged:
        socket.init()
    socket.send({"type": "complete", "id": "nothing"})
    assert socket.flushed() == []


def test_a_second_subscription_of_the_same_id_closes_with_4409(socket: RawSocket) -> None:
    socket.init()
    for _ in range(2):
        socket.subscribe("twice", WORKFLOW_EVENTS)
    assert socket.closed() == (4409, "Subscriber for twice already exists")


def test_the_id_of_a_running_mutation_closes_with_4409(socket: RawSocket) -> None:
    socket.init()
    # The engine takes its time, but the first may still be over before the next frame is read.
    start = {"query": START, "variables": {"input": {"workflow": "order-processing"}}}
    socket.send_all(*[{"type": "subscribe", "id": "twice", "payload": start}] * 10)
    _, *refusal = socket.drained()
    assert refusal == [4409, "Subscriber for twice already exists"]


def test_an_id_is_free_again_once_its_operation_is_over(socket: RawSocket) -> None:
    socket.init()
    for _ in range(2):
        assert socket.ask(HELLO)[-1] == {"id": "ask", "type": "complete"}
        assert socket.ask("{ no }")[-1]["type"] == "error"
        socket.subscribe("ask", WORKFLOW_EVENTS)
        socket.send({"type": "complete", "id": "ask"})


def test_a_second_init_closes_with_4429(socket: RawSocket) -> None:
    socket.init()
    socket.send(init_frame(socket.key))
    assert socket.closed() == (4429, "Too many initialisation requests")


def test_two_inits_at_once_close_with_4429(socket: RawSocket) -> None:
    socket.send_all(init_frame(socket.key), init_frame(socket.key))
    messages, code, _ = socket.drained()
    assert messages == [{"type": "connection_ack"}]
    assert code == 4429


@pytest.mark.parametrize("acknowledged", [False, True], ids=["new", "acknowledged"])
@pytest.mark.parametrize(
    ("ping", "pong"),
    [
        ('{"type":"ping"}', {"type": "pong"}),
        ('{"type": "ping"}', {"type": "pong"}),
        ('{ "type" : "ping", "payload": null }', {"type": "pong"}),
        (
            '{"type":"ping","payload":{"a":[1,"ü"]}}',
            {"type": "pong", "payload": {"a": [1, "ü"]}},
        ),
        ('{"type":"ping","payload":{}}', {"type": "pong", "payload": {}}),
    ],
)
def test_a_ping_is_answered_however_it_is_written(
    socket: RawSocket, ping: str, pong: dict[str, Any], acknowledged: bool
) -> None:
    if acknowledged:
        socket.init()
    socket.send(ping)
    assert socket.receive() == pong
    socket.send({"type": "pong"})
    socket.send({"type": "pong", "payload": {"a": 1}})
    assert socket.flushed() == []


def test_a_close_is_answered_at_once(server: LocalServer) -> None:
    for close_code in (1000, 1001, 4499):
        for acknowledged in (False, True):
            socket = RawSocket(server)
            if acknowledged:
                socket.init().subscribe("1", WORKFLOW_EVENTS)
                socket.flushed()
            began = time.monotonic()
            socket.connection.close(close_code, "bye")
            assert time.monotonic() - began < 4
            assert socket.connection.close_code == close_code


def test_complete_stops_delivery(server: LocalServer, api: Api, name: str) -> None:
    filter_ = {"workflow": [name]}
    with RawSocket(server) as socket:
        socket.init()
        for operation_id in ("ends", "stays"):
            socket.subscribe(operation_id, WORKFLOW_EVENTS, variables={"filter": filter_})
        server.tracker("notify")
        socket.flushed()
        api.data(START, input={"workflow": name, "instanceId": f"{name}-1", "trackOnly": True})
        both = socket.receive_until(lambda got: len(got) == 2)
        assert {message["id"] for message in both} == {"ends", "stays"}
        socket.send({"type": "complete", "id": "ends"})
        assert socket.flushed() == []
        api.data(START, input={"workflow": name, "instanceId": f"{name}-2", "trackOnly": True})
        assert socket.receive()["id"] == "stays"
        server.tracker("notify")
        assert socket.flushed() == []


def test_every_payload_has_the_cursor_that_it_reaches(
    server: LocalServer, api: Api, name: str
) -> None:
    after = head(api)
    api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})
    with RawSocket(server) as socket:
        socket.init()
        filter_ = {"workflow": [name]}
        socket.subscribe("argument", WORKFLOW_EVENTS, variables={"filter": filter_, "after": after})
        extensions = {"after": after}
        socket.subscribe(
            "extension", WORKFLOW_EVENTS, variables={"filter": filter_}, extensions=extensions
        )
        socket.subscribe(
            "both",
            WORKFLOW_EVENTS,
            variables={"filter": filter_, "after": "0" * 16},
            extensions=extensions,
        )
        got = socket.receive_until(lambda got: len(got) == 3)
        for operation_id in ("argument", "extension", "both"):
            assert [event["type"] for event in events_of(got, operation_id)] == ["INSTANCE_QUEUED"]
        cursors = {message["payload"]["extensions"]["cursor"] for message in got}
        assert min(cursors) > after
        live = "subscription($id: String!) { instance(instanceId: $id) { status } }"
        socket.subscribe("live", live, variables={"id": name})
        payload = socket.receive()["payload"]
        assert payload["data"] == {"instance": {"status": "QUEUED"}}
        assert payload["extensions"]["cursor"] >= max(cursors)


def test_queries_and_mutations_go_over_the_socket(server: LocalServer, name: str) -> None:
    with RawSocket(server) as socket:
        socket.init()
        start = {"workflow": name, "instanceId": name, "input": {"text": "é\u2028'\"\\"}}
        [started, over] = socket.ask(START, input={**start, "trackOnly": True})
        assert started["payload"] == {"data": {"startWorkflow": {"__typename": "InstancePayload"}}}
        assert over == {"id": "ask", "type": "complete"}
        ask = "query Of($id: String!) { instance(instanceId: $id) { input } __typename }"
        [found, _] = socket.ask(ask, id=name)
        assert found["payload"] == {
            "data": {"instance": {"input": start["input"]}, "__typename": "Query"}
        }
        [introspected, _] = socket.ask("{ __schema { subscriptionType { fields { name } } } }")
        fields = introspected["payload"]["data"]["__schema"]["subscriptionType"]["fields"]
        assert {"name": "workflowEvents"} in fields


def test_a_request_error_is_an_error_frame_and_the_socket_stays(socket: RawSocket) -> None:
    socket.init()
    requests: list[tuple[str, dict[str, Any], str | None]] = [
        ("{ no }", {}, "INVALID_DOCUMENT"),
        ("{", {}, "INVALID_DOCUMENT"),
        ("subscription { workflowEvents { no } }", {}, "INVALID_DOCUMENT"),
        ('subscription { workflowEvents { cursor } instance(instanceId: "a") { id } }', {}, None),
        ("query A { __typename } query B { __typename }", {}, "OPERATION_NAME_REQUIRED"),
        (WORKFLOW_EVENTS, {"after": "nonsense"}, None),
        (WORKFLOW_EVENTS, {"filter": {"no": 1}}, None),
    ]
    for query, variables, expected in requests:
        [frame] = socket.ask(query, **variables)
        assert frame["type"] == "error"
        [error, *_] = frame["payload"]
        assert error["message"]
        if expected:
            assert error["extensions"]["code"] == expected
    assert socket.ask(HELLO)[-1]["type"] == "complete"


def test_an_error_while_executing_is_a_next_frame(start_server: StartServer) -> None:
    server = start_server()
    with RawSocket(server) as socket:
        socket.init()
        server.query("DROP TABLE attempts")
        [frame, over] = socket.ask("{ instances { nodes { steps { attempts { number } } } } }")
        [error] = frame["payload"]["errors"]
        assert frame["payload"]["data"] is None
        assert error["extensions"]["code"] == "INTERNAL"
        assert "attempts" not in json.dumps(frame)
        assert over == {"id": "ask", "type": "complete"}
        server.wait_for_log(error["extensions"]["reference"])


def test_operations_on_one_socket_run_side_by_side(socket: RawSocket) -> None:
    socket.init()
    for number in range(50):
        socket.subscribe(
            f"q-{number}",
            "query($n: Int!) { instances(first: $n) { __typename } }",
            variables={"n": number},
        )
    got = socket.receive_until(
        lambda got: sum(message["type"] == "complete" for message in got) == 50
    )
    for number in range(50):
        own = [message for message in got if message["id"] == f"q-{number}"]
        assert [message["type"] for message in own] == ["next", "complete"]


def test_an_operation_that_was_completed_does_not_answer(socket: RawSocket) -> None:
    socket.init()
    ids = [f"gone-{number}" for number in range(20)]
    for operation_id in ids:
        # The database takes longer to answer than the next frame takes to arrive.
        socket.subscribe(operation_id, "{ stats { total } }")
        socket.send({"type": "complete", "id": operation_id})
    got = socket.ask("{ stats { total } }") + socket.flushed()
    sent = [[message["type"] for message in got if message["id"] == id_] for id_ in ids]
    # An operation may have been answered before its `complete` was read.
    assert all(types in ([], ["next", "complete"]) for types in sent)
    assert sent.count([]) > len(ids) / 2
