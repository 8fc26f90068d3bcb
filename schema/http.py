"""GraphQL over HTTP: `/graphql`, following the draft at graphql.github.io/graphql-over-http.

Strawberry's own HTTP view is made for a schema that executes itself. Here an operation is a batch
of compiled statements, and the view's layers would cost more than all else that Python does for a
request (docs/architecture.md has the figures).
"""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from graphql import OperationType

from resolvers.access.principals import Principal
from resolvers.base.errors import RequestError
from resolvers.base.json_text import decode_untrusted, encode
from resolvers.base.limits import MAX_BODY_BYTES, MAX_BODY_DEPTH, MAX_BODY_VALUES
from resolvers.compiling.documents import Operation
from resolvers.executing.executor import Executor, Request
from resolvers.writing.context import Services
from schema.failures import failure
from schema.messages import (
    EVENT_STREAM,
    PLAIN_JSON,
    STREAM_HEADERS,
    HttpError,
    HttpRequest,
    HttpResponse,
    Kind,
    event_response,
    graphql_response,
    negotiate,
)

_UTF_8 = re.compile(r'charset\s*=\s*"?utf-?8"?\s*(;|$)')

_TYPES: dict[str, tuple[type, str]] = {
    "variables": (dict, "an object"),
    "extensions": (dict, "an object"),
    "operationName": (str, "a string"),
}
# Status and message for each reason that the edge has for not passing a body.
_PROBLEMS = {
    # The key is checked first, so this happens only to a token that has expired just now.
    "UNREAD": (401, "The token has expired."),
    "TOO_LARGE": (413, f"The body must have at most {MAX_BODY_BYTES} bytes (MAX_BODY_BYTES)."),
    "NOT_UTF8": (400, "The body must be valid UTF-8."),
    "TOO_DEEP": (
        400,
        f"The body must be nested at most {MAX_BODY_DEPTH} levels deep (MAX_BODY_DEPTH).",
    ),
    "TOO_MANY_VALUES": (
        400,
        f"The body must have at most {MAX_BODY_VALUES} values (MAX_BODY_VALUES).",
    ),
}


class GraphQLEndpoint:
    """Responds to requests for `/graphql`."""

    def __init__(self, executor: Executor, services: Services) -> None:
        self._executor = executor
        self._services = services

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """Respond to any request; nothing is raised."""
        media_type = PLAIN_JSON
        try:
            if _wants_graphiql(request):
                return HttpResponse(200, ["/graphiql/"], kind=Kind.ASSET)
            media_type = negotiate(request.accept)
            return await self._execute(request, media_type)
        except Exception as error:  # the last resort: nothing internal may be shown
            return failure(error, media_type)

    async def _execute(self, request: HttpRequest, media_type: str) -> HttpResponse:
        caller = self._services.gatekeeper.authenticate(request.authorization, bound=request.bound)
        wanted = parse_request(request)
        operation = self._executor.operation(wanted)
        if request.method == "GET" and operation.type is OperationType.MUTATION:
            raise HttpError(405, "A mutation must be sent with POST.")
        if operation.type is OperationType.SUBSCRIPTION:
            return self._subscribe(operation, wanted, caller, request, media_type)
        data = await self._executor.execute(operation, wanted, caller, self._services)
        body = ['{"data":', *data, "}"]
        if media_type == EVENT_STREAM:
            return event_response(body)
        return graphql_response(200, body, media_type, show_cost=not caller.is_restricted)

    def _subscribe(
        self,
        operation: Operation,
        wanted: Request,
        caller: Principal,
        request: HttpRequest,
        media_type: str,
    ) -> HttpResponse:
        """Make the request for the tracker; whatever can be refused is refused here."""
        if media_type != EVENT_STREAM:
            raise RequestError(
                "Subscriptions are served over a WebSocket (graphql-transport-ws) or, with"
                f" `Accept: {EVENT_STREAM}`, as a stream of events.",
                code="SUBSCRIPTION_TRANSPORT",
            )
        after = request.last_event_id or wanted.after
        plan = self._executor.subscription_plan(operation, replace(wanted, after=after), caller)
        # Only what the tracker needs: the rest may be longer than a message can be.
        payload = {
            "query": wanted.query,
            "variables": dict(plan.variables),
            "operationName": wanted.operation_name,
            "extensions": {"after": None if plan.after is None else f"{plan.after:016}"},
        }
        return HttpResponse(200, [encode(payload)], {**STREAM_HEADERS}, Kind.STREAM)


def parse_request(request: HttpRequest) -> Request:
    """Parse the GraphQL request; HttpError if it is not one."""
    if request.method == "POST":
        content_type, _, parameters = request.content_type.lower().partition(";")
        if content_type.strip() != PLAIN_JSON:
            raise HttpError(415, "Content-Type must be application/json.")
        if "charset" in parameters and not _UTF_8.search(parameters):
            raise HttpError(415, "The charset in Content-Type must be utf-8.")
        if request.problem:
            raise HttpError(*_PROBLEMS[request.problem])
        data = parse_json(request.body, subject="The body")
        if not isinstance(data, dict):
            raise HttpError(400, "The body must be a JSON object.")
    elif request.method == "GET":
        data = _query_parameters(request)
    else:
        raise HttpError(405, "The method must be GET or POST.")
    query = data.get("query")
    if not isinstance(query, str):
        raise HttpError(400, "`query` must be a string.")
    for name, (type_, described) in _TYPES.items():
        if not isinstance(data.get(name), (type_, type(None))):
            raise HttpError(400, f"`{name}` must be {described} or null.")
    return Request(
        query,
        data.get("variables") or {},
        data.get("operationName"),
        (data.get("extensions") or {}).get("after"),
    )


def parse_json(text: str, *, subject: str) -> Any:
    """Parse JSON text; HttpError about `subject` if it is invalid or nested too deeply."""
    try:
        return decode_untrusted(text)
    except ValueError as error:
        raise HttpError(400, f"{subject} {error}.") from error


def _query_parameters(request: HttpRequest) -> dict[str, Any]:
    """Parse the query string; the last value of a repeated name counts."""
    found: dict[str, Any] = dict(parse_qsl(request.query_string, keep_blank_values=True))
    for name in ("variables", "extensions"):
        if name in found:
            found[name] = parse_json(found[name], subject=f"`{name}`")
    return found


def _wants_graphiql(request: HttpRequest) -> bool:
    """True for a browser that opens the address, not for a client that accepts anything."""
    return (
        request.method == "GET"
        and "text/html" in request.accept
        and "query" not in dict(parse_qsl(request.query_string))
    )
