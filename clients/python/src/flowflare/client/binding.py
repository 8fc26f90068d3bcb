"""Subscriptions over a Worker's service binding: each is a `fetch` that streams its events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from graphql import ExecutionResult

from flowflare.client.event_stream import EventParser
from flowflare.transport import BINDING_URL, OK, authorization, failure, parse_response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gql import GraphQLRequest

    from flowflare.client.transports import SubscriptionTransport


class ServiceBinding:
    """A Worker's `env.FLOWFLARE`, as a route for subscriptions."""

    def __init__(self, binding: Any, *, api_key: str | None) -> None:
        self._binding = binding
        self._headers = {
            "content-type": "application/json",
            "accept": "text/event-stream",
            **authorization(api_key),
        }

    def subscription(self, request: GraphQLRequest) -> SubscriptionTransport:
        """A stream for this subscription alone."""
        return StreamTransport(self._binding, self._headers, request)


class StreamTransport:
    """One subscription as a stream of events."""

    def __init__(self, binding: Any, headers: dict[str, str], request: GraphQLRequest) -> None:
        self._binding = binding
        self._headers = headers
        self._request = request
        self._response: Any = None
        self._reader: Any = None

    async def connect(self) -> None:
        """Send the request and wait for the head of the answer. Raises Unreachable."""
        from flowflare.edge import fetch  # noqa: PLC0415 - exists only in a Worker

        body = json.dumps(self._request.payload)
        self._response = await fetch(self._binding, BINDING_URL, headers=self._headers, body=body)

    async def close(self) -> None:
        """End the stream."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.cancel()

    async def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """The results, until the subscription is complete. Raises FlowflareError."""
        from flowflare.edge import reaching  # noqa: PLC0415 - exists only in a Worker

        assert request is self._request
        status = int(self._response.status)
        if status != OK:
            with reaching():
                text = str(await self._response.text())
            yield _result(status, text)
            return
        self._reader = self._response.body.getReader()
        parser = EventParser()
        while True:
            with reaching():
                chunk = await self._reader.read()
            if chunk.done:
                raise failure("the stream ended before it was complete")
            for event in parser.feed(chunk.value.to_bytes()):
                if event.type == "complete":
                    return
                yield _result(OK, event.data)


def _result(status: int, text: str) -> ExecutionResult:
    response = parse_response(status, text)
    return ExecutionResult(
        data=response.get("data"),
        errors=response.get("errors"),
        extensions=response.get("extensions"),
    )
