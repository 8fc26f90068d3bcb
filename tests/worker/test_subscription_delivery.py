"""The main promise: every subscriber gets every event it asked for, in order and each once, even
while sockets, shards and servers are lost."""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.worker.subscriber_pool import WRITERS, SubscriberPool, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.conftest import StartServer


def write_meanwhile(writers: list[Writer], disturb: Callable[[], None], *, every_s: float) -> int:
    """Run the writers, and call `disturb` until they are done; return the number of calls."""
    disturbances = 0
    with ThreadPoolExecutor(len(writers)) as pool:
        futures: list[Future[None]] = [pool.submit(writer.run) for writer in writers]
        while wait(futures, timeout=every_s).not_done:
            disturb()
            disturbances += 1
        for future in futures:
            future.result()
    return disturbances


def test_50_subscribers_get_exactly_their_events_while_shards_and_sockets_are_lost(
    start_server: StartServer,
) -> None:
    server = start_server()
    choice = random.Random(1)
    with ExitStack() as stack:
        pool = SubscriberPool(server, stack)
        assert len(pool.subscribers) == 50

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


def test_50_subscribers_get_exactly_their_events_through_a_crash(
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
