"""GraphQL over HTTP: Strawberry's framework-neutral view, with what the specification adds.

See the GraphQL-over-HTTP draft (graphql.github.io/graphql-over-http): media types are
negotiated; a request error has no `data` and is 400 as `application/graphql-response+json`,
200 as the older `application/json`. What is refused before GraphQL (method, size, key) has
its own status for both.
"""

import json
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NoReturn, TypeGuard
from urllib.parse import parse_qsl

from cross_web import AsyncHTTPRequestAdapter, HTTPException
from graphql import GraphQLError, OperationType
from strawberry.http import GraphQLRequestData
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.base import BaseRequestProtocol

from resolvers.database import DatabaseError
from resolvers.documents import InvalidDocument
from resolvers.errors import RequestError
from resolvers.execution import ExecutionFailed, Executor, Request
from resolvers.limits import D1_MAX_STRING_BYTES, MAX_BODY_BYTES, MAX_BODY_DEPTH
from resolvers.mutations import Pieces, Services
from schema.build import core, schema

RESPONSE_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"

_UTF_8 = re.compile(r'charset\s*=\s*"?utf-?8"?\s*(;|$)')

_log = logging.getLogger("flowflare")

# Names are part of the wire format, not words of this code.
_RESULT_TOO_BIG = ("too big", "SQLITE_TOOBIG")

# Strings, whatever is in them, and all that opens or closes nothing.
_NO_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[^\[\]{}"]+', re.DOTALL)
_NESTING = {"[": 1, "{": 1, "]": -1, "}": -1}


@dataclass(slots=True)
class HttpRequest:
    """A request; header names are lower case."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: str


@dataclass(slots=True)
class HttpResponse:
    """A response; `body` is text in pieces, some of them handles of text outside Python."""

    status: int
    body: Pieces
    headers: dict[str, str] = field(default_factory=dict)
    # Whether the caller may be told what the request cost in D1.
    show_cost: bool = False


class Adapter(AsyncHTTPRequestAdapter):
    """An HttpRequest as Strawberry's views see one."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def query_params(self) -> dict[str, str | None]:
        """The query string; of a repeated name the last."""
        return dict(parse_qsl(self._request.query_string, keep_blank_values=True))

    @property
    def method(self) -> Any:
        """GET or POST."""
        return self._request.method

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""
        return self._request.headers

    @property
    def content_type(self) -> str | None:
        """As sent."""
        return self._request.headers.get("content-type")

    async def get_body(self) -> str:  # type: ignore[override]  # JSON parses text as well
        """The whole body."""
        return self._request.body

    @property
    def path_params(self) -> NoReturn:
        """There are none."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The path; nothing here needs more."""
        return self._request.path

    @property
    def cookies(self) -> Mapping[str, str]:
        """Not looked at: keys go in the Authorization header."""
        return {}

    async def get_form_data(self) -> NoReturn:
        """Forms are not accepted."""
        raise HTTPException(415, "Forms are not accepted; send JSON.")


@dataclass(slots=True)
class Answer:
    """A finished GraphQL response. `errors` is empty: they are in the body already."""

    response: HttpResponse
    errors: None = None


class GraphQLView(
    AsyncBaseHTTPView[HttpRequest, HttpResponse, None, HttpRequest, HttpResponse, Any, None]
):
    """Serves `/graphql`."""

    allow_queries_via_get = True
    request_adapter_class = Adapter
    schema = schema
    graphql_ide = "graphiql"

    def __init__(self, services: Services) -> None:
        self._services = services
        self._executor = Executor(core)

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """The response to any request for `/graphql`; nothing is raised."""
        media_type = PLAIN_JSON
        try:
            if not self.should_render_graphql_ide(self.request_adapter_class(request)):
                media_type = negotiate(request.headers.get("accept", ""))
            return await self.run(request, context=media_type)
        except HTTPException as error:
            headers = {"allow": "GET, POST"} if error.status_code == 405 else {}
            code = _CODES.get(error.status_code, "BAD_REQUEST")
            return _errors([_error(error.reason, code)], error.status_code, media_type, headers)
        except RequestError as error:
            return _refused(error, media_type)
        except InvalidDocument as error:
            formatted = [_with_code(problem, "INVALID_DOCUMENT") for problem in error.errors]
            return _errors(formatted, _request_error_status(media_type), media_type)
        except ExecutionFailed as error:
            return _failed(error, media_type)
        except DatabaseError as error:
            return _errors([_database_error(error)], 500, media_type, data=True)
        except Exception:  # the last line: nothing internal may be shown
            return _errors([_masked()], 500, media_type, data=True)

    def is_request_allowed(self, request: BaseRequestProtocol) -> bool:
        """GET and POST."""
        return request.method in ("GET", "POST")

    def should_render_graphql_ide(self, request: BaseRequestProtocol) -> bool:
        """A browser that opens the address, not a client that accepts anything."""
        return (
            request.method == "GET"
            and "text/html" in request.headers.get("accept", "")
            and "query" not in request.query_params
        )

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        """The request's parameters; HTTPException where they are no GraphQL request."""
        if request.method == "POST":
            content_type, _, parameters = (request.content_type or "").lower().partition(";")
            if content_type.strip() != PLAIN_JSON:
                raise HTTPException(415, "Send the request as application/json.")
            if "charset" in parameters and not _UTF_8.search(parameters):
                raise HTTPException(415, "Send the request in UTF-8.")
            data = self.parse_json(await request.get_body())
            if not isinstance(data, dict):
                raise HTTPException(400, "The body must be a JSON object.")
        else:
            data = self.parse_query_params(request.query_params)
        query = data.get("query")
        if not isinstance(query, str):
            raise HTTPException(400, "`query` must be a string.")
        for name, kind in (("variables", dict), ("extensions", dict), ("operationName", str)):
            if not isinstance(data.get(name), (kind, type(None))):
                raise HTTPException(400, f"`{name}` has the wrong type.")
        return GraphQLRequestData(
            query, data.get("variables"), data.get("operationName"), data.get("extensions")
        )

    def decode_json(self, data: str | bytes) -> object:
        """As the standard library does, but NaN, Infinity and great depth are refused."""
        text = data if isinstance(data, str) else data.decode()
        if nested_deeper(text, MAX_BODY_DEPTH):
            raise HTTPException(
                400, f"The body may be nested {MAX_BODY_DEPTH} levels deep (MAX_BODY_DEPTH)."
            )
        try:
            return json.loads(text, parse_constant=_refuse_constant)
        except json.JSONDecodeError:
            raise
        except ValueError as error:  # a number of more digits than Python converts
            raise HTTPException(400, "The body holds a number of too many digits.") from error

    async def execute_operation(  # type: ignore[override]  # noqa: PLR0917  # the finished answer
        self,
        request: HttpRequest,
        request_adapter: AsyncHTTPRequestAdapter,
        request_data: Any,
        context: str,
        root_value: None,
        sub_response: None,
    ) -> Answer:
        """Authenticate, then execute."""
        caller = self._services.gatekeeper.authenticate(request.headers.get("authorization"))
        wanted = Request(
            request_data.query, request_data.variables or {}, request_data.operation_name
        )
        operation = self._executor.operation(wanted)
        if request.method == "GET" and operation.type is not OperationType.QUERY:
            raise HTTPException(405, "Only queries may be sent with GET.")
        data = await self._executor.execute(operation, wanted, caller, self._services)
        body = ['{"data":', *data, "}"]
        return Answer(_response(200, body, context, show_cost=not caller.limited))

    async def process_result(self, request: HttpRequest, result: Any) -> Any:
        """The answer is finished."""
        return result

    def create_response(self, response_data: Any, sub_response: None) -> HttpResponse:
        """The response of a finished answer."""
        response: HttpResponse = response_data.response
        return response

    async def render_graphql_ide(self, request: HttpRequest) -> HttpResponse:
        """GraphiQL is a static file."""
        return HttpResponse(200, [], {"x-asset": "/graphiql/"})

    async def get_root_value(self, request: HttpRequest) -> None:
        """There is none."""

    async def get_sub_response(self, request: HttpRequest) -> None:
        """There is none."""

    async def get_context(self, request: HttpRequest, response: Any) -> str:
        """The media type; `respond` has given it already."""
        return PLAIN_JSON

    def is_websocket_request(self, request: HttpRequest) -> TypeGuard[HttpRequest]:
        """Sockets do not come this way."""
        return False

    async def pick_websocket_subprotocol(self, request: HttpRequest) -> NoReturn:
        """See `is_websocket_request`."""
        raise NotImplementedError

    async def create_websocket_response(
        self, request: HttpRequest, subprotocol: str | None
    ) -> NoReturn:
        """See `is_websocket_request`."""
        raise NotImplementedError

    def get_websocket_headers(self, request: HttpRequest) -> NoReturn:
        """See `is_websocket_request`."""
        raise NotImplementedError

    async def reject_websocket(self, request: HttpRequest) -> NoReturn:
        """See `is_websocket_request`."""
        raise NotImplementedError


_CODES = {
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def negotiate(accept: str) -> str:
    """The media type to answer with; HTTPException (406) where none is acceptable."""
    if not accept or accept == PLAIN_JSON:
        return PLAIN_JSON
    best, best_quality = "", 0.0
    for entry in accept.split(","):
        name, *parameters = (part.strip() for part in entry.lower().split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        offered = RESPONSE_JSON if name == RESPONSE_JSON else PLAIN_JSON
        known = name in (RESPONSE_JSON, PLAIN_JSON, "application/*", "*/*")
        if known and quality > best_quality:
            best, best_quality = offered, quality
    if not best:
        raise HTTPException(406, f"Answers are {RESPONSE_JSON} or {PLAIN_JSON}.")
    return best


def unreadable(problem: str) -> HttpResponse:
    """The answer to a request whose body could not be read: TOO_LARGE or NOT_UTF8."""
    if problem == "TOO_LARGE":
        message = f"The body may have {MAX_BODY_BYTES} bytes (MAX_BODY_BYTES)."
        return _errors([_error(message, "BODY_TOO_LARGE")], 413, PLAIN_JSON)
    return _errors([_error("The body is not UTF-8.", "BAD_REQUEST")], 400, PLAIN_JSON)


def nested_deeper(text: str, limit: int) -> bool:
    """Whether JSON text is nested deeper than `limit`.

    Asked before parsing: the standard library's parser recurses, and on WebAssembly running
    out of stack is not an exception but the end of the process (Pyodide 314.0.6, 2026-11-22).
    """
    if text.count("[") + text.count("{") <= limit:
        return False
    brackets = _NO_BRACKETS.sub("", text)
    return max(accumulate(map(_NESTING.__getitem__, brackets)), default=0) > limit


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)


def _request_error_status(media_type: str) -> int:
    return 400 if media_type == RESPONSE_JSON else 200


def _refused(error: RequestError, media_type: str) -> HttpResponse:
    status = error.status if error.status != 400 else _request_error_status(media_type)
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    formatted: dict[str, object] = {"message": error.message, "extensions": error.extensions}
    if error.path:
        formatted["path"] = error.path
    return _errors([formatted], status, media_type, headers)


def _failed(error: ExecutionFailed, media_type: str) -> HttpResponse:
    cause = error.error
    formatted: dict[str, Any]
    if isinstance(cause, RequestError):
        formatted = {"message": cause.message, "extensions": cause.extensions}
    elif isinstance(cause, GraphQLError):
        formatted = _with_code(cause, "INVALID_DOCUMENT")
    else:
        formatted = _masked()
    return _errors([{**formatted, "path": error.path}], 200, media_type, data=True)


def _database_error(error: DatabaseError) -> dict[str, object]:
    if any(words in str(error) for words in _RESULT_TOO_BIG):
        return _error(
            f"The answer has more than {D1_MAX_STRING_BYTES} bytes (D1_MAX_STRING_BYTES). Ask for"
            " fewer rows, or leave out input and output.",
            "RESULT_TOO_LARGE",
        )
    return _masked()


def _masked() -> dict[str, object]:
    """What may be said of an unexpected failure: where the log tells more."""
    reference = str(uuid.uuid4())
    _log.exception("Unexpected failure %s", reference)
    return {
        "message": f"Something went wrong here. The log has it as {reference}.",
        "extensions": {"code": "INTERNAL", "reference": reference},
    }


def _error(message: str, code: str) -> dict[str, object]:
    return {"message": message, "extensions": {"code": code}}


def _with_code(error: GraphQLError, code: str) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = {"code": code, **formatted.get("extensions", {})}
    return formatted


def _errors(
    errors: list[dict[str, Any]],
    status: int,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    data: bool = False,
) -> HttpResponse:
    body: dict[str, object] = {"errors": errors, **({"data": None} if data else {})}
    return _response(status, [json.dumps(body)], media_type, headers)


def _response(
    status: int,
    body: Pieces,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    show_cost: bool = False,
) -> HttpResponse:
    content_type = {"content-type": f"{media_type}; charset=utf-8"}
    return HttpResponse(status, body, {**content_type, **(headers or {})}, show_cost)
