"""The way over a Worker's service binding: no network, no key, no packages of the host.

Queries and mutations are calls of the binding's `fetch`; a subscription is one as well, whose
answer is a stream of events.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportProtocolError,
    TransportServerError,
)
from graphql import ExecutionResult

from flowflare.client.event_stream import EventParser

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gql import GraphQLRequest

    from flowflare.client.transports import Transport

ENDPOINT = "https://flowflare/graphql"
"""The binding decides where it goes; only the path counts."""
OK = 200


class ServiceBinding:
    """A Worker's `env.FLOWFLARE`, as a way to the service."""

    def __init__(self, binding: Any, *, api_key: str | None, timeout: timedelta) -> None:
        self._binding = binding
        self._authorization = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = timeout

    def http(self) -> Transport:
        """For queries and mutations."""
        return FetchTransport(self._binding, headers=self._authorization, timeout=self._timeout)

    def subscription(self, request: GraphQLRequest) -> Transport:
        """For a subscription."""
        return StreamTransport(
            self._binding, headers=self._authorization, timeout=self._timeout, request=request
        )


class FetchTransport:
    """Requests by the `fetch` of a binding."""

    def __init__(self, binding: Any, *, headers: dict[str, str], timeout: timedelta) -> None:
        self._binding = binding
        self._timeout_ms = timeout // timedelta(milliseconds=1)
        self._headers = {**headers, "content-type": "application/json"}

    async def connect(self) -> None:
        """Nothing to do: each request is a call."""

    async def close(self) -> None:
        """Nothing to do."""

    async def execute(self, request: GraphQLRequest) -> ExecutionResult:
        """One request; raises gql's transport errors."""
        response = await self._fetch(
            request, accept="application/json", timeout_ms=self._timeout_ms
        )
        return await read(response)

    def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """Not by this one: a stream is a `StreamTransport`."""
        raise NotImplementedError("a subscription needs a stream of its own")

    async def _fetch(
        self, request: GraphQLRequest, *, accept: str, timeout_ms: int | None = None
    ) -> Any:
        """JavaScript's Response."""
        import js  # noqa: PLC0415 - exists only in a Worker
        from pyodide.ffi import JsException, to_js  # noqa: PLC0415 - exists only in a Worker

        from flowflare.edge import unwrapped  # noqa: PLC0415 - exists only in a Worker

        options: dict[str, Any] = {
            "method": "POST",
            "headers": {**self._headers, "accept": accept},
            "body": json.dumps(request.payload),
        }
        if timeout_ms is not None:
            options["signal"] = js.AbortSignal.timeout(timeout_ms)
        sent = js.Request.new(ENDPOINT, to_js(options, dict_converter=js.Object.fromEntries))
        try:
            return await unwrapped(self._binding).fetch(sent)
        except (JsException, OSError) as error:
            raise TransportConnectionFailed(str(error)) from error


class StreamTransport(FetchTransport):
    """One subscription as a stream of events."""

    def __init__(
        self, binding: Any, *, headers: dict[str, str], timeout: timedelta, request: GraphQLRequest
    ) -> None:
        super().__init__(binding, headers=headers, timeout=timeout)
        self._request = request
        self._response: Any = None
        self._reader: Any = None

    async def connect(self) -> None:
        """Ask; raises gql's transport errors."""
        self._response = await self._fetch(self._request, accept="text/event-stream")

    async def close(self) -> None:
        """End the stream."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.cancel()

    async def subscribe(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        """The results, until the subscription is complete; raises gql's transport errors."""
        assert request is self._request
        if self._response.status != OK:
            yield await read(self._response)
            return
        self._reader = self._response.body.getReader()
        parser = EventParser()
        while True:
            try:
                chunk = await self._reader.read()
            except Exception as error:
                raise TransportConnectionFailed(f"The stream broke: {error}") from error
            if chunk.done:
                raise TransportConnectionFailed("The stream ended before it was complete.")
            for event in parser.feed(chunk.value.to_bytes()):
                if event.type == "complete":
                    return
                yield result_of(event.data, OK)


async def read(response: Any) -> ExecutionResult:
    """The result in JavaScript's Response; raises gql's transport errors."""
    try:
        text = str(await response.text())
    except Exception as error:
        raise TransportConnectionFailed(f"The answer broke off: {error}") from error
    return result_of(text, int(response.status))


def result_of(text: str, status: int) -> ExecutionResult:
    """A GraphQL result from JSON; raises gql's transport errors where it is none."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or not body.keys() & {"data", "errors"}:
        if status != OK:
            raise TransportServerError(f"HTTP {status}", status)
        raise TransportProtocolError("The answer is no GraphQL result.")
    return ExecutionResult(
        data=body.get("data"), errors=body.get("errors"), extensions=body.get("extensions")
    )
