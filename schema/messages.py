"""HTTP requests and responses as Python sees them, and the choice of the media type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resolvers.writing.context import Pieces

RESPONSE_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {
    "content-type": f"{EVENT_STREAM}; charset=utf-8",
    "cache-control": "no-store",
    # nginx would keep events back until its buffer is full.
    "x-accel-buffering": "no",
}


@dataclass(slots=True)
class HttpRequest:
    """A request, with the headers that are used; an absent header is empty."""

    method: str
    path: str
    query_string: str = ""
    accept: str = ""
    authorization: str = ""
    content_type: str = ""
    origin: str = ""
    last_event_id: str = ""
    body: str = ""
    # The reason if there is no body: TOO_LARGE, NOT_UTF8, TOO_DEEP, TOO_MANY_VALUES or UNREAD.
    problem: str = ""
    # True if it came over a service binding and so needs no key.
    bound: bool = False


class Kind(StrEnum):
    """The kinds of responses that the edge can make."""

    # An ordinary response.
    ANSWER = "answer"
    # The body is the path of the static file to respond with.
    ASSET = "asset"
    # The body is a request for the tracker, whose results are streamed.
    STREAM = "stream"
    # The body is the only result of a stream, which ends after it.
    EVENT = "event"


@dataclass(slots=True)
class HttpResponse:
    """A response; `body` is text in pieces, some of them handles of text outside Python."""

    status: int
    body: Pieces
    headers: dict[str, str] = field(default_factory=dict)
    kind: Kind = Kind.ANSWER
    # True if the response may show the cost of the request in D1.
    show_cost: bool = False


class HttpError(Exception):
    """A request that is refused before its GraphQL is parsed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def graphql_response(
    status: int,
    body: Pieces,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    show_cost: bool = False,
) -> HttpResponse:
    """Make a response in the negotiated media type."""
    content_type = {"content-type": f"{media_type}; charset=utf-8"}
    return HttpResponse(status, body, {**content_type, **(headers or {})}, show_cost=show_cost)


def event_response(body: Pieces) -> HttpResponse:
    """Make a stream of events with one result; the edge writes the events."""
    return HttpResponse(200, body, {**STREAM_HEADERS}, Kind.EVENT)


def negotiate(accept: str) -> str:
    """Choose the media type of the response; HttpError (406) if none is acceptable."""
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
        offered = name if name in (RESPONSE_JSON, EVENT_STREAM) else PLAIN_JSON
        known = name in (RESPONSE_JSON, EVENT_STREAM, PLAIN_JSON, "application/*", "*/*")
        if known and quality > best_quality:
            best, best_quality = offered, quality
    if not best:
        raise HttpError(406, f"Accept must allow {RESPONSE_JSON}, {PLAIN_JSON} or {EVENT_STREAM}.")
    return best
