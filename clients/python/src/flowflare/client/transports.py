"""How requests travel: over HTTP with httpx, over WebSockets, or over a Worker's service binding.

What only a host has (httpx, websockets) is imported when it is first needed, so that this loads
in a Python Worker too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from gql.transport.exceptions import TransportConnectionFailed, TransportServerError

from flowflare.client.errors import (
    FlowflareError,
    UnexpectedAnswer,
    Unreachable,
    request_error,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import timedelta

    from gql import GraphQLRequest
    from graphql import ExecutionResult

CLOSE_TIMEOUT_S = 2
"""How long who ends a subscription waits for a service that does not answer."""
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
FIRST_CLOSE_CODE = 1000
FIRST_PRIVATE_CLOSE_CODE = 4000
REFUSED = (4403, 401)
"""Close code and HTTP status where the key is not valid."""
PASSING_CLOSES = (4408,)
"""Codes of our own that say nothing about the next connection; the others name a mistake."""


class Transport(Protocol):
    """What is used of gql's transports."""

    async def connect(self) -> None:
        """Connect; raises gql's errors."""

    async def close(self) -> None:
        """Close what is open."""

    async def execute(self, request: GraphQLRequest) -> ExecutionResult:
        """Run a query or a mutation."""

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Run a subscription."""


class Route(Protocol):
    """A way to the service."""

    def http(self) -> Transport:
        """A transport for queries and mutations."""

    def subscription(self, request: GraphQLRequest) -> Transport:
        """A transport for this subscription alone, connected when the service has answered."""


def endpoint(url: str) -> str:
    """The address of the GraphQL endpoint for a service's address; ValueError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a service: https://flowflare.example.com")
    path = parts.path.rstrip("/")
    if not path.endswith("/graphql"):
        path += "/graphql"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


class Network:
    """Over the network, with a key."""

    def __init__(self, url: str, *, api_key: str | None, timeout: timedelta) -> None:
        self.url = endpoint(url)
        self._authorization = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_s = timeout.total_seconds()

    def http(self) -> Transport:
        """httpx, with connections that are kept."""
        from gql.transport.httpx import HTTPXAsyncTransport  # noqa: PLC0415 - see the module

        return HTTPXAsyncTransport(self.url, headers=self._authorization, timeout=self._timeout_s)

    def subscription(self, request: GraphQLRequest) -> Transport:
        """A WebSocket that speaks graphql-transport-ws."""
        from gql.transport.websockets import WebsocketsTransport  # noqa: PLC0415 - see the module

        return WebsocketsTransport(
            self.url.replace("http", "ws", 1),
            init_payload=self._authorization,
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            connect_timeout=self._timeout_s,
            ack_timeout=self._timeout_s,
            # A page of events may be larger than the mebibyte that is the default.
            connect_args={"max_size": None, "close_timeout": CLOSE_TIMEOUT_S},
        )


def failure(error: BaseException) -> FlowflareError:
    """The exception for what a transport raised."""
    reason = _root_reason(error)
    status = _status(error)
    if status in REFUSED:
        return request_error([{"message": reason, "extensions": {"code": "UNAUTHENTICATED"}}])
    if status is not None and not _is_passing(status):
        return UnexpectedAnswer(f"This is not Flowflare, or not this version of it: {reason}")
    if status is not None or isinstance(error, (TransportConnectionFailed, OSError, TimeoutError)):
        return Unreachable(f"The service cannot be reached: {reason}.")
    return UnexpectedAnswer(f"The answer is not Flowflare's: {reason}")


def _is_passing(status: int) -> bool:
    """Whether it may be different next time: an HTTP status, or the code of a closed socket."""
    if status >= FIRST_CLOSE_CODE:
        return status in PASSING_CLOSES or FIRST_CLOSE_CODE <= status < FIRST_PRIVATE_CLOSE_CODE
    return status >= SERVER_ERROR or status == TOO_MANY_REQUESTS


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what caused it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _status(error: BaseException) -> int | None:
    """The HTTP status or close code at the bottom of a failure, if there is one."""
    for cause in _chain(error):
        # Told by their attributes: websockets is not there in a Worker.
        closed = getattr(getattr(cause, "rcvd", None), "code", None)
        refused = getattr(getattr(cause, "response", None), "status_code", None)
        answered = cause.code if isinstance(cause, TransportServerError) else None
        for status in (closed, refused, answered):
            if isinstance(status, int):
                return status
    return None


def _root_reason(error: BaseException) -> str:
    """The words of the first cause: those of who closed the socket, if it was closed."""
    for cause in _chain(error):
        if reason := getattr(getattr(cause, "rcvd", None), "reason", None):
            return str(reason)
    reasons = [str(cause) for cause in _chain(error) if str(cause)]
    return reasons[-1].rstrip(".") if reasons else type(error).__name__
