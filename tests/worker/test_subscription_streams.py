"""GraphQL over server-sent events, for clients without WebSockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resolvers.base.limits import SSE_KEEP_ALIVE_MS
from tests.support.timing import until
from tests.worker.api import Api, code
from tests.worker.event_log import (
    START,
    WORKFLOW_EVENTS,
    events_after,
    head,
    seed_events,
    touch,
)
from tests.worker.event_stream import MEDIA_TYPE, EventStream
from tests.worker.inbox import events_in
from tests.worker.subscribers import NodeClients
from tests.worker.test_access import short_token_of

if TYPE_CHECKING:
    from scripts.local_server import LocalServer

COMPLETE = {"event": "complete", "data": None}
HELLO = "{ __typename }"


def of(name: str, **more: Any) -> dict[str, Any]:
    return {"filter": {"workflow": [name]}, **more}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_events_are_sent_at_once_with_their_cursor_as_id(
    server: LocalServer, api: Api, name: str, method: str
) -> None:
    variables = of(name, after=head(api))
    with EventStream(server, WORKFLOW_EVENTS, variables=variables, method=method) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith(MEDIA_TYPE)
        assert stream.response.headers["cache-control"] == "no-store"
        for note in ("one", "two"):
            touch(api, name, note)
            event = stream.next()
            assert event["event"] == "next"
            [happened] = events_in(event["data"])
            assert happened["type"] == "INSTANCE_UPDATED"
            assert event["id"] == event["data"]["extensions"]["cursor"] >= happened["cursor"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_last_event_id_resumes_without_gap_or_repeat(
    server: LocalServer, api: Api, name: str, method: str
) -> None:
    after = head(api)
    variables = of(name, after=after)
    seen: list[Any] = []
    expected: list[Any] = []
    last: str | None = None
    for turn in range(3):
        with EventStream(
            server, WORKFLOW_EVENTS, variables=variables, method=method, last_event_id=last
        ) as stream:
            touch(api, name, f"live {turn}")
            expected = events_after(api, after, filter_=variables["filter"])
            while len(seen) < len(expected):
                event = stream.next()
                last = event["id"]
                seen += events_in(event["data"])
        touch(api, name, f"missed {turn}")
    assert seen == expected
    assert len(seen) == 5


def test_the_cursor_in_the_extensions_resumes_too(server: LocalServer, api: Api, name: str) -> None:
    after = head(api)
    touch(api, name, "missed")
    with EventStream(
        server, WORKFLOW_EVENTS, variables=of(name), extensions={"after": after}
    ) as stream:
        assert len(events_in(stream.next()["data"])) == 1


def test_a_live_object_is_sent_at_first_and_after_each_change(
    server: LocalServer, api: Api, name: str
) -> None:
    query = "subscription($id: String!) { it: instance(instanceId: $id) { metadata } }"
    with EventStream(server, query, variables={"id": name}) as stream:
        assert stream.next()["data"]["data"] == {"it": {"metadata": None}}
        touch(api, name, "a\nb\r\u2028é")
        assert stream.next()["data"]["data"] == {"it": {"metadata": {"note": "a\nb\r\u2028é"}}}


def test_stored_json_with_line_breaks_stays_one_event(server: LocalServer, name: str) -> None:
    query = "subscription($id: String!) { instance(instanceId: $id) { metadata } }"
    metadata = '{\n "a":\r\n\n [1,\n\n2]\n}'
    server.query("UPDATE instances SET metadata=?2 WHERE instance_id=?1", [name, metadata])
    with EventStream(server, query, variables={"id": name}) as stream:
        assert stream.next()["data"]["data"] == {"instance": {"metadata": {"a": [1, 2]}}}
    with EventStream(server, query.replace("subscription", "query"), variables={"id": name}) as one:
        data = one.rest()[0]["data"]["data"]
        assert data == {"instance": {"metadata": {"a": [1, 2]}}}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_query_is_one_event_and_complete(server: LocalServer, method: str) -> None:
    with EventStream(server, HELLO, method=method) as stream:
        assert stream.rest() == [
            {"event": "next", "data": {"data": {"__typename": "Query"}}},
            COMPLETE,
        ]


def test_a_mutation_is_accepted_by_post_and_refused_by_get(
    server: LocalServer, api: Api, name: str
) -> None:
    given = {"input": {"workflow": name, "instanceId": f"{name}-2", "trackOnly": True}}
    with EventStream(server, START, variables=given, method="GET") as refused:
        refused.response.read()
        assert (refused.response.status_code, code(refused.response)) == (405, "METHOD_NOT_ALLOWED")
    query = "query($id: String!) { instance(instanceId: $id) { status } }"
    assert api.data(query, id=f"{name}-2") == {"instance": None}
    with EventStream(server, START, variables=given) as stream:
        answer, end = stream.rest()
        assert answer["data"] == {"data": {"startWorkflow": {"__typename": "InstancePayload"}}}
        assert end == COMPLETE


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{ no }", {}, "INVALID_DOCUMENT"),
        ("subscription { workflowEvents { no } }", {}, "INVALID_DOCUMENT"),
        ("query A { __typename } query B { __typename }", {}, "OPERATION_NAME_REQUIRED"),
        (WORKFLOW_EVENTS, {"after": f"{2**53 - 1}"}, "INVALID_ARGUMENT"),
    ],
)
def test_a_request_error_is_one_event_and_complete(
    server: LocalServer, query: str, variables: dict[str, Any], expected: str
) -> None:
    with EventStream(server, query, variables=variables) as stream:
        assert stream.response.status_code == 200
        event, end = stream.rest()
        [error] = event["data"]["errors"]
        assert error["extensions"]["code"] == expected
        assert "data" not in event["data"]
        assert end == COMPLETE


def test_an_invalid_last_event_id_is_an_error(server: LocalServer) -> None:
    with EventStream(server, WORKFLOW_EVENTS, last_event_id="nonsense") as stream:
        event, end = stream.rest()
        assert event["data"]["errors"][0]["message"]
        assert end == COMPLETE


def test_without_a_valid_key_no_stream_begins(server: LocalServer) -> None:
    for query in (HELLO, WORKFLOW_EVENTS):
        with EventStream(server, query, key="wrong") as stream:
            stream.response.read()
            assert (stream.response.status_code, code(stream.response)) == (401, "UNAUTHENTICATED")


def test_a_subscription_over_plain_http_is_refused_with_the_media_type_to_use(api: Api) -> None:
    error = api.error(WORKFLOW_EVENTS)
    assert error["extensions"]["code"] == "SUBSCRIPTION_TRANSPORT"
    assert MEDIA_TYPE in error["message"]


def test_a_stream_ends_with_an_error_when_its_token_expires(server: LocalServer) -> None:
    token = short_token_of(server, seconds=2)
    with EventStream(server, WORKFLOW_EVENTS, key=token) as stream:
        event, end = stream.rest()
        [error] = event["data"]["errors"]
        assert error == {
            "message": "The token has expired.",
            "extensions": {"code": "UNAUTHENTICATED"},
        }
        assert end == COMPLETE


def test_a_stream_goes_on_after_an_eviction(server: LocalServer, api: Api, name: str) -> None:
    with EventStream(server, WORKFLOW_EVENTS, variables=of(name, after=head(api))) as stream:
        for n in range(5):
            touch(api, name, str(n))
            assert len(events_in(stream.next()["data"])) == 1
            server.evict()


def test_a_long_replay_is_complete(server: LocalServer, api: Api, name: str) -> None:
    after = head(api)
    seed_events(server, name, 12_000)
    with EventStream(server, WORKFLOW_EVENTS, variables=of(name, after=after)) as stream:
        seen: list[Any] = []
        while len(seen) < 12_000:
            seen += events_in(stream.next()["data"])
    assert seen == events_after(api, after, filter_={"workflow": [name]})


def test_the_socket_of_a_stream_closes_when_its_client_goes_away(
    server: LocalServer, api: Api, name: str
) -> None:
    before = server.tracker("status")
    streams = [
        EventStream(server, WORKFLOW_EVENTS, variables=of(name, after=head(api))) for _ in range(3)
    ]
    touch(api, name, "for all")
    for stream in streams:
        stream.next()
    status = server.tracker("status")
    assert status["sockets"] == before["sockets"] + 3
    for stream in streams:
        stream.close()
    touch(api, name, "after the streams")
    most = SSE_KEEP_ALIVE_MS / 1_000 + 5
    until(
        lambda: server.tracker("status")["sockets"] <= before["sockets"],
        server.tracker("status"),
        seconds=most,
    )
    assert server.tracker("status")["subscriptions"] <= before["subscriptions"]


def test_npm_graphql_sse_subscribes_queries_and_gets_errors(
    server: LocalServer, api: Api, name: str
) -> None:
    with NodeClients() as node:
        variables = of(name, after=head(api))
        events = node.stream("events", server, WORKFLOW_EVENTS, variables=variables)
        query = "query($id: String!) { instance(instanceId: $id) { status } }"
        asked = node.stream("asked", server, query, variables={"id": name})
        assert asked.until_happened("next")["payload"] == {
            "data": {"instance": {"status": "QUEUED"}}
        }
        asked.until_happened("complete")
        wrong = node.stream("wrong", server, "{ no }", variables={})
        wrong.until_happened("complete")
        assert wrong.results[0]["errors"][0]["extensions"]["code"] == "INVALID_DOCUMENT"
        for n in range(3):
            touch(api, name, str(n))
        events.until(lambda inbox: len(inbox.events) == 3)
        assert events.cursor is not None
        sockets = server.tracker("status")["sockets"]
        node.complete("events")
        events.until_happened("complete")
        until(
            lambda: server.tracker("status")["sockets"] < sockets,
            "still there",
            seconds=SSE_KEEP_ALIVE_MS / 1_000 + 5,
        )


@pytest.mark.parametrize(
    "more",
    ['{"y": 1e999}', '{"y": ' + "[" * 245 + "]" * 245 + "}", '{"y": "' + "x" * 1_500_000 + '"}'],
    ids=["infinity", "deep", "long"],
)
def test_undeclared_variables_of_any_kind_are_ignored(
    server: LocalServer, api: Api, name: str, more: str
) -> None:
    query = 'subscription { instance(instanceId: "none") { status } }'
    body = f'{{"query": {json.dumps(query)}, "variables": {more}}}'
    headers = {
        "authorization": f"Bearer {server.key}",
        "accept": "text/event-stream",
        "content-type": "application/json",
    }
    with httpx.stream("POST", f"{server.url}/graphql", content=body, headers=headers) as response:
        assert response.status_code == 200
        lines = (line for line in response.iter_lines() if line.startswith("data: {"))
        assert json.loads(next(lines).removeprefix("data: "))["data"] == {"instance": None}
