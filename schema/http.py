"""GraphQL over HTTP: `/graphql`, by the draft at graphql.github.io/graphql-over-http.

Strawberry's own HTTP view would do the same around a schema that executes itself. Here
executing is a batch of compiled statements, and the view's layers cost more than everything
else Python does for a request (docs/architecture.md has the figures).
"""

import json
import re
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qsl

from graphql import OperationType

from resolvers.execution import Executor, Request
from resolvers.json_text import decode
from resolvers.limits import MAX_BODY_DEPTH
from resolvers.mutations import Services
from schema.build import core
from schema.failures import failure
from schema.messages import (
    PLAIN_JSON,
    HttpError,
    HttpRequest,
    HttpResponse,
    graphql_response,
    negotiate,
)

_UTF_8 = re.compile(r'charset\s*=\s*"?utf-?8"?\s*(;|$)')

# Strings, whatever is in them, and all that opens or closes nothing.
_NO_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[^\[\]{}"]+', re.DOTALL)
_NESTING = {"[": 1, "{": 1, "]": -1, "}": -1}

_TYPES = {"variables": dict, "extensions": dict, "operationName": str}


class GraphQLEndpoint:
    """Answers the requests for `/graphql`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._executor = Executor(core)

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """The response to any request; nothing is raised."""
        media_type = PLAIN_JSON
        try:
            if _wants_graphiql(request):
                return HttpResponse(200, [], {"x-asset": "/graphiql/"})
            media_type = negotiate(request.accept)
            return await self._execute(request, media_type)
        except Exception as error:  # the last line: nothing internal may be shown
            return failure(error, media_type)

    async def _execute(self, request: HttpRequest, media_type: str) -> HttpResponse:
        wanted = parse_request(request)
        caller = self._services.gatekeeper.authenticate(request.authorization)
        operation = self._executor.operation(wanted)
        if request.method == "GET" and operation.type is not OperationType.QUERY:
            raise HttpError(405, "Only queries may be sent with GET.")
        data = await self._executor.execute(operation, wanted, caller, self._services)
        body = ['{"data":', *data, "}"]
        return graphql_response(200, body, media_type, show_cost=not caller.limited)


def parse_request(request: HttpRequest) -> Request:
    """The GraphQL request inside; HttpError where there is none."""
    if request.method == "POST":
        content_type, _, parameters = request.content_type.lower().partition(";")
        if content_type.strip() != PLAIN_JSON:
            raise HttpError(415, "Send the request as application/json.")
        if "charset" in parameters and not _UTF_8.search(parameters):
            raise HttpError(415, "Send the request in UTF-8.")
        data = parse_json(request.body)
        if not isinstance(data, dict):
            raise HttpError(400, "The body must be a JSON object.")
    elif request.method == "GET":
        data = _query_parameters(request)
    else:
        raise HttpError(405, "GraphQL is served by GET and POST.")
    query = data.get("query")
    if not isinstance(query, str):
        raise HttpError(400, "`query` must be a string.")
    for name, kind in _TYPES.items():
        if not isinstance(data.get(name), (kind, type(None))):
            raise HttpError(400, f"`{name}` has the wrong type.")
    return Request(query, data.get("variables") or {}, data.get("operationName"))


def parse_json(text: str) -> Any:
    """The value of JSON text; HttpError where it is none, or nested too deeply."""
    if nested_deeper(text, MAX_BODY_DEPTH):
        raise HttpError(
            400, f"The body may be nested {MAX_BODY_DEPTH} levels deep (MAX_BODY_DEPTH)."
        )
    try:
        return decode(text)
    except json.JSONDecodeError as error:
        raise HttpError(400, "The body is not JSON.") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise HttpError(400, "The body holds a number of too many digits.") from error


def nested_deeper(text: str, limit: int) -> bool:
    """Whether JSON text is nested deeper than `limit`.

    Asked before parsing: the standard library's parser recurses, and on WebAssembly running
    out of stack is not an exception but the end of the process (Pyodide 314.0.6, 2026-11-22).
    """
    if text.count("[") + text.count("{") <= limit:
        return False
    brackets = _NO_BRACKETS.sub("", text)
    return max(accumulate(map(_NESTING.__getitem__, brackets)), default=0) > limit


def _query_parameters(request: HttpRequest) -> dict[str, Any]:
    """Those of the query string; of a repeated name the last."""
    found: dict[str, Any] = dict(parse_qsl(request.query_string, keep_blank_values=True))
    for name in ("variables", "extensions"):
        if name in found:
            found[name] = parse_json(found[name])
    return found


def _wants_graphiql(request: HttpRequest) -> bool:
    """A browser that opens the address, not a client that accepts anything."""
    return (
        request.method == "GET"
        and "text/html" in request.accept
        and "query" not in dict(parse_qsl(request.query_string))
    )
