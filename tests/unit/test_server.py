"""The tracker's server: messages and operations, in the JSON that JavaScript exchanges."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.base.limits import MAX_EVENT_TYPE, MAX_SUBSCRIPTIONS
from resolvers.ports.database import DatabaseError
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.serving import EVENTS, INSTANCE, Socket, serving, token
from tests.support.writing import Writer
from tracker_do.frames import CloseCode

# --- messages


def test_a_socket_is_authenticated_with_the_scopes_of_its_key() -> None:
    server, host = serving()
    for key, scopes in (("admin", {"ADMIN", "WRITE", "READ"}), ("read", {"READ"})):
        socket = Socket(server, key)
        who = socket.state["who"]
        assert (set(who["scopes"]), who["exp"]) == (scopes, None)
        assert host.services.gatekeeper.has_key(who["key"])
        assert key not in json.dumps(socket.state)


def test_a_token_is_accepted_with_its_restrictions_and_expiry() -> None:
    server, host = serving()
    claims = {"ref": ["t", "1"], "workflows": ["w"], "instance": "i"}
    socket = Socket(server, token(host.services.gatekeeper, **claims))
    who = socket.state["who"]
    assert {name: who[name] for name in claims} == claims
    assert who["exp"] > time.time()


def test_a_socket_of_a_bound_worker_needs_no_key_and_a_key_it_sends_decides() -> None:
    server, host = serving()
    for payload, scopes in (({}, {"WRITE", "READ"}), ({"authorization": "Bearer read"}, {"READ"})):
        socket = Socket(server, None)
        socket.state["bound"] = True
        socket.send({"type": "connection_init", "payload": payload})
        who = socket.state["who"]
        assert set(who["scopes"]) == scopes
        assert host.services.gatekeeper.has_key(who["key"])
        assert socket.answers("{ __typename }")
    refused = Socket(server, None)
    refused.state["bound"] = True
    payload = {"authorization": "Bearer wrong"}
    [(kind, code, _)] = refused.send({"type": "connection_init", "payload": payload})
    assert (kind, code) == ("close", 4403)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("ping", 4400),
        ({"type": "start"}, 4400),
        ({"type": "connection_init", "payload": {"authorization": 1}}, 4400),
        ({"type": "connection_init", "payload": {"authorization": "Bearer wrong"}}, 4403),
        ({"type": "connection_init"}, 4403),
        ({"type": "subscribe", "id": "1", "payload": {"query": "{ a }"}}, 4401),
    ],
)
def test_a_message_that_closes_the_socket_does_not_change_its_state(
    message: Any, code: int
) -> None:
    socket = Socket(serving()[0], None)
    before = socket.state
    [(kind, closed_with, reason)] = socket.send(message)
    assert (kind, closed_with) == ("close", code)
    assert 0 < len(reason.encode()) <= 123
    assert socket.state is before


def test_a_binary_message_closes_without_being_parsed() -> None:
    socket = Socket(serving()[0])
    assert socket.send({"type": "ping"}) == [["send", '{"type":"pong"}']]
    [(kind, code, _)] = socket.send({"type": "ping"}, problem="BINARY")
    assert (kind, code) == ("close", CloseCode.BAD_REQUEST)


def test_a_pong_is_reported_to_javascript() -> None:
    assert Socket(serving()[0], None).send({"type": "pong"}) == [["pong"]]


def test_a_long_reason_is_cut_to_the_size_of_a_close_frame() -> None:
    [(_, _, reason)] = Socket(serving()[0], None).send({"type": "☃" * 300})
    assert len(reason.encode()) in (121, 122, 123)


def test_an_expired_token_closes_with_4403_whatever_it_sends() -> None:
    server, host = serving()
    socket = Socket(server, token(host.services.gatekeeper))
    socket.state["who"]["exp"] = int(time.time()) - 1
    for message in ({"type": "ping"}, "no frame", {"type": "complete", "id": "1"}):
        assert socket.send(message) == [["close", 4403, "The token has expired."]]


def test_a_removed_key_closes_with_4403() -> None:
    server, host = serving()
    sockets = {key: Socket(server, key) for key in ("admin", "write", "read")}
    of_token = Socket(server, token(host.services.gatekeeper))
    fingerprints = [socket.state["who"]["key"] for socket in sockets.values()]
    assert json.loads(server.revoked_keys(json.dumps(fingerprints))) == []
    host.services.gatekeeper = Gatekeeper(admin="other", write="write", read="admin")
    gone = [["close", 4403, "The key is not valid any more."]]
    assert sockets["admin"].send({"type": "ping"}) == gone
    assert of_token.send({"type": "ping"}) == gone
    assert sockets["read"].send({"type": "ping"}) == gone
    assert sockets["write"].send({"type": "ping"}) == [["send", '{"type":"pong"}']]
    assert json.loads(server.revoked_keys(json.dumps(fingerprints))) == [
        sockets["admin"].state["who"]["key"],
        sockets["read"].state["who"]["key"],
    ]


def test_an_operation_beyond_the_limit_ends_with_an_error() -> None:
    socket = Socket(serving()[0])
    for number in range(MAX_SUBSCRIPTIONS):
        socket.plan_of(INSTANCE, f"s{number}")
    assert socket.refused(INSTANCE)["extensions"]["code"] == "SUBSCRIPTION_LIMIT"
    socket.send({"type": "complete", "id": "s0"})
    assert socket.plan_of(INSTANCE)


# --- subscriptions


def test_a_subscription_begins_at_the_head_or_at_its_cursor() -> None:
    socket = Socket(serving()[0])
    cursor = "0000000000000007"
    positions: dict[str, tuple[str, dict[str, Any], str]] = {
        "now": (EVENTS, {}, ""),
        "null": (EVENTS, {"variables": {"after": None}}, ""),
        "argument": (EVENTS, {"variables": {"after": cursor}}, "7"),
        "extension": (EVENTS, {"extensions": {"after": cursor}}, "7"),
        "both": (
            EVENTS,
            {"variables": {"after": "0" * 16}, "extensions": {"after": cursor}},
            "7",
        ),
        "origin": (EVENTS, {"variables": {"after": "0" * 16}}, "0"),
        "object": (INSTANCE, {"extensions": {"after": cursor}}, ""),
        "no cursor": (EVENTS, {"extensions": {"after": None, "other": 1}}, ""),
    }
    for name, (query, members, position) in positions.items():
        digest = socket.plan_of(query, name, **members)
        assert socket.subscriptions[name] == [digest, position], name
    assert socket.state["running"] == []


_REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no document": ("", {}, "INVALID_DOCUMENT"),
    "no syntax": ("subscription {", {}, "INVALID_DOCUMENT"),
    "an unpaired surrogate in the document": ("{ a } # \ud800", {}, "INVALID_DOCUMENT"),
    "an unknown field": ("subscription { a }", {}, "INVALID_DOCUMENT"),
    "two fields": (
        'subscription { a: instance(instanceId: "i") { id } b: instance(instanceId: "i") { id } }',
        {},
        "INVALID_DOCUMENT",
    ),
    "introspection": ("subscription { __typename }", {}, "INVALID_DOCUMENT"),
    "nothing, once it is skipped": (
        "subscription ($s: Boolean!) { workflowEvents @skip(if: $s) { cursor } }",
        {"variables": {"s": True}},
        "INVALID_DOCUMENT",
    ),
    "introspection, once it is included": (
        "subscription ($s: Boolean!) { workflowEvents @skip(if: $s) { cursor }"
        " ... on Subscription @include(if: $s) { __typename } }",
        {"variables": {"s": True}},
        "INVALID_DOCUMENT",
    ),
    "a missing variable": (
        "subscription ($id: String!) { instance(instanceId: $id) { id } }",
        {},
        "INVALID_DOCUMENT",
    ),
    "a variable of another type": (EVENTS, {"variables": {"f": 5}}, "INVALID_DOCUMENT"),
    "no cursor": (EVENTS, {"variables": {"after": "7"}}, "INVALID_DOCUMENT"),
    "no cursor in the extensions": (EVENTS, {"extensions": {"after": "7"}}, "INVALID_ARGUMENT"),
    "a number in the extensions": (EVENTS, {"extensions": {"after": 7}}, "INVALID_ARGUMENT"),
    "an object in the extensions": (EVENTS, {"extensions": {"after": {}}}, "INVALID_ARGUMENT"),
    "too many values": (
        EVENTS,
        {"variables": {"f": {"workflow": ["w"] * 101}}},
        "INVALID_ARGUMENT",
    ),
    "an unpaired surrogate in a value": (
        "subscription ($id: String!) { instance(instanceId: $id) { id } }",
        {"variables": {"id": "\ud800"}},
        "INVALID_ARGUMENT",
    ),
    "a name out of bounds": (
        'subscription { reference(refType: "", refId: "1") { id } }',
        {},
        "INVALID_ARGUMENT",
    ),
    "too large an answer": (
        "subscription { workflowEvents { events { instance { reference { instances(first: 100) {"
        " nodes { events(first: 1000) { events { type } } } } } } } } }",
        {},
        "OPERATION_TOO_LARGE",
    ),
    "an unknown operation": (EVENTS, {"operationName": "A"}, "UNKNOWN_OPERATION"),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_a_subscription_that_cannot_be_served_is_answered_with_an_error(name: str) -> None:
    query, members, code = _REFUSED[name]
    error = Socket(serving()[0]).refused(query, **members)
    assert error["extensions"]["code"] == code, error


def test_an_error_names_the_wrong_argument() -> None:
    error = Socket(serving()[0]).refused(EVENTS, extensions={"after": "later"})
    assert error["extensions"]["argument"] == "extensions.after"


def test_subscriptions_that_begin_at_different_cursors_share_a_plan() -> None:
    server, host = serving()
    sockets = [Socket(server), Socket(server, "read"), Socket(server, "write")]
    digests = {
        socket.plan_of(EVENTS, f"{number}", variables={"after": f"{number:016}"})
        for socket in sockets
        for number in (0, 3, 999)
    }
    assert len(digests) == 1
    # A token without restrictions sees the same as a key.
    free = Socket(server, token(host.services.gatekeeper))
    assert free.plan_of(EVENTS, variables={"after": "0" * 16}) in digests
    # A cursor in the extensions is not part of the operation.
    plain = {Socket(server).plan_of(EVENTS, extensions={"after": f"{n:016}"}) for n in (1, 2)}
    assert plain == {Socket(server).plan_of(EVENTS)}


def test_subscriptions_with_and_without_a_cursor_share_a_plan() -> None:
    server, _ = serving()
    began = {Socket(server).plan_of(EVENTS, variables=given) for given in ({}, {"after": None})}
    resumed = Socket(server).plan_of(EVENTS, variables={"after": "0" * 16})
    assert began == {resumed}


_TWICE = """subscription ($after: EventCursor) { workflowEvents(after: $after) {
  events { instance { events(after: $after) { cursor } } } } }"""
_OTHERS: dict[str, Callable[[Socket], str]] = {
    "other values": lambda s: s.plan_of(EVENTS, variables={"f": {"workflow": ["v"]}}),
    "another document": lambda s: s.plan_of(EVENTS + " ", variables={"f": {"workflow": ["w"]}}),
    "another operation": lambda s: s.plan_of(
        EVENTS.replace("subscription", "subscription A") + " query B { __typename }",
        operationName="A",
    ),
    "a cursor that is used elsewhere too": lambda s: s.plan_of(
        _TWICE, variables={"after": "0000000000000001"}
    ),
    "that cursor, further on": lambda s: s.plan_of(_TWICE, variables={"after": "0000000000000002"}),
}


def test_subscriptions_that_differ_otherwise_share_no_plan() -> None:
    server, host = serving()
    digests = [Socket(server).plan_of(EVENTS, variables={"f": {"workflow": ["w"]}})]
    digests += [other(Socket(server)) for other in _OTHERS.values()]
    for limits in ({"workflows": ["w"]}, {"ref": ["t", "1"]}, {"ref": ["t", "2"]}):
        limited = Socket(server, token(host.services.gatekeeper, **limits))
        digests.append(limited.plan_of(EVENTS, variables={"f": {"workflow": ["w"]}}))
    assert len(set(digests)) == len(digests)


def test_a_document_is_stored_once_for_all_its_plans() -> None:
    socket = Socket(serving()[0])
    rows = [
        socket.subscribe(EVENTS, name, variables={"f": {"workflow": [name]}})[0]
        for name in ("a", "b")
    ]
    (_, plan, document, text, rest), (_, other, same, _, _) = rows
    assert (document == same, plan == other) == (True, False)
    assert (len(plan), len(document)) == (32, 32)
    assert json.loads(text) == EVENTS
    assert json.loads(rest)[1] == {"f": {"workflow": ["a"]}}


# --- queries and mutations


def test_a_query_is_executed_and_its_id_reserved() -> None:
    socket = Socket(serving()[0])
    variables = {"s": "x", "n": 1.5, "o": {"k": [None]}}
    [(kind, operation_id, payload)] = socket.subscribe(
        "query A { stats { total } }", "q", variables=variables, operationName="A"
    )
    assert (kind, operation_id) == ("execute", "q")
    assert json.loads(payload)["variables"] == variables
    assert socket.state["running"] == ["q"]
    assert socket.subscriptions == {}


def test_a_query_is_answered_with_its_data_and_is_over() -> None:
    socket = Socket(serving()[0])
    assert socket.answers('{ stats { total } w: workflow(name: "w") { name } }') == [
        {"id": "1", "type": "next", "payload": {"data": {"stats": {"total": 0}, "w": None}}},
        {"id": "1", "type": "complete"},
    ]
    assert socket.answers("{ __typename }")[0]["payload"] == {"data": {"__typename": "Query"}}


CREATE = """mutation ($v: UpdateWorkflowInstanceInput!) { r: updateWorkflowInstance(input: $v) {
  __typename ... on InvalidInput { path } ... on InstancePayload { instance { output } } } }"""


def test_a_mutation_is_executed() -> None:
    database = SqliteD1()
    given = {"instanceId": "i", "workflow": "w", "output": {"a": 1}}
    frames = Socket(serving(database)[0], "write").answers(CREATE, variables={"v": given})
    assert frames[0]["payload"]["data"]["r"]["instance"] == {"output": {"a": 1}}
    assert Client(database)("{ stats { total } }") == {"stats": {"total": 1}}


@pytest.mark.parametrize(
    ("query", "members", "code"),
    [
        ("{ a }", {}, "INVALID_DOCUMENT"),
        ("query ($n: Int!) { instances(first: $n) { totalCount } }", {}, "INVALID_DOCUMENT"),
        ("{ instances(first: 101) { totalCount } }", {}, "INVALID_ARGUMENT"),
        ("query A { __typename } query B { __typename }", {}, "OPERATION_NAME_REQUIRED"),
        (CREATE, {"variables": {"v": {"instanceId": "i"}}}, "FORBIDDEN"),
    ],
)
def test_a_request_that_is_refused_is_answered_with_an_error(
    query: str, members: dict[str, Any], code: str
) -> None:
    socket = Socket(serving()[0], "read")
    [(kind, *made)] = socket.subscribe(query, "1", **members)
    if kind == "execute":
        # Valid as a document: its values are checked when it is executed.
        socket.send({"type": "complete", "id": "1"})
        [frame] = socket.answers(query, **members)
    else:
        frame = json.loads(made[0])
    assert (frame["id"], frame["type"]) == ("1", "error")
    assert frame["payload"][0]["extensions"]["code"] == code


def test_a_field_that_failed_is_answered_with_null_and_its_error() -> None:
    query = """mutation ($v: SendWorkflowEventInput!) {
      r: sendWorkflowEvent(input: $v) { __typename } }"""
    given = {"instanceId": "i", "type": "x" * (MAX_EVENT_TYPE + 1)}
    shown, over = Socket(serving()[0]).answers(query, variables={"v": given})
    assert over == {"id": "1", "type": "complete"}
    assert (shown["type"], shown["payload"]["data"]) == ("next", None)
    [error] = shown["payload"]["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("INVALID_INPUT", ["r"])


def test_an_unexpected_error_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])

    async def broken(*_: Any, **__: Any) -> Any:
        raise DatabaseError("D1_ERROR: secret")

    monkeypatch.setattr(database, "batch", broken)
    shown, over = socket.answers("{ stats { total } }")
    assert over["type"] == "complete"
    assert shown["payload"]["data"] is None
    assert shown["payload"]["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in json.dumps(shown)


@pytest.mark.parametrize("value", ["lone \ud800 surrogate", {"\udfff": ["\ud800"]}, 2**70, 1e22])
def test_a_value_is_the_same_over_a_socket_as_over_http(value: Any) -> None:
    given = {"instanceId": "i", "workflow": "w", "output": value}
    frames = Socket(serving()[0]).answers(CREATE, variables={"v": given})
    assert frames[0]["payload"]["data"]["r"]["instance"] == {"output": value}


def test_a_number_beyond_floats_is_refused() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    given = {"instanceId": "i", "workflow": "w", "output": float("inf")}
    frames = socket.answers(CREATE, variables={"v": given})
    assert frames[0]["payload"]["data"]["r"] == {
        "__typename": "InvalidInput",
        "path": ["input", "output"],
    }
    assert Writer(Client(database)).head() == 0
