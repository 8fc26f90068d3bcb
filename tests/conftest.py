"""What every test may use: the prepared project."""

from __future__ import annotations

import pytest

from scripts import setup


@pytest.fixture(scope="session")
def prepared() -> None:
    """Bring packages, bundle, snapshot and the staged build up to date, once a session."""
    with setup.one_at_a_time():
        setup.prepare_worker()
