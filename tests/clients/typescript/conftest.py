"""A server with JavaScript workflows beside it, that do what their input says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.local_server import LocalServer
from tests.clients.typescript.scripts import Scripts
from tests.support.servers import REPORTS_ALONE
from tests.worker.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOWS = Path(__file__).parent / "workflows"


@pytest.fixture(scope="session")
def scripts(prepared: None) -> Iterator[Scripts]:
    """Runs workflows on a server of the session, which a test may have killed and started again."""
    with LocalServer(vars=REPORTS_ALONE, beside=[WORKFLOWS]) as server, Api(server) as api:
        yield Scripts(server, api)
