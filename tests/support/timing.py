"""Deadlines on a machine that other tests use at the same time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 4


def until(condition: Callable[[], object], what: object = "", *, seconds: float = 15) -> None:
    """Wait until `condition` is true; fail with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def assert_within(seconds: float, act: Callable[[], object]) -> None:
    """Fail unless `act` takes less than `seconds` in one of four tries.

    Other tests on the machine may delay some of the tries.
    """
    taken: list[float] = []
    while not taken or (taken[-1] >= seconds and len(taken) < TIMES):
        began = time.monotonic()
        act()
        taken.append(time.monotonic() - began)
    assert min(taken) < seconds, taken
