"""The base of the generated client: execute, subscribe, and parse results."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flowflare.client.requests import TextRequest, jsonable
from flowflare.client.subscriptions import Reconnect, Subscription
from flowflare.client.transports import route
from flowflare.errors import UnexpectedAnswer
from flowflare.transport import Transport, TransportOwner

Model = TypeVar("Model", bound=BaseModel)


class BaseClient(TransportOwner):
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
        """`url` is the service's address, `api_key` a key or token for it; in a Python Worker
        `service_binding=env.FLOWFLARE` takes the place of both.

        `timeout` is the time within which an answer must arrive, `reconnect` says when
        subscriptions reconnect. Raises TypeError unless exactly one of `url` and
        `service_binding` is given.
        """
        if (url is None) == (service_binding is None):
            raise TypeError("Give either `url` or `service_binding`.")
        self._transport = Transport(
            url=url, service_binding=service_binding, api_key=api_key, timeout=timeout
        )
        self._route = route(url, api_key, service_binding=service_binding, timeout=timeout)
        self._reconnect = reconnect or Reconnect()

    async def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> dict[str, Any]:
        """Run any query or mutation and return its `data`.

        Raises InvalidVariable before anything is sent; Unauthenticated, Forbidden,
        GraphQLRequestError, Unreachable or UnexpectedAnswer.
        """
        request = TextRequest(document, jsonable(variables), operation_name=operation_name)
        return await self._transport.execute(json.dumps(request.payload))

    async def subscribe(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the `data` of each result of any subscription. A connection that is lost is opened
        again: nothing is missed and nothing is repeated.

        Raises what `execute` raises; Unreachable only if the first connection fails, or after
        `Reconnect.give_up_after`.
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
        """Parse a result as its model. Raises UnexpectedAnswer if it does not fit."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            text = f"The service and this client are of different versions: {error}"
            raise UnexpectedAnswer(text) from error
