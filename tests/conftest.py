"""Fixtures of all tests: the prepared project, and servers that run it."""

from __future__ import annotations

import pytest

from scripts import setup
from tests.support.servers import api, pytest_runtest_makereport, rough, server, start_server

__all__ = ["api", "pytest_runtest_makereport", "rough", "server", "start_server"]


@pytest.fixture(scope="session")
def prepared() -> None:
    """Bring packages, bundle, snapshot and the staged build up to date once per session."""
    with setup.one_at_a_time():
        setup.prepare_worker()
