"""Waiting for things, and how long they take on a machine that other tests use as well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 4


def until(condition: Callable[[], object], what: object = "", *, seconds: float = 15) -> None:
    """Wait until something holds; `what` is said where it does not come to."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def assert_within(seconds: float, act: Callable[[], object]) -> None:
    """Fail unless it is done in so many seconds, in one of four times.

    What holds it up only sometimes, as a test beside this one does, is not its own.
    """
    taken: list[float] = []
    while not taken or (taken[-1] >= seconds and len(taken) < TIMES):
        began = time.monotonic()
        act()
        taken.append(time.monotonic() - began)
    assert min(taken) < seconds, taken
