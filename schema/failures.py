"""The response to each failure of a GraphQL request over HTTP.

A request error has no `data`. Its status is 400 as `application/graphql-response+json` and 200 as
the older `application/json`; in a stream of events it is an event. Refusals of access and of HTTP
itself keep their status in all media types.
"""

import json
from collections.abc import Mapping
from typing import Any

from resolvers.executing.reporting import error_of, report
from schema.messages import (
    EVENT_STREAM,
    PLAIN_JSON,
    RESPONSE_JSON,
    HttpError,
    HttpResponse,
    event_response,
    graphql_response,
)

_CODES = {
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def failure(error: Exception, media_type: str) -> HttpResponse:
    """Make the response to a request that raised `error`; call it while handling the error."""
    if isinstance(error, HttpError):
        headers = {"allow": "GET, POST"} if error.status == 405 else {}
        code = _CODES.get(error.status, "BAD_REQUEST")
        return _errors([error_of(error.message, code)], error.status, media_type, headers)
    reported = report(error)
    status = reported.status
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if status == 400 and media_type != RESPONSE_JSON:
        status = 200
    return _errors(reported.errors, status, media_type, headers, data=reported.executed)


def _errors(
    errors: list[dict[str, Any]],
    status: int,
    media_type: str,
    headers: Mapping[str, str],
    *,
    data: bool = False,
) -> HttpResponse:
    body = [json.dumps({"errors": errors, **({"data": None} if data else {})})]
    if media_type != EVENT_STREAM:
        return graphql_response(status, body, media_type, headers)
    if status == 200:
        return event_response(body)
    # A refused request gets a plain response: no stream begins.
    return graphql_response(status, body, PLAIN_JSON, headers)
