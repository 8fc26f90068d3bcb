"""The way over a Worker's service binding: no network, no key, no packages of the host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gql.transport import AsyncTransport
from gql.transport.exceptions import TransportProtocolError, TransportServerError
from graphql import ExecutionResult

if TYPE_CHECKING:
    from gql import GraphQLRequest

    from flowflare.client.transports import Transport

ENDPOINT = "https://flowflare/graphql"
"""The binding decides where it goes; only the path counts."""
BAD_REQUEST = 400


class ServiceBinding:
    """A Worker's `env.FLOWFLARE`, as a way to the service."""

    def __init__(self, binding: Any, *, api_key: str | None = None) -> None:
        self._binding = binding
        self._authorization = {"authorization": f"Bearer {api_key}"} if api_key else {}

    def http(self) -> Transport:
        """`fetch` of the binding."""
        return FetchTransport(self._binding, headers=self._authorization)

    def socket(self) -> Transport:
        """`fetch` of the binding, as a stream of events."""
        return FetchTransport(self._binding, headers=self._authorization)


class FetchTransport(AsyncTransport):
    """Requests by `fetch`, of a binding as Cloudflare's SDK wraps it."""

    def __init__(self, binding: Any, *, headers: dict[str, str]) -> None:
        self._binding = binding
        self._headers = {**headers, "content-type": "application/json"}

    async def connect(self) -> None:
        """Nothing to do: each request is a call."""

    async def close(self) -> None:
        """Nothing to do."""

    async def execute(self, request: GraphQLRequest) -> ExecutionResult:
        """One request; raises gql's transport errors."""
        response = await self._binding.fetch(
            ENDPOINT, method="POST", headers=self._headers, body=json.dumps(request.payload)
        )
        text = await response.text()
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not ("data" in body or "errors" in body):
            if response.status >= BAD_REQUEST:
                raise TransportServerError(f"HTTP {response.status}", response.status)
            raise TransportProtocolError("The answer is no GraphQL result.")
        return ExecutionResult(
            data=body.get("data"), errors=body.get("errors"), extensions=body.get("extensions")
        )

    def subscribe(self, request: GraphQLRequest) -> Any:
        """Not yet."""
        raise NotImplementedError
