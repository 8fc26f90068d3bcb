"""Routes for subscriptions: a WebSocket over the network, or a stream over a service binding.

Queries and mutations have a route of their own, `flowflare.transport`. What only a host has
(websockets) is imported when it is first needed, so that this module loads in a Python Worker too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportQueryError,
    TransportServerError,
)

from flowflare.transport import OK, authorization, causes, endpoint, failure, root_reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import timedelta

    from gql import GraphQLRequest
    from graphql import ExecutionResult

    from flowflare.errors import FlowflareError

CLOSE_TIMEOUT_S = 2
"""Time that the end of a subscription waits for a service that does not answer."""


class SubscriptionTransport(Protocol):
    """The part of gql's transports that a subscription uses."""

    async def connect(self) -> None:
        """Connect; raises gql's errors, or a FlowflareError."""

    async def close(self) -> None:
        """Close what is open."""

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Run a subscription; raises what `connect` raises."""


class Route(Protocol):
    """A way to the service for subscriptions."""

    def subscription(self, request: GraphQLRequest) -> SubscriptionTransport:
        """A transport for this subscription alone, connected when the service has answered."""


def route(
    url: str | None, api_key: str | None, *, service_binding: Any, timeout: timedelta
) -> Route:
    """The route over the service binding if there is one, else over the network."""
    if url is not None:
        return Network(url, api_key=api_key, timeout=timeout)
    from flowflare.client.binding import ServiceBinding  # noqa: PLC0415 - only for Workers

    return ServiceBinding(service_binding, api_key=api_key)


class Network:
    """WebSockets to the service's address."""

    def __init__(self, url: str, *, api_key: str | None, timeout: timedelta) -> None:
        self._url = endpoint(url).replace("http", "ws", 1)
        self._authorization = authorization(api_key)
        self._timeout_s = timeout.total_seconds()

    def subscription(self, request: GraphQLRequest) -> SubscriptionTransport:
        """A WebSocket that speaks graphql-transport-ws."""
        from gql.transport.websockets import WebsocketsTransport  # noqa: PLC0415 - hosts only

        return WebsocketsTransport(
            self._url,
            init_payload=self._authorization,
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            connect_timeout=self._timeout_s,
            ack_timeout=self._timeout_s,
            # A page of events may be larger than the mebibyte that is the default.
            connect_args={"max_size": None, "close_timeout": CLOSE_TIMEOUT_S},
        )


def failure_of(error: Exception) -> FlowflareError:
    """The exception for what one of gql's transports raised."""
    if isinstance(error, TransportQueryError):
        return failure(errors=error.errors or [], data=error.data)
    status = _status(error)
    if status is None and not isinstance(error, (TransportConnectionFailed, OSError)):
        status = OK  # There was an answer, but not one of GraphQL's.
    return failure(root_reason(error), status=status)


def _status(error: BaseException) -> int | None:
    """The HTTP status or close code of the cause that has one."""
    for cause in causes(error):
        # Recognised by their attributes, because websockets does not exist in a Worker.
        closed = getattr(getattr(cause, "rcvd", None), "code", None)
        refused = getattr(getattr(cause, "response", None), "status_code", None)
        answered = cause.code if isinstance(cause, TransportServerError) else None
        for status in (closed, refused, answered):
            if isinstance(status, int):
                return status
    return None
