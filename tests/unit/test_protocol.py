"""graphql-transport-ws as a state machine, tested with tables and with sequences of frames."""

import json
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from resolvers.access.principals import Principal, principal
from resolvers.base.errors import AccessError
from resolvers.base.limits import MAX_SUBSCRIPTIONS
from resolvers.base.vocabulary import Scope
from tracker_do import frames, protocol
from tracker_do.frames import (
    ClientFrame,
    CloseCode,
    Complete,
    ConnectionInit,
    Malformed,
    Ping,
    Pong,
    Subscribe,
    SubscribePayload,
)
from tracker_do.protocol import Close, Connection, PongReceived, Send, Start, Subscription

READER = principal(Scope.READ, fingerprint="f")
REQUEST = SubscribePayload(query="{ a }")


def authenticate(authorization: str | None) -> Principal:
    """Accept one key."""
    if authorization != "Bearer good":
        raise AccessError.unauthenticated("The key is not valid.")
    return READER


def receive(
    connection: Connection, frame: ClientFrame | Malformed
) -> tuple[Connection, list[protocol.Action]]:
    """Receive a frame; the connection before it must not be changed."""
    before = repr(connection)
    transition = protocol.receive(connection, frame, authenticate)
    assert repr(connection) == before
    return transition


def subscribe(operation_id: str = "1") -> Subscribe:
    return Subscribe(type="subscribe", id=operation_id, payload=REQUEST)


def complete(operation_id: str = "1") -> Complete:
    return Complete(type="complete", id=operation_id)


def init(payload: dict[str, Any] | None) -> ConnectionInit:
    return ConnectionInit(type="connection_init", payload=payload)


NEW = Connection()
ACKNOWLEDGED = Connection(READER)
SUBSCRIBED = Connection(READER, {"1": Subscription("d", 5)})
RUNNING = Connection(READER, running=("1",))
CONNECTIONS = {
    "new": NEW,
    "acknowledged": ACKNOWLEDGED,
    "subscribed": SUBSCRIBED,
    "running": RUNNING,
}


def test_an_init_with_a_key_is_acknowledged_and_remembered() -> None:
    after, actions = receive(NEW, init({"authorization": "Bearer good", "more": 1}))
    assert after == ACKNOWLEDGED
    assert actions == [Send('{"type":"connection_ack"}')]


@pytest.mark.parametrize(
    "payload", [None, {}, {"authorization": None}, {"authorization": ""}, {"Authorization": "x"}]
)
def test_an_init_without_a_key_closes_with_4403(payload: dict[str, Any] | None) -> None:
    after, actions = receive(NEW, init(payload))
    assert after is NEW
    assert actions == [Close(CloseCode.FORBIDDEN, "The key is not valid.")]


@pytest.mark.parametrize("authorization", ["Bearer bad", "good", "Bearer good "])
def test_an_init_with_a_wrong_key_closes_with_4403(authorization: str) -> None:
    after, actions = receive(NEW, init({"authorization": authorization}))
    assert after is NEW
    assert actions == [Close(CloseCode.FORBIDDEN, "The key is not valid.")]


@pytest.mark.parametrize("authorization", [1, True, ["Bearer good"], {"key": "good"}])
def test_an_init_whose_key_is_not_a_string_closes_with_4400(authorization: Any) -> None:
    after, actions = receive(NEW, init({"authorization": authorization}))
    assert after is NEW
    assert isinstance(actions[0], Close)
    assert actions[0].code is CloseCode.BAD_REQUEST
    assert "payload.authorization" in actions[0].reason


@pytest.mark.parametrize("name", ["acknowledged", "subscribed", "running"])
@pytest.mark.parametrize("payload", [None, {"authorization": "Bearer good"}, {"authorization": 1}])
def test_a_second_init_closes_with_4429(name: str, payload: dict[str, Any] | None) -> None:
    after, actions = receive(CONNECTIONS[name], init(payload))
    assert after is CONNECTIONS[name]
    reason = "Too many initialisation requests"
    assert actions == [Close(CloseCode.TOO_MANY_INIT_REQUESTS, reason)]


def test_a_refused_init_does_not_authenticate_the_connection() -> None:
    after, _ = receive(NEW, init({"authorization": "Bearer bad"}))
    _, actions = receive(after, subscribe())
    assert actions == [Close(CloseCode.UNAUTHORIZED, "Unauthorized")]


def test_subscribing_before_the_acknowledgement_closes_with_4401() -> None:
    assert receive(NEW, subscribe()) == (NEW, [Close(CloseCode.UNAUTHORIZED, "Unauthorized")])


def test_subscribing_reserves_the_id_and_starts_the_operation() -> None:
    after, actions = receive(ACKNOWLEDGED, subscribe("a"))
    assert after == replace(ACKNOWLEDGED, running=("a",))
    assert actions == [Start("a", REQUEST)]


@pytest.mark.parametrize("name", ["subscribed", "running"])
def test_an_id_that_is_taken_closes_with_4409(name: str) -> None:
    after, actions = receive(CONNECTIONS[name], subscribe("1"))
    assert after is CONNECTIONS[name]
    reason = "Subscriber for 1 already exists"
    assert actions == [Close(CloseCode.SUBSCRIBER_EXISTS, reason)]
    assert receive(CONNECTIONS[name], subscribe("2"))[1] == [Start("2", REQUEST)]


def test_an_id_may_be_used_again_once_its_operation_is_over() -> None:
    for connection in (SUBSCRIBED, RUNNING):
        after, actions = receive(connection, complete("1"))
        assert (after, actions) == (ACKNOWLEDGED, [])
        assert receive(after, subscribe("1"))[1] == [Start("1", REQUEST)]


@pytest.mark.parametrize("subscriptions", [0, 1, MAX_SUBSCRIPTIONS - 1, MAX_SUBSCRIPTIONS])
def test_a_socket_has_at_most_as_many_operations_as_the_limit(subscriptions: int) -> None:
    full = Connection(
        READER,
        {f"s{n}": Subscription("d", None) for n in range(subscriptions)},
        tuple(f"r{n}" for n in range(MAX_SUBSCRIPTIONS - subscriptions)),
    )
    after, [action] = receive(full, subscribe("more"))
    assert after is full
    assert isinstance(action, Send)
    frame = json.loads(action.text)
    assert (frame["type"], frame["id"]) == ("error", "more")
    [error] = frame["payload"]
    assert error["extensions"] == {"code": "SUBSCRIPTION_LIMIT", "limit": "MAX_SUBSCRIPTIONS"}
    assert str(MAX_SUBSCRIPTIONS) in error["message"]
    # An id in use closes the socket even then.
    taken = "s0" if subscriptions else "r0"
    assert isinstance(receive(full, subscribe(taken))[1][0], Close)
    less = protocol.end(full, taken)
    assert receive(less, subscribe("more"))[1] == [Start("more", REQUEST)]


@pytest.mark.parametrize("name", CONNECTIONS)
@pytest.mark.parametrize("payload", [None, {}, {"a": [1]}])
def test_a_ping_is_answered_at_any_time(name: str, payload: dict[str, Any] | None) -> None:
    connection = CONNECTIONS[name]
    after, actions = receive(connection, Ping(type="ping", payload=payload))
    assert after is connection
    assert actions == [Send(frames.pong(payload))]


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_pong_is_reported_as_received(name: str) -> None:
    connection = CONNECTIONS[name]
    assert receive(connection, Pong(type="pong")) == (connection, [PongReceived()])


@pytest.mark.parametrize("name", CONNECTIONS)
def test_completing_an_unknown_operation_changes_nothing(name: str) -> None:
    # Both sides may end an operation at once.
    assert receive(CONNECTIONS[name], complete("other")) == (CONNECTIONS[name], [])


@pytest.mark.parametrize("name", CONNECTIONS)
@pytest.mark.parametrize("code", [CloseCode.BAD_REQUEST, CloseCode.MESSAGE_TOO_BIG])
def test_a_malformed_message_closes_with_its_code(name: str, code: CloseCode) -> None:
    connection = CONNECTIONS[name]
    assert receive(connection, Malformed("why", code)) == (connection, [Close(code, "why")])


def test_a_running_operation_becomes_a_subscription() -> None:
    subscription = Subscription("digest", "")
    following = protocol.begin_subscription(
        replace(SUBSCRIBED, running=("2", "3")), "2", subscription
    )
    assert following.subscriptions == {"1": Subscription("d", 5), "2": subscription}
    assert following.running == ("3",)


# --- invariants

_IDS = st.sampled_from(("a", "b", "c"))
_LIMIT = 2  # so that sequences reach it


class Socket(RuleBasedStateMachine):
    """One socket, with any sequence of frames and ends of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection()
        self.closed = False
        self.acknowledged = 0
        # Operations that have not ended for the client.
        self.expected: set[str] = set()
        self._patch = patch.object(protocol, "MAX_SUBSCRIPTIONS", _LIMIT)
        self._patch.start()

    def teardown(self) -> None:
        self._patch.stop()

    def _receive(self, frame: ClientFrame | Malformed) -> list[protocol.Action]:
        before = self.connection
        self.connection, actions = receive(before, frame)
        assert len(actions) <= 1
        for action in actions:
            if isinstance(action, Close):
                # A close changes nothing else.
                assert self.connection == before
                self.closed = True
            elif isinstance(action, Send):
                self.acknowledged += json.loads(action.text)["type"] == "connection_ack"
        return actions

    @precondition(lambda self: not self.closed)
    @rule(key=st.sampled_from(("Bearer good", "Bearer good", "Bearer bad", None, 5)))
    def init(self, key: Any) -> None:
        second = self.connection.principal is not None
        [action] = self._receive(init({"authorization": key}))
        assert isinstance(action, Close) == (second or key != "Bearer good")

    @precondition(lambda self: not self.closed)
    @rule(operation_id=_IDS)
    def subscribe(self, operation_id: str) -> None:
        authenticated = self.connection.principal is not None
        [action] = self._receive(subscribe(operation_id))
        if not authenticated or operation_id in self.expected:
            assert isinstance(action, Close)
        elif len(self.expected) == _LIMIT:
            assert isinstance(action, Send)
        else:
            assert action == Start(operation_id, REQUEST)
            self.expected.add(operation_id)

    @precondition(lambda self: not self.closed)
    @rule(operation_id=_IDS)
    def complete(self, operation_id: str) -> None:
        assert self._receive(complete(operation_id)) == []
        self.expected.discard(operation_id)

    @precondition(lambda self: not self.closed)
    @rule(frame=st.sampled_from((Ping(type="ping"), Pong(type="pong"), Malformed("x"))))
    def other(self, frame: Any) -> None:
        before = self.connection
        self._receive(frame)
        assert self.connection is before

    @precondition(lambda self: self.connection.running)
    @rule(position=st.sampled_from(("", "5", 5, None)))
    def becomes_a_subscription(self, position: protocol.Position) -> None:
        first = self.connection.running[0]
        self.connection = protocol.begin_subscription(
            self.connection, first, Subscription("d", position)
        )
        assert self.connection.subscriptions[first].position == position

    @rule(operation_id=_IDS)
    def ends(self, operation_id: str) -> None:
        """An operation is answered or refused."""
        self.connection = protocol.end(self.connection, operation_id)
        self.expected.discard(operation_id)

    @invariant()
    def an_id_is_of_one_operation(self) -> None:
        ids = [*self.connection.subscriptions, *self.connection.running]
        assert len(ids) == len(set(ids)) <= _LIMIT
        assert set(ids) == self.expected

    @invariant()
    def it_is_acknowledged_once_and_only_then_has_operations(self) -> None:
        assert self.acknowledged == (self.connection.principal is not None)
        if self.connection.principal is None:
            assert not self.expected


TestSocket = Socket.TestCase
TestSocket.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
