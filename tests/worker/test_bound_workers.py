"""A Worker that is bound to the entrypoint FlowflareService, and needs no key."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.worker.api import Api, code
from tests.worker.raw_socket import DEADLINE_S, PROTOCOL
from tests.worker.subscribers import socket_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.local_server import LocalServer

START = "mutation($input: StartWorkflowInput!) { startWorkflow(input: $input) { __typename } }"
STATUS = "query($id: String!) { instance(instanceId: $id) { status } }"
FOLLOW = "subscription($id: String!) { instance(instanceId: $id) { status } }"
TOKEN = "mutation { createAccessToken(input: {unrestricted: true}) { __typename } }"
UPGRADE = {"upgrade": "websocket", "sec-websocket-protocol": "graphql-transport-ws"}
# Headers that a client might send to be taken for a bound Worker.
FORGED = [
    {"x-bound": "1"},
    {"x-flowflare-bound": "true"},
    {"x-entrypoint": "FlowflareService"},
    {"cf-worker": "flowflare"},
    {"mf-entrypoint": "FlowflareService"},
    {"bound": "true"},
]


@pytest.fixture
def instance_id() -> str:
    """The id of an instance that only this test uses."""
    return f"bound-{uuid.uuid4()}"


def ask(
    server: LocalServer,
    query: str,
    *,
    headers: Mapping[str, str] | None = None,
    until: str | None = None,
    **variables: Any,
) -> tuple[int, Any]:
    """Execute an operation over the binding and return its status and body."""
    body = json.dumps({"query": query, "variables": variables})
    sent = {"content-type": "application/json", **(headers or {})}
    request = {"method": "POST", "headers": sent, "body": body}
    answer = server.bound(request, until=until)
    return answer["status"], answer["text"] if until else json.loads(answer["text"])


def start(server: LocalServer, instance_id: str) -> None:
    """Start an instance that no engine runs."""
    tracked = {"workflow": "bound", "instanceId": instance_id, "trackOnly": True}
    assert ask(server, START, input=tracked) == (
        200,
        {"data": {"startWorkflow": {"__typename": "InstancePayload"}}},
    )


def test_a_bound_worker_writes_and_reads_without_a_key(
    server: LocalServer, instance_id: str
) -> None:
    start(server, instance_id)
    found = {"data": {"instance": {"status": "QUEUED"}}}
    assert ask(server, STATUS, id=instance_id) == (200, found)


def test_a_bound_worker_cannot_create_tokens(server: LocalServer) -> None:
    _, body = ask(server, TOKEN)
    assert body["data"] is None
    [error] = body["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_a_key_that_a_bound_worker_sends_takes_precedence(server: LocalServer) -> None:
    with Api(server) as admin:
        created = admin.data(
            "mutation { createAccessToken(input: {scopes: [READ], unrestricted: true}) {"
            " ... on AccessTokenPayload { token } } }"
        )
    reader = {"authorization": f"Bearer {created['createAccessToken']['token']}"}
    assert ask(server, "{ __typename }", headers=reader)[0] == 200
    status, body = ask(
        server, START, headers=reader, input={"workflow": "bound", "trackOnly": True}
    )
    assert (status, body["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    status, body = ask(server, "{ __typename }", headers={"authorization": "Bearer wrong"})
    assert (status, body["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    admin_key = {"authorization": f"Bearer {server.key}"}
    assert "errors" not in ask(server, TOKEN, headers=admin_key)[1]


@pytest.mark.parametrize("authorization", [None, "Bearer wrong"])
def test_a_bound_worker_subscribes_over_a_socket(
    server: LocalServer, instance_id: str, authorization: str | None
) -> None:
    start(server, instance_id)
    payload = {} if authorization is None else {"authorization": authorization}
    follow = {"query": FOLLOW, "variables": {"id": instance_id}}
    answer = server.bound(
        {"headers": UPGRADE},
        messages=[
            {"type": "connection_init", "payload": payload},
            {"type": "subscribe", "id": "1", "payload": follow},
        ],
        until='"next"',
    )
    assert answer["status"] == 101
    if authorization is not None:
        assert answer["messages"] == [4403]
        return
    acknowledged, first = map(json.loads, answer["messages"])
    assert acknowledged == {"type": "connection_ack"}
    assert first["payload"]["data"] == {"instance": {"status": "QUEUED"}}


def test_a_bound_worker_reads_a_stream_of_events(server: LocalServer, instance_id: str) -> None:
    start(server, instance_id)
    headers = {"accept": "text/event-stream"}
    status, text = ask(server, FOLLOW, headers=headers, until='"QUEUED"', id=instance_id)
    assert status == 200
    assert "event: next" in text


@pytest.mark.parametrize("forged", FORGED)
def test_a_client_cannot_pretend_to_be_a_bound_worker(
    server: LocalServer, forged: dict[str, str]
) -> None:
    with Api(server, key=None) as anonymous:
        for path in ("/graphql", "/graphql?bound=true", "/graphql?https://tracker/bound"):
            response = anonymous.request(
                "POST", path, json={"query": "{ __typename }"}, headers=forged
            )
            assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
        for path in ("/bound", "/FlowflareService"):
            response = anonymous.request("POST", path, json={"query": "{ __typename }"})
            assert response.status_code in {404, 405}
        url = f"{socket_url(server)}?https://tracker/bound"
        protocols = [Subprotocol(PROTOCOL)]
        with connect(url, subprotocols=protocols, additional_headers=forged) as socket:
            socket.send('{"type":"connection_init"}')
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=DEADLINE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403
