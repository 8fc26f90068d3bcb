"""Clients that call a server before and while it starts."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from tests.support.timing import until

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLERS = 8
REFUSED = "ConnectionRefusedError"
BETWEEN_CALLS_S = 0.01


def free_port() -> int:
    """Find a port of 127.0.0.1 on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def call(url: str) -> int | str:
    """Send a GET; returns the status of the response, or the name of the error."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(getattr(error, "reason", error)).__name__


@contextmanager
def refused_until_ready(url: str) -> Iterator[None]:
    """Keep calling a URL while the block starts a server.

    Asserts that connections are refused first, and that every later request gets a 200.
    """
    stop = threading.Event()
    answers: list[list[int | str]] = [[] for _ in range(CALLERS)]

    def keep_calling(seen: list[int | str]) -> None:
        while not stop.wait(BETWEEN_CALLS_S):
            seen.append(call(url))

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(keep_calling, seen) for seen in answers]
        try:
            until(lambda: all(answers), "the callers did not begin before the start")
            yield
            until(lambda: all(seen[-1] != REFUSED for seen in answers), answers)
        finally:
            stop.set()
    for caller in callers:
        caller.result()
    assert [[answer for answer, _ in groupby(seen)] for seen in answers] == [
        [REFUSED, 200]
    ] * CALLERS
