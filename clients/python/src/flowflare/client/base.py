"""What the generated client stands on: one way to execute, one to subscribe, one tree of errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gql.transport.exceptions import TransportError
from pydantic import BaseModel, ValidationError

from flowflare.client.errors import UnexpectedAnswer, request_error
from flowflare.client.requests import TextRequest, jsonable
from flowflare.client.subscriptions import Reconnect, Subscription
from flowflare.client.transports import Network, Route, Transport, failure

if TYPE_CHECKING:
    from types import TracebackType


Model = TypeVar("Model", bound=BaseModel)


class BaseClient:
    """A connection to one Flowflare service, by its address or by a Worker's service binding."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        service_binding: Any = None,
        timeout: timedelta = timedelta(seconds=30),
        reconnect: Reconnect | None = None,
    ) -> None:
        """`url` is the service's address, `api_key` a key or token of it; in a Python Worker
        `service_binding=env.FLOWFLARE` takes the place of both.

        `timeout` is how long an answer may take, `reconnect` how subscriptions come back.
        """
        self._route = route(url, api_key, service_binding=service_binding, timeout=timeout)
        self._reconnect = reconnect or Reconnect()
        self._transport: Transport | None = None

    async def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> dict[str, Any]:
        """Run a query or a mutation, any there is; its `data`.

        Raises InvalidVariable before anything is sent; Unauthenticated, Forbidden,
        GraphQLRequestError, Unreachable or UnexpectedAnswer.
        """
        request = TextRequest(document, jsonable(variables), operation_name=operation_name)
        try:
            transport = await self._connected()
            result = await transport.execute(request)
        except (TransportError, OSError, TimeoutError) as error:
            raise failure(error) from error
        if result.errors:
            raise request_error(result.errors, result.data)
        if not isinstance(result.data, dict):
            raise UnexpectedAnswer("The answer has neither data nor errors.")
        return result.data

    async def subscribe(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The `data` of each result of a subscription, which comes back by itself where the
        connection is lost: nothing is missed and nothing repeated.

        Raises what `execute` does; Unreachable only if the first connection fails, or as
        `reconnect` says.
        """
        subscription = Subscription(
            self._route,
            TextRequest(document, jsonable(variables), operation_name=operation_name),
            execute=self.execute,
            reconnect=self._reconnect,
        )
        async with aclosing(subscription.results()) as results:
            async for data in results:
                yield data

    @staticmethod
    def parse(model: type[Model], data: dict[str, Any]) -> Model:
        """A result as its model; UnexpectedAnswer where it does not fit."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            text = f"The service is another version than its client: {error}"
            raise UnexpectedAnswer(text) from error

    async def aclose(self) -> None:
        """Close the connections; subscriptions close theirs when they end."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def _connected(self) -> Transport:
        if self._transport is None:
            transport = self._route.http()
            await transport.connect()
            self._transport = transport
        return self._transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def route(
    url: str | None, api_key: str | None, *, service_binding: Any, timeout: timedelta
) -> Route:
    """The way to the service; TypeError unless exactly one is given."""
    if (url is None) == (service_binding is None):
        raise TypeError("Give either `url` or `service_binding`.")
    if url is not None:
        return Network(url, api_key=api_key, timeout=timeout)
    from flowflare.client.binding import ServiceBinding  # noqa: PLC0415 - Workers only

    return ServiceBinding(service_binding, api_key=api_key, timeout=timeout)
