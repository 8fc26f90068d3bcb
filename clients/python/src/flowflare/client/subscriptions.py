"""Subscriptions that survive their connections: each resumes behind the cursor it has reached.

A result has its cursor in `extensions.cursor`, and a request resumes behind the cursor in
`extensions.after` (docs/subscriptions.md). So the consumer gets each result once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gql.transport.exceptions import TransportError

from flowflare.client.log import log_subscription
from flowflare.client.requests import TextRequest
from flowflare.client.transports import Route, failure_of
from flowflare.errors import GraphQLRequestError, UnexpectedAnswer, Unreachable
from flowflare.transport import failure

if TYPE_CHECKING:
    from graphql import ExecutionResult

Execute = Callable[..., Awaitable[dict[str, Any]]]
Results = AsyncGenerator[dict[str, Any], None]

HEAD = "query LogHead { events(first: 0) { cursor } }"
REPLAY_TOO_LONG = "REPLAY_TOO_LONG"
STABLE_S = 10.0
"""A connection that has lasted this long was stable: the delays begin anew after it."""


@dataclass(frozen=True)
class Reconnect:
    """The delays before a subscription reconnects: `first`, then twice as long each time up to
    `longest`, each shortened by up to half at random so that clients do not reconnect all at once.

    With `give_up_after` the subscription raises Unreachable after that time without a connection.
    """

    first: timedelta = timedelta(milliseconds=250)
    longest: timedelta = timedelta(seconds=30)
    give_up_after: timedelta | None = None

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after this number of failures, from 1."""
        grown = self.first.total_seconds() * 2 ** min(failures - 1, 30)
        longest = self.longest.total_seconds()
        return float(min(grown, longest)) * random.uniform(0.5, 1)


class Subscription:
    """One subscription, over any number of connections."""

    def __init__(
        self, route: Route, request: TextRequest, *, execute: Execute, reconnect: Reconnect
    ) -> None:
        self._route = route
        self._request = request
        self._variables = request.variable_values or {}
        self._execute = execute
        self._reconnect = reconnect
        self._cursor: str | None = None
        self._log = log_subscription(request.text)
        self._was_connected = False
        self._last: dict[str, Any] | None = None

    async def results(self) -> Results:
        """Yield the data of each result until the service completes the subscription."""
        if self._log is not None and self._log.begins_now(self._variables):
            # The cursor of the log's head, so that a connection that is lost before the first
            # result loses nothing either.
            self._cursor = (await self._execute(HEAD))["events"]["cursor"]
        failures = 0
        away_since = None
        while True:
            started = time.monotonic()
            try:
                async with aclosing(self._attempt()) as attempt:
                    async for data in attempt:
                        failures, away_since = 0, None
                        yield data
                return
            except Unreachable as error:
                now = time.monotonic()
                if not self._was_connected:
                    raise
                if now - started > STABLE_S:
                    failures, away_since = 0, None
                away_since = away_since or now
                limit = self._reconnect.give_up_after
                if limit is not None and now - away_since >= limit.total_seconds():
                    raise Unreachable(f"{error} It has been unreachable for {limit}.") from error
            failures += 1
            await asyncio.sleep(self._reconnect.delay_s(failures))

    async def _attempt(self) -> Results:
        """Yield the results of one connection. If the service does not replay that much, the log is
        read up to now first."""
        while True:
            try:
                async with aclosing(self._connection()) as connection:
                    async for data in connection:
                        yield data
                return
            except GraphQLRequestError as error:
                if error.code != REPLAY_TOO_LONG:
                    raise
                async with aclosing(self._catch_up(error)) as pages:
                    async for data in pages:
                        yield data

    async def _connection(self) -> Results:
        extensions = {"after": self._cursor} if self._cursor else None
        request = TextRequest(
            self._request.text,
            self._variables,
            operation_name=self._request.operation_name,
            extensions=extensions,
        )
        transport = self._route.subscription(request)
        resumed = self._was_connected
        try:
            await transport.connect()
            self._was_connected = True
            async with aclosing(transport.subscribe(request)) as results:
                async for result in results:
                    data = self._take(result)
                    repeated = resumed and self._log is None and data == self._last
                    resumed = False
                    self._last = data
                    if not repeated:
                        yield data
        except (TransportError, OSError) as error:
            raise failure_of(error) from error
        finally:
            with suppress(Exception):  # The connection is lost in any case.
                await transport.close()

    def _take(self, result: ExecutionResult) -> dict[str, Any]:
        """A result's data. Keeps its cursor; a result without one leaves the cursor as it is."""
        if result.errors:
            raise failure(errors=result.errors, data=result.data)
        self._cursor = (result.extensions or {}).get("cursor") or self._cursor
        return result.data or {}

    async def _catch_up(self, refusal: GraphQLRequestError) -> Results:
        """Read the log up to now, in pages of the same form as the subscription's results. A page
        may be empty although more events follow."""
        if self._log is None:
            self._cursor = None  # The current state alone is of interest.
            return
        variable = self._log.after_variable
        if variable is None:
            raise refusal
        cursor = self._cursor or self._variables.get(variable)
        query = self._log.page_query()
        while True:
            data = await self._execute(
                query,
                {**self._variables, variable: cursor},
                operation_name=self._request.operation_name,
            )
            page = data.get(self._log.key) or {}
            if not {"cursor", "hasMore"} <= page.keys():
                raise refusal
            has_moved = page["cursor"] != cursor
            self._cursor = cursor = page["cursor"]
            if page.get("events"):
                yield data
            if not page["hasMore"]:
                return
            if not has_moved:
                raise UnexpectedAnswer(f"There are more events, but none behind {cursor}.")
