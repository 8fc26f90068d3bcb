"""What the tests of the Worker share. The servers are in tests/support/servers.py, for the tests
of clients use them, too."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import StartServer
from tests.worker.event_log import START

if TYPE_CHECKING:
    from tests.worker.api import Api

__all__ = ["StartServer"]


@pytest.fixture
def name(api: Api) -> str:
    """An instance of this test alone, and the name of its workflow."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    api.data(START, input={"workflow": name, "instanceId": name})
    return name
