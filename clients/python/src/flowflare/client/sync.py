"""The client for code that is not asynchronous: it runs the asynchronous one, call by call."""

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
    """An asynchronous client with an event loop of its own, which runs while a call lasts.

    Not for use inside a running event loop: there, use the asynchronous client.
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
        """As the asynchronous client takes them."""
        self._client: Client = self.client_class(  # type: ignore[assignment] # says the subclass
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
        """Run a query or a mutation, any there is; its `data`."""
        call = self._client.execute(document, variables, operation_name=operation_name)
        return self._run(call)

    def subscribe(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> Generator[dict[str, Any], None, None]:
        """The `data` of each result of a subscription, which comes back by itself."""
        results = self._client.subscribe(document, variables, operation_name=operation_name)
        return self._iterate(results)

    def close(self) -> None:
        """Close the connections, those of subscriptions that go on included."""
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
        async def following() -> list[T]:
            """The next result in a list, which is empty at the end."""
            async for result in results:
                return [result]
            return []

        self._open.add(results)
        try:
            while not self._closed and (found := self._run(following())):
                yield found[0]
        finally:
            self._open.discard(results)
            if not self._closed:  # which has ended it
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
