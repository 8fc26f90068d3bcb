"""Helpers that find processes of a process group."""

from __future__ import annotations

import os
import time
from pathlib import Path


def group_members(group: int) -> list[int]:
    """List the running processes of a process group."""
    members = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                members.append(int(process.name))
        except ProcessLookupError:
            continue
    return members


def wait_until_gone(group: int, *, seconds: float = 10) -> None:
    """Wait until a process group has no members; an AssertionError names those that remain."""
    deadline = time.monotonic() + seconds
    while alive := group_members(group):
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)
