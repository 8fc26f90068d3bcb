"""Tests in Node: units of the package, and `WorkflowClient` against a running service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.node import run_tests

if TYPE_CHECKING:
    from tests.clients.typescript.scripts import Scripts

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(file.name for file in HERE.glob("node/*.test.mjs")))
def test_unit(name: str) -> None:
    run_tests(HERE / "node" / name)


def test_the_client_against_a_running_service(scripts: Scripts) -> None:
    server = scripts.server
    run_tests(
        HERE / "live" / "client.test.mjs", FLOWFLARE_URL=server.url, FLOWFLARE_API_KEY=server.key
    )
