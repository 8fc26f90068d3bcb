"""Test files that run in Node, with its own runner."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from scripts.project import VENV_BIN, tool_environment

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE_S = 100


def run_tests(file: Path, **environment: str) -> None:
    """Run a file with `node --test`; fails with its report."""
    done = subprocess.run(
        [VENV_BIN / "node", "--test", "--test-reporter=spec", file],
        env={**tool_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
