"""HTTP requests to the service, and the exception for each way in which a request can fail.

The tracking and the client both send their operations with `Transport`. What only a host has
(httpx) or only a Worker has (`flowflare.edge`) is imported by the first request.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from flowflare.errors import (
    Ambiguous,
    FlowflareError,
    Forbidden,
    GraphQLRequestError,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
)

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType

    import httpx

BINDING_URL = "https://flowflare/graphql"
"""A service binding decides where a request goes; of the URL only the path counts."""
IN_WORKER = sys.platform == "emscripten"
OK = 200

_FIRST_CLOSE_CODE = 1000
_FIRST_PRIVATE_CLOSE_CODE = 4000
_DENIALS = {401: "UNAUTHENTICATED", 403: "FORBIDDEN", 4403: "UNAUTHENTICATED"}
"""The codes for HTTP statuses and close codes that deny access."""
_TEMPORARY = frozenset({408, 429, 4408})
"""HTTP statuses and close codes of the service that say nothing about the next request."""
_BY_CODE = {
    "UNAUTHENTICATED": Unauthenticated,
    "FORBIDDEN": Forbidden,
    "AMBIGUOUS": Ambiguous,
}
"""The exceptions for the codes that have one of their own."""


def endpoint(url: str) -> str:
    """The GraphQL endpoint of a service, whether or not `url` already names it.

    Raises ValueError unless `url` is an http(s) URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"url must be an http(s) URL such as https://flowflare.example.com, not {url!r}"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/graphql"):
        path += "/graphql"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def authorization(api_key: str | None) -> dict[str, str]:
    """The header for a key or token; empty without one."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


class Transport:
    """Sends operations over a service binding, with a Worker's `fetch`, or with httpx."""

    def __init__(
        self, *, url: str | None, service_binding: Any, api_key: str | None, timeout: timedelta
    ) -> None:
        """`timeout` is the time within which an answer must have arrived."""
        self._url = BINDING_URL if url is None else endpoint(url)
        self._binding = service_binding
        self._timeout = timeout
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **authorization(api_key),
        }
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def execute(self, body: str) -> dict[str, Any]:
        """Send an operation, given as JSON text, and return its `data`. Raises FlowflareError."""
        return data_of(*await self._post(body))

    async def aclose(self) -> None:
        """Close the connections; the next operation opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, body: str) -> tuple[int, str]:
        """POST a body and return the status and the text of the answer."""
        if IN_WORKER:
            from flowflare.edge import post  # noqa: PLC0415 - exists only in a Worker

            return await post(
                self._binding, self._url, headers=self._headers, body=body, timeout=self._timeout
            )
        import httpx  # noqa: PLC0415 - does not exist in a Worker

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # Connections belong to the loop that opened them.
            self._client = httpx.AsyncClient(headers=self._headers)
            self._loop = loop
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await self._client.post(
                    self._url, content=body.encode("utf-8"), timeout=None
                )
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise failure(root_reason(error)) from error
        return response.status_code, response.text


class TransportOwner:
    """Base of clients: an asynchronous context manager that closes the transport at its end."""

    _transport: Transport

    async def aclose(self) -> None:
        """Close the connections; the next operation opens new ones. A subscription closes its own
        when it ends."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def data_of(status: int, text: str) -> dict[str, Any]:
    """The `data` of a GraphQL response. Raises FlowflareError."""
    response = parse_response(status, text)
    if response.get("errors"):
        raise failure(errors=response["errors"], data=response.get("data"))
    data = response.get("data")
    if not isinstance(data, dict):
        raise UnexpectedAnswer("The answer has neither data nor errors.")
    return data


def parse_response(status: int, text: str) -> dict[str, Any]:
    """Parse a GraphQL response, with `data` or `errors`. Raises FlowflareError for other text."""
    try:
        response = json.loads(text)
    except ValueError:
        response = None
    if not isinstance(response, dict) or not response.keys() & {"data", "errors"}:
        raise failure(f"HTTP {status} without a GraphQL response", status=status)
    return response


def failure(
    reason: str = "",
    *,
    status: int | None = None,
    errors: Sequence[Any] | None = None,
    data: Any = None,
) -> FlowflareError:
    """The exception for a request that failed.

    `errors` and `data` are those of a GraphQL response. Without one, `status` is the HTTP status or
    the WebSocket's close code, None if there was no answer at all.
    """
    if errors is not None:
        code = (errors[0].get("extensions") or {}).get("code") if errors else None
        return _BY_CODE.get(str(code), GraphQLRequestError)(errors, data)
    if status in _DENIALS:
        return failure(errors=[{"message": reason, "extensions": {"code": _DENIALS[status]}}])
    if status is None or _is_temporary(status):
        return Unreachable(f"The service cannot be reached: {reason}.")
    return UnexpectedAnswer(f"This is not Flowflare, or not this version of it: {reason}")


def root_reason(error: BaseException) -> str:
    """The message of the first cause: the peer's reason, if the peer closed the WebSocket."""
    for cause in causes(error):
        if reason := getattr(getattr(cause, "rcvd", None), "reason", None):
            return str(reason)
    reasons = [str(cause) for cause in causes(error) if str(cause)]
    return reasons[-1].rstrip(".") if reasons else type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that caused it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _is_temporary(status: int) -> bool:
    """True if the next request may succeed after this HTTP status or close code."""
    if status >= _FIRST_CLOSE_CODE:
        return status in _TEMPORARY or status < _FIRST_PRIVATE_CLOSE_CODE
    return status in _TEMPORARY or status >= 500
