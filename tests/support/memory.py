"""Memory of a running server, as Linux counts it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.local_server import LocalServer

_MIB = 1024


class Workerd:
    """The workerd process of a server."""

    def __init__(self, server: LocalServer) -> None:
        self._proc = Path("/proc") / str(_descendant(server.pid, "workerd"))

    def reset_peak(self) -> None:
        """Measure the peak from now on."""
        (self._proc / "clear_refs").write_text("5")

    @property
    def peak_mib(self) -> int:
        """The largest resident memory since the last reset, in MiB."""
        return self._status("VmHWM")

    @property
    def mib(self) -> int:
        """The resident memory now, in MiB."""
        return self._status("VmRSS")

    def _status(self, name: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) // _MIB
        raise AssertionError(f"{self._proc} has no {name}")


def _descendant(parent: int, name: str) -> int:
    """The process with this name among the descendants of a process."""
    parents = [parent]
    for pid in parents:
        for task in (Path("/proc") / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                if (Path("/proc") / child / "comm").read_text().strip() == name:
                    return int(child)
                parents.append(int(child))
    raise AssertionError(f"process {parent} has started no {name}")
