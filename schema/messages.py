"""Requests and responses, as this side of the edge sees them, and which media type is spoken."""

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
    """A request, with the headers that matter here; an absent one is empty."""

    method: str
    path: str
    query_string: str = ""
    accept: str = ""
    authorization: str = ""
    content_type: str = ""
    origin: str = ""
    last_event_id: str = ""
    body: str = ""
    # Why there is no body: TOO_LARGE, NOT_UTF8, TOO_DEEP, TOO_MANY_VALUES, UNREAD; else empty.
    problem: str = ""
    # Whether it came over a service binding, which vouches for it.
    bound: bool = False


class Kind(StrEnum):
    """What the edge makes of a response."""

    # A response as it is.
    ANSWER = "answer"
    # The body is the path of a static file to answer with.
    ASSET = "asset"
    # The body is a request for the tracker, whose results are streamed.
    STREAM = "stream"
    # The body is the only result of a stream, which is over with it.
    EVENT = "event"


@dataclass(slots=True)
class HttpResponse:
    """A response; `body` is text in pieces, some of them handles of text outside Python."""

    status: int
    body: Pieces
    headers: dict[str, str] = field(default_factory=dict)
    kind: Kind = Kind.ANSWER
    # Whether the caller may be told what the request cost in D1.
    show_cost: bool = False


class HttpError(Exception):
    """A request that is refused before GraphQL is looked at."""

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
    """A response in the negotiated media type."""
    content_type = {"content-type": f"{media_type}; charset=utf-8"}
    return HttpResponse(status, body, {**content_type, **(headers or {})}, show_cost=show_cost)


def event_response(body: Pieces) -> HttpResponse:
    """A stream of events that is over with its only result; the edge writes the events."""
    return HttpResponse(200, body, {**STREAM_HEADERS}, Kind.EVENT)


def negotiate(accept: str) -> str:
    """The media type to answer with; HttpError (406) where none is acceptable."""
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
        raise HttpError(406, f"Answers are {RESPONSE_JSON}, {PLAIN_JSON} or {EVENT_STREAM}.")
    return best
