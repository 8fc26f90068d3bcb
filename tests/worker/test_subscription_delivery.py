"""The main promise: every subscriber gets every event it asked for, in order and each once,
whatever becomes of sockets, objects and servers meanwhile."""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.worker.api import Api
from tests.worker.event_log import head
from tests.worker.subscriber_pool import WRITERS, Wish, Writer, wishes
from tests.worker.subscribers import GqlSubscriber, NodeClients

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.local_server import LocalServer
    from tests.worker.conftest import StartServer

SETTLING_S = 30


class SubscriberPool:
    """All subscribers of a server, connected."""

    def __init__(self, server: LocalServer, stack: ExitStack) -> None:
        self._server = server
        self._node = stack.enter_context(NodeClients())
        with Api(server) as api:
            self.wishes = wishes(server, head(api))
        self._gql: dict[str, GqlSubscriber] = {}
        self._sockets = sorted({w.client for w in self.wishes if not w.client.startswith("gql")})
        keys = {wish.client: wish.key for wish in self.wishes}
        self._connections = [
            self._node.open(client, server, key=keys[client]) for client in self._sockets
        ]
        for wish in self.wishes:
            if wish.client in keys and wish.client in self._sockets:
                wish.inbox = self._node.subscribe(
                    wish.client,
                    wish.name,
                    wish.subscription,
                    variables=wish.variables,
                    resume=wish.of_log,
                )
            else:
                subscriber = GqlSubscriber(
                    wish.client, server, wish.subscription, variables=wish.variables
                )
                self._gql[wish.client] = stack.enter_context(subscriber)
                wish.inbox = subscriber.inbox
        for wish in self.wishes:
            # A live one says at once how things stand.
            if not wish.of_log and wish.inbox is not None:
                wish.inbox.until(lambda inbox: len(inbox.results) > 0)
        deadline = time.monotonic() + SETTLING_S
        while (status := server.tracker("status"))["subscriptions"] != len(self.wishes):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)

    @property
    def reconnections(self) -> tuple[int, int]:
        """How often graphql-ws clients and gql clients have come back."""
        gql = [subscriber.inbox for subscriber in self._gql.values()]
        node, python = (
            sum(inbox.count("connected") for inbox in inboxes) - len(inboxes)
            for inboxes in (self._connections, gql)
        )
        return node, python

    def drop_some(self, choice: random.Random) -> None:
        """Break the connection of a few clients of either kind."""
        for client in choice.sample(self._sockets, 2):
            self._node.drop(client)
        self._gql[choice.choice(sorted(self._gql))].drop()

    def settle(self) -> None:
        """Wait until everybody has what it must have, and see that it has nothing else."""
        expected = {}
        for wish in self.wishes:
            with Api(self._server, key=wish.key) as caller:
                expected[wish.name] = wish.expected(caller)
        deadline = time.monotonic() + SETTLING_S
        for wish in self.wishes:
            while not _is_complete(wish, expected[wish.name]) and time.monotonic() < deadline:
                time.sleep(0.05)
        # Once the object has nothing to do, whatever was there too much has been sent, and comes
        # before the answers to what is asked on the same connections.
        self._server.tracker("notify")
        asked = [
            self._node.subscribe(client, f"ask {client}", "{ __typename }")
            for client in self._sockets
        ]
        for inbox in asked:
            inbox.until_happened("complete")
        for wish in self.wishes:
            assert wish.received() == expected[wish.name], (wish, wish.inbox)


def _is_complete(wish: Wish, expected: object) -> bool:
    received = wish.received()
    if wish.of_log and isinstance(expected, list):
        return len(received) >= len(expected)
    return bool(received == expected)


def write_meanwhile(writers: list[Writer], disturb: Callable[[], None], *, every_s: float) -> int:
    """Run the writers, and disturb them again and again until they are done; how often."""
    disturbances = 0
    with ThreadPoolExecutor(len(writers)) as pool:
        futures: list[Future[None]] = [pool.submit(writer.run) for writer in writers]
        while wait(futures, timeout=every_s).not_done:
            disturb()
            disturbances += 1
        for future in futures:
            future.result()
    return disturbances


def test_50_subscribers_get_exactly_what_they_asked_for_while_objects_and_sockets_are_lost(
    start_server: StartServer,
) -> None:
    server = start_server()
    choice = random.Random(1)
    with ExitStack() as stack:
        pool = SubscriberPool(server, stack)
        assert len(pool.wishes) == 50

        def disturb() -> None:
            server.evict()
            pool.drop_some(choice)

        writers = [Writer(server, number) for number in range(WRITERS)]
        disturbances = write_meanwhile(writers, disturb, every_s=0.4)
        pool.settle()
        assert disturbances >= 5
        node, python = pool.reconnections
        assert node >= disturbances
        assert python >= 5
    assert "Traceback" not in server.log
    assert "Uncaught" not in server.log


def test_50_subscribers_get_exactly_what_they_asked_for_over_a_crash(
    start_server: StartServer,
) -> None:
    server = start_server()
    with ExitStack() as stack:
        pool = SubscriberPool(server, stack)
        crashes: list[float] = []

        def disturb() -> None:
            if not crashes:
                server.crash()
                server.start()
                crashes.append(time.monotonic())

        writers = [Writer(server, number, patient=True) for number in range(WRITERS)]
        write_meanwhile(writers, disturb, every_s=1)
        pool.settle()
        assert crashes
        assert min(pool.reconnections) >= 10
