"""Test files that run in Node, with its own runner."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts.project import VENV_BIN, tool_environment

_DEADLINE_S = 100
_PLATFORM = Path(__file__).with_name("cloudflare_workers.mjs")


def run_tests(file: Path, **environment: str) -> None:
    """Run a file with `node --test`; fails with its report."""
    done = subprocess.run(
        [VENV_BIN / "node", "--import", _PLATFORM, "--test", "--test-reporter=spec", file],
        env={**tool_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
