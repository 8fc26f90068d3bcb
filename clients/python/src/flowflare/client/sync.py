"""The base of the client for code that is not asynchronous; it runs the asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from flowflare.client.base import BaseClient

if TYPE_CHECKING:
    from types import TracebackType

    from flowflare.client.subscriptions import Reconnect

Client = TypeVar("Client", bound=BaseClient)
T = TypeVar("T")


class SyncBaseClient(Generic[Client]):
    """An asynchronous client with its own event loop, which runs during each call.

    It cannot be used inside a running event loop: use the asynchronous client there.
    """

    client_class: ClassVar[type[BaseClient]]

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: timedelta = timedelta(seconds=30),
        reconnect: Reconnect | None = None,
    ) -> None:
        """The arguments are those of the asynchronous client."""
        self._client: Client = self.client_class(  # type: ignore[assignment] # the subclass decides
            url, api_key, timeout=timeout, reconnect=reconnect
        )
        self._runner = asyncio.Runner()
        self._closed = False
        self._open: set[AsyncGenerator[Any, None]] = set()

    def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> dict[str, Any]:
        """Run any query or mutation and return its `data`."""
        call = self._client.execute(document, variables, operation_name=operation_name)
        return self._run(call)

    def subscribe(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> Generator[dict[str, Any], None, None]:
        """Yield the `data` of each result of any subscription, which reconnects by itself."""
        results = self._client.subscribe(document, variables, operation_name=operation_name)
        return self._iterate(results)

    def close(self) -> None:
        """Close the connections, including those of open subscriptions."""
        if self._closed:
            return
        for results in list(self._open):
            self._run(results.aclose())
        self._run(self._client.aclose())
        self._closed = True
        self._runner.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    def _iterate(self, results: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        async def next_result() -> list[T]:
            """The next result in a list; an empty list at the end."""
            async for result in results:
                return [result]
            return []

        self._open.add(results)
        try:
            while not self._closed and (found := self._run(next_result())):
                yield found[0]
        finally:
            self._open.discard(results)
            if not self._closed:  # `close` has ended the subscription
                self._run(results.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
