"""What each failure of a GraphQL request is answered with.

A request error has no `data`: it is 400 as `application/graphql-response+json` and 200 as the
older `application/json`. Access and HTTP's own refusals keep their status in both.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

from resolvers.database import DatabaseError
from resolvers.documents import InvalidDocument
from resolvers.errors import RequestError
from resolvers.execution import ExecutionFailed
from resolvers.limits import D1_MAX_STRING_BYTES, MAX_BODY_BYTES
from schema.messages import PLAIN_JSON, RESPONSE_JSON, HttpError, HttpResponse, graphql_response

_log = logging.getLogger("flowflare")

# D1's and SQLite's own words for a text over the limit.
_TOO_BIG = ("too big", "SQLITE_TOOBIG")

_CODES = {
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def failure(error: Exception, media_type: str) -> HttpResponse:
    """The response to a request that raised `error`; called where it is being handled."""
    request_error = 400 if media_type == RESPONSE_JSON else 200
    match error:
        case HttpError():
            headers = {"allow": "GET, POST"} if error.status == 405 else {}
            code = _CODES.get(error.status, "BAD_REQUEST")
            return _errors([_error(error.message, code)], error.status, media_type, headers)
        case RequestError():
            status = error.status if error.status != 400 else request_error
            headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
            return _errors([_refusal(error)], status, media_type, headers)
        case InvalidDocument():
            problems = [_with_code(problem) for problem in error.errors]
            return _errors(problems, request_error, media_type)
        case ExecutionFailed():
            problem = {**_cause(error.error), "path": error.path}
            return _errors([problem], 200, media_type, data=True)
        case DatabaseError() if any(words in str(error) for words in _TOO_BIG):
            message = (
                f"The answer has more than {D1_MAX_STRING_BYTES} bytes (D1_MAX_STRING_BYTES)."
                " Ask for fewer rows, or leave out input and output."
            )
            return _errors([_error(message, "RESULT_TOO_LARGE")], 200, media_type, data=True)
        case _:
            return _errors([_masked()], 500, media_type, data=True)


def unreadable(problem: str) -> HttpResponse:
    """The answer to a request whose body could not be read: TOO_LARGE or NOT_UTF8."""
    if problem == "TOO_LARGE":
        return failure(
            HttpError(413, f"The body may have {MAX_BODY_BYTES} bytes (MAX_BODY_BYTES)."),
            PLAIN_JSON,
        )
    return failure(HttpError(400, "The body is not UTF-8."), PLAIN_JSON)


def _cause(error: Exception) -> dict[str, Any]:
    if isinstance(error, RequestError):
        return {"message": error.message, "extensions": error.extensions}
    return _with_code(error) if isinstance(error, GraphQLError) else _masked()


def _refusal(error: RequestError) -> dict[str, Any]:
    formatted: dict[str, Any] = {"message": error.message, "extensions": error.extensions}
    if error.path:
        formatted["path"] = error.path
    return formatted


def _masked() -> dict[str, Any]:
    """What may be said of an unexpected failure: where the log tells more."""
    reference = str(uuid.uuid4())
    _log.exception("Unexpected failure %s", reference)
    return {
        "message": f"Something went wrong here. The log has it as {reference}.",
        "extensions": {"code": "INTERNAL", "reference": reference},
    }


def _error(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": code}}


def _with_code(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = {"code": "INVALID_DOCUMENT", **formatted.get("extensions", {})}
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
    return graphql_response(status, [json.dumps(body)], media_type, headers)
