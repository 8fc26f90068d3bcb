"""Responses as event streams (graphql-sse), and subscriptions over HTTP, without the edge."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.base.limits import MAX_EVENT_TYPE
from resolvers.ports.database import DatabaseError
from schema.application import Application
from schema.http import GraphQLEndpoint
from schema.messages import (
    EVENT_STREAM,
    PLAIN_JSON,
    RESPONSE_JSON,
    HttpError,
    HttpRequest,
    HttpResponse,
    Kind,
    negotiate,
)
from tests.support.client import EXECUTOR, Services, finished
from tests.support.d1 import SqliteD1

EVENTS = "subscription ($after: EventCursor) { workflowEvents(after: $after) { cursor } }"
MUTATION = """mutation ($v: SendWorkflowEventInput!) {
  r: sendWorkflowEvent(input: $v) { __typename } }"""


class Api:
    """The endpoint on a database of its own, with one key of each kind."""

    def __init__(self) -> None:
        self.database = SqliteD1()
        services = Services(self.database)
        services.gatekeeper = Gatekeeper(admin="admin", read="read")
        self._endpoint = GraphQLEndpoint(EXECUTOR, services)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """The response to any request."""
        return finished(self._endpoint.respond(request))

    def post(
        self,
        query: str,
        *,
        accept: str = EVENT_STREAM,
        key: str = "admin",
        last_event_id: str = "",
        **members: Any,
    ) -> HttpResponse:
        """The response to an operation."""
        return self.respond(
            HttpRequest(
                "POST",
                "/graphql",
                accept=accept,
                authorization=f"Bearer {key}",
                content_type="application/json",
                last_event_id=last_event_id,
                body=json.dumps({"query": query, **members}),
            )
        )


def body_of(response: HttpResponse) -> Any:
    """The JSON of a response."""
    return json.loads("".join(map(str, response.body)))


def result_of(response: HttpResponse) -> Any:
    """The result that the edge sends as the only `next` of a stream."""
    assert (response.status, response.kind) == (200, Kind.EVENT)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    return body_of(response)


def code(result: Any) -> str:
    """The code of the only error."""
    [error] = result["errors"]
    return str(error["extensions"]["code"])


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/event-stream", EVENT_STREAM),
        ("Text/Event-Stream", EVENT_STREAM),
        ("text/event-stream; charset=utf-8", EVENT_STREAM),
        ("text/event-stream, application/json", EVENT_STREAM),
        ("text/event-stream, */*;q=0.1", EVENT_STREAM),
        ("application/json;q=0.5, text/event-stream;q=0.6", EVENT_STREAM),
        ("text/html, text/event-stream;q=0.2", EVENT_STREAM),
        ("application/json, text/event-stream", PLAIN_JSON),
        ("text/event-stream;q=0.5, application/graphql-response+json", RESPONSE_JSON),
        ("text/event-stream;q=0, application/json", PLAIN_JSON),
        ("text/event-stream;q=x, application/json;q=0.1", PLAIN_JSON),
        ("*/*", PLAIN_JSON),
        ("application/*, text/event-stream", PLAIN_JSON),
    ],
)
def test_the_media_type_is_the_one_that_the_client_prefers(accept: str, chosen: str) -> None:
    assert negotiate(accept) == chosen


@pytest.mark.parametrize("accept", ["text/event-stream;q=0", "text/events", "event-stream"])
def test_an_accept_header_without_a_supported_media_type_is_406(accept: str) -> None:
    with pytest.raises(HttpError) as refusal:
        negotiate(accept)
    assert refusal.value.status == 406
    assert EVENT_STREAM in refusal.value.message
    assert Api().post("{ __typename }", accept=accept).status == 406


def test_a_query_is_a_stream_of_one_result() -> None:
    api = Api()
    assert result_of(api.post("{ __typename }")) == {"data": {"__typename": "Query"}}
    assert result_of(api.post('{ stats { total } workflow(name: "w") { name } }')) == {
        "data": {"stats": {"total": 0}, "workflow": None}
    }
    by_get = HttpRequest(
        "GET",
        "/graphql",
        urlencode({"query": "{ stats { total } }"}),
        accept=EVENT_STREAM,
        authorization="Bearer read",
    )
    assert result_of(api.respond(by_get)) == {"data": {"stats": {"total": 0}}}


def test_a_stream_asks_proxies_not_to_buffer_it() -> None:
    assert Api().post("{ __typename }").headers["x-accel-buffering"] == "no"


def test_a_mutation_is_a_stream_of_one_result() -> None:
    given = {"instanceId": "i", "workflow": "w", "output": "two\nlines\r\u2028"}
    query = """mutation ($v: UpdateWorkflowInstanceInput!) { r: updateWorkflowInstance(input: $v) {
      ... on InstancePayload { instance { output } } } }"""
    result = result_of(Api().post(query, variables={"v": given}))
    assert result == {"data": {"r": {"instance": {"output": given["output"]}}}}


_REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "syntax": ("{", {}, "INVALID_DOCUMENT"),
    "a field": ("{ a }", {}, "INVALID_DOCUMENT"),
    "a variable": (
        "query ($n: Int!) { instances(first: $n) { totalCount } }",
        {},
        "INVALID_DOCUMENT",
    ),
    "an argument": ("{ instances(first: 101) { totalCount } }", {}, "INVALID_ARGUMENT"),
    "an operation": ("{ __typename }", {"operationName": "A"}, "UNKNOWN_OPERATION"),
    "a cursor": (EVENTS, {"variables": {"after": "7"}}, "INVALID_DOCUMENT"),
    "a cursor to resume behind": (EVENTS, {"extensions": {"after": "7"}}, "INVALID_ARGUMENT"),
    "a subscription that is too large": (
        "subscription { workflowEvents { events { instance { reference { instances(first: 100) {"
        " nodes { events(first: 1000) { events { type } } } } } } } } }",
        {},
        "OPERATION_TOO_LARGE",
    ),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_a_request_error_is_an_event_without_data(name: str) -> None:
    query, members, expected = _REFUSED[name]
    result = result_of(Api().post(query, **members))
    assert code(result) == expected
    assert "data" not in result


def test_a_field_that_failed_is_an_event_with_data_null() -> None:
    given = {"instanceId": "i", "type": "x" * (MAX_EVENT_TYPE + 1)}
    result = result_of(Api().post(MUTATION, variables={"v": given}))
    assert (code(result), result["data"]) == ("INVALID_INPUT", None)


def refused(response: HttpResponse, status: int) -> str:
    """The code of a refusal that has its own status: no stream has begun."""
    assert response.status == status
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    return code(body_of(response))


@pytest.mark.parametrize("query", ["{ __typename }", EVENTS])
def test_missing_access_is_refused_with_its_own_status_and_json(query: str) -> None:
    api = Api()
    response = api.post(query, key="wrong")
    assert refused(response, 401) == "UNAUTHENTICATED"
    assert response.headers["www-authenticate"] == "Bearer"
    given = {"v": {"instanceId": "i", "type": "x"}}
    assert refused(api.post(MUTATION, key="read", variables=given), 403) == "FORBIDDEN"


def test_a_bad_http_request_is_refused_with_its_own_status_and_json() -> None:
    api = Api()
    stream: dict[str, Any] = {"accept": EVENT_STREAM, "authorization": "Bearer admin"}
    of_text = HttpRequest("POST", "/graphql", content_type="text/plain", **stream)
    assert refused(api.respond(of_text), 415) == "UNSUPPORTED_MEDIA_TYPE"
    no_json = HttpRequest("POST", "/graphql", content_type="application/json", body="{", **stream)
    assert refused(api.respond(no_json), 400) == "BAD_REQUEST"
    mutation = HttpRequest("GET", "/graphql", urlencode({"query": MUTATION}), **stream)
    assert refused(api.respond(mutation), 405) == "METHOD_NOT_ALLOWED"


def test_an_unexpected_failure_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()

    async def broken(*_: Any, **__: Any) -> Any:
        raise DatabaseError("D1_ERROR: secret")

    monkeypatch.setattr(api.database, "batch", broken)
    response = api.post("{ stats { total } }")
    assert refused(response, 500) == "INTERNAL"
    assert "secret" not in "".join(map(str, response.body))


# --- subscriptions


def test_a_subscription_over_plain_http_is_refused_and_names_the_transports() -> None:
    api = Api()
    for accept, status in ((RESPONSE_JSON, 400), (PLAIN_JSON, 200), ("", 200), ("*/*", 200)):
        response = api.post(EVENTS, accept=accept)
        assert response.status == status
        result = body_of(response)
        assert code(result) == "SUBSCRIPTION_TRANSPORT"
        assert "data" not in result
        assert "graphql-transport-ws" in result["errors"][0]["message"]
    assert api.database.batches == []


def request_of(response: HttpResponse) -> Any:
    """The subscription request that the edge passes to the tracker."""
    assert (response.status, response.kind) == (200, Kind.STREAM)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"
    return body_of(response)


_SEVEN, _NINE = "0000000000000007", "0000000000000009"


@pytest.mark.parametrize(
    ("members", "last_event_id", "after"),
    [
        ({}, "", None),
        ({"extensions": {"after": _SEVEN, "other": 1}}, "", _SEVEN),
        ({}, _NINE, _NINE),
        ({"extensions": {"after": _SEVEN}}, _NINE, _NINE),
        ({"variables": {"after": _SEVEN}, "operationName": None}, _NINE, _NINE),
        ({"variables": {"after": _SEVEN}}, "", _SEVEN),
    ],
)
def test_a_subscription_resumes_after_the_cursor_of_the_client(
    members: dict[str, Any], last_event_id: str, after: str | None
) -> None:
    api = Api()
    response = api.post(EVENTS, key="read", last_event_id=last_event_id, **members)
    assert request_of(response) == {
        "query": EVENTS,
        # All three ways of giving a cursor end in the extensions.
        "variables": {},
        "operationName": None,
        "extensions": {"after": after},
    }
    # Only the tracker reads the log.
    assert api.database.batches == []


@pytest.mark.parametrize("last_event_id", ["7", "x", "00000000000000007", "\u0660" * 16])
def test_an_invalid_last_event_id_is_refused_as_an_event(last_event_id: str) -> None:
    result = result_of(Api().post(EVENTS, last_event_id=last_event_id))
    assert code(result) == "INVALID_ARGUMENT"
    assert result["errors"][0]["extensions"]["argument"] == "extensions.after"


def test_a_live_object_ignores_the_last_event_id() -> None:
    query = 'subscription { instance(instanceId: "i") { status } }'
    assert request_of(Api().post(query, last_event_id="anything"))["query"] == query


def test_cors_allows_the_last_event_id_header() -> None:
    application = Application({"FLOWFLARE_API_KEY": "admin", "ALLOWED_ORIGINS": "https://a.test"})
    request = HttpRequest("OPTIONS", "/graphql", origin="https://a.test")
    response = finished(application.respond(request))
    assert "Last-Event-ID" in response.headers["access-control-allow-headers"]
