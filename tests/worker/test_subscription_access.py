"""Access of subscriptions: which keys and tokens may subscribe, to what and for how long."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.vocabulary import Scope
from scripts.local_server import LocalServer
from tests.worker.api import Api
from tests.worker.event_log import START, WORKFLOW_EVENTS, head, touch, write_without_notifying
from tests.worker.raw_socket import RawSocket, events_of, init_frame
from tests.worker.test_access import short_token_of, token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.conftest import StartServer

READ_KEY, WRITE_KEY = "read-key-51aa", "write-key-77e0"
INSTANCE = "subscription($id: String!) { instance(instanceId: $id) { instanceId metadata } }"
REFERENCE = """subscription($refType: String!, $refId: String!) {
  reference(refType: $refType, refId: $refId) {
    statusCounts { status count } instances { totalCount nodes { instanceId } }
  }
}"""
EVENTS = """subscription($after: EventCursor, $filter: EventFilter) {
  workflowEvents(after: $after, filter: $filter) {
    events { cursor type data step { name } instance { instanceId input workflow { name } } }
    cursor hasMore
  }
}"""


@pytest.fixture(scope="module")
def keyed(prepared: None) -> Iterator[LocalServer]:
    """A server with a key of each kind."""
    with LocalServer(
        vars={"FLOWFLARE_READ_KEY": READ_KEY, "FLOWFLARE_WRITE_KEY": WRITE_KEY}
    ) as running:
        yield running


@pytest.fixture
def api(keyed: LocalServer) -> Iterator[Api]:
    """A caller of it, with all rights."""
    with Api(keyed) as caller:
        yield caller


@pytest.fixture
def name() -> str:
    """A name no other test uses."""
    return f"access-{uuid.uuid4().hex[:8]}"


def start(api: Api, instance_id: str, workflow: str, ref_id: str | None = None) -> None:
    reference = {"refType": "order", "refId": ref_id} if ref_id else None
    given = {"workflow": workflow, "instanceId": instance_id, "reference": reference}
    api.data(START, input={**given, "input": {"secret": instance_id}, "trackOnly": True})


@pytest.mark.parametrize("key", [READ_KEY, WRITE_KEY])
def test_read_and_write_keys_may_subscribe(
    keyed: LocalServer, api: Api, name: str, key: str
) -> None:
    with RawSocket(keyed).init(key=key) as socket:
        socket.subscribe("1", EVENTS, variables={"after": head(api), "filter": {"workflow": name}})
        start(api, name, name)
        [event] = events_of([socket.receive()], "1")
        assert event["instance"]["instanceId"] == name


def test_a_read_key_does_not_write_over_a_socket(keyed: LocalServer, api: Api, name: str) -> None:
    with RawSocket(keyed).init(key=READ_KEY) as socket:
        got = socket.ask(START, input={"workflow": name, "instanceId": name, "trackOnly": True})
        [errors] = [
            m["payload"] if m["type"] == "error" else m["payload"]["errors"]
            for m in got
            if m["type"] != "complete"
        ]
        assert errors[0]["extensions"]["code"] == "FORBIDDEN"
        assert socket.ask("{ __typename }")[-1]["type"] == "complete"
    found = api.data("query($id: String!) { instance(instanceId: $id) { id } }", id=name)
    assert found == {"instance": None}


def test_a_write_key_creates_no_tokens_over_a_socket(keyed: LocalServer) -> None:
    with RawSocket(keyed).init(key=WRITE_KEY) as socket:
        got = socket.ask(
            "mutation { createAccessToken(input: {unrestricted: true}) { __typename } }"
        )
        assert "FORBIDDEN" in str(got)
        assert "AccessTokenPayload" not in str(got)


def test_a_restricted_token_gets_only_what_its_restrictions_allow(
    keyed: LocalServer, api: Api, name: str
) -> None:
    mine, other = f"{name}-mine", f"{name}-other"
    after = head(api)
    start(api, mine, f"{name}-a", ref_id=mine)
    start(api, other, f"{name}-b", ref_id=other)
    restrictions: list[dict[str, Any]] = [
        {"reference": {"refType": "order", "refId": mine}},
        {"workflows": [f"{name}-a"]},
        {"instanceId": mine},
        {"instanceId": mine, "workflows": [f"{name}-a"]},
    ]
    for number, restriction in enumerate(restrictions):
        with RawSocket(keyed).init(key=token_of(keyed, **restriction)) as socket:
            socket.subscribe("log", EVENTS, variables={"after": after})
            socket.subscribe(
                "outside",
                EVENTS,
                variables={"after": after, "filter": {"workflow": [f"{name}-b"]}},
            )
            socket.subscribe("mine", INSTANCE, variables={"id": mine})
            socket.subscribe("other", INSTANCE, variables={"id": other})
            socket.subscribe("order", REFERENCE, variables={"refType": "order", "refId": other})
            keyed.tracker("notify")
            got = socket.flushed()
            assert {e["instance"]["instanceId"] for e in events_of(got, "log")} == {mine}
            assert events_of(got, "outside") == []
            live = {m["id"]: m["payload"]["data"] for m in got if m["id"] not in ("log", "outside")}
            assert live["mine"]["instance"]["instanceId"] == mine
            assert live["other"] == {"instance": None}
            assert live["order"]["reference"] == {
                "statusCounts": [],
                "instances": {"totalCount": 0, "nodes": []},
            }
            assert other not in str(got)
            # A change of another instance sends nothing.
            touch(api, other, "secret")
            write_without_notifying(keyed, other, "more secret")
            start(api, f"{other}-{number}", f"{name}-b", ref_id=other)
            keyed.tracker("notify")
            assert socket.flushed() == []
            touch(api, mine, f"seen {number}")
            keyed.tracker("notify")
            got = socket.flushed()
            assert sorted(message["id"] for message in got) == ["log", "mine"]
            assert other not in str(got)


def test_restrictions_hold_after_an_eviction(keyed: LocalServer, api: Api, name: str) -> None:
    mine, other = f"{name}-mine", f"{name}-other"
    start(api, mine, name)
    start(api, other, name)
    with (
        RawSocket(keyed).init(key=token_of(keyed, instanceId=mine)) as limited,
        RawSocket(keyed).init() as everything,
    ):
        after = head(api)
        for socket in (limited, everything):
            socket.subscribe("log", EVENTS, variables={"after": after})
        keyed.tracker("notify")
        keyed.evict()
        for instance_id in (other, mine):
            touch(api, instance_id, "changed")
        keyed.tracker("notify")
        seen = [
            [event["instance"]["instanceId"] for event in events_of(socket.flushed(), "log")]
            for socket in (limited, everything)
        ]
        assert seen == [[mine], [other, mine]]


def test_an_idle_socket_closes_with_4403_when_its_token_expires(
    keyed: LocalServer,
) -> None:
    with RawSocket(keyed) as socket:
        socket.init(key=short_token_of(keyed, seconds=3))
        began = time.monotonic()
        socket.subscribe("1", EVENTS)
        keyed.evict()
        assert socket.closed() == (4403, "The token has expired.")
        assert time.monotonic() - began < 8


def test_nothing_is_sent_once_the_token_has_expired(
    keyed: LocalServer, api: Api, name: str
) -> None:
    start(api, name, name)
    token = short_token_of(keyed, seconds=3)
    # The expiry of a token is in whole seconds.
    expires = time.time() + 3
    with RawSocket(keyed) as socket:
        socket.init(key=token).subscribe("1", EVENTS, variables={"after": head(api)})
        n = 0
        notes: dict[str, float] = {}
        while socket.connection.protocol.close_rcvd is None:
            assert time.time() < expires + 3
            notes[str(n)] = time.time()
            touch(api, name, str(n))
            n += 1
        messages, code, reason = socket.drained()
    assert (code, reason) == (4403, "The token has expired.")
    # Each event is about a change that was made before the token expired.
    count = len(events_of(messages, "1"))
    assert 0 < count <= n
    assert notes[str(count - 1)] < expires


def test_a_message_after_the_token_has_expired_closes_with_4403(
    keyed: LocalServer, name: str
) -> None:
    with RawSocket(keyed) as socket:
        socket.init(key=short_token_of(keyed, seconds=1, scope=Scope.WRITE))
        deadline = time.monotonic() + 5
        while socket.connection.protocol.close_rcvd is None:
            assert time.monotonic() < deadline
            socket.send_all({"type": "complete", "id": "nothing"})
            time.sleep(0.05)
        assert socket.closed() == (4403, "The token has expired.")
    with RawSocket(keyed) as late:
        late.send(init_frame(short_token_of(keyed, seconds=0)))
        assert late.closed()[0] == 4403


def test_a_removed_key_is_refused(start_server: StartServer) -> None:
    server = start_server(vars={"FLOWFLARE_READ_KEY": "old-key new-key"})
    with Api(server) as api:
        token = token_of(server)
        start(api, "before", "before")
    sockets = {key: RawSocket(server).init(key=key) for key in ("old-key", "new-key", token)}
    for socket in sockets.values():
        socket.subscribe("1", WORKFLOW_EVENTS)
        assert socket.flushed() == []
    server.vars["FLOWFLARE_READ_KEY"] = "new-key"
    server.restart()
    for key, lost in sockets.items():
        lost.close()
        with RawSocket(server) as again:
            if key == "old-key":
                again.send(init_frame(key))
                assert again.closed()[0] == 4403
            else:
                again.init(key=key)
                assert again.ask("{ __typename }")[-1]["type"] == "complete"
