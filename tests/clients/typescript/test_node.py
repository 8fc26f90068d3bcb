"""What runs in Node: units of the package, and `WorkflowClient` against a running service."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.project import VENV_BIN, tool_environment

if TYPE_CHECKING:
    from tests.clients.typescript.scripts import Scripts

HERE = Path(__file__).parent
DEADLINE_S = 100


def run_tests(file: Path, **environment: str) -> None:
    done = subprocess.run(
        [VENV_BIN / "node", "--test", "--test-reporter=spec", file],
        env={**tool_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.parametrize("name", sorted(file.name for file in HERE.glob("node/*.test.mjs")))
def test_unit(name: str) -> None:
    run_tests(HERE / "node" / name)


def test_the_client_against_a_running_service(scripts: Scripts) -> None:
    server = scripts.server
    run_tests(
        HERE / "live" / "client.test.mjs", FLOWFLARE_URL=server.url, FLOWFLARE_API_KEY=server.key
    )
