"""What the tests of the Worker share. The servers are in tests/support/servers.py, for the tests
of clients use them, too."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import StartServer
from tests.worker.event_log import START
from tests.worker.hostile import Bystander

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.local_server import LocalServer
    from tests.worker.api import Api

__all__ = ["StartServer"]


@pytest.fixture(scope="module")
def bystanders(prepared: None) -> Iterator[list[Bystander]]:
    """The bystander of a module's tests, and those that were lost before."""
    there: list[Bystander] = []
    yield there
    for bystander in there:
        bystander.close()


@pytest.fixture
def bystander(rough: LocalServer, bystanders: list[Bystander]) -> Bystander:
    """A subscriber of a server that bears hostile values; both anew where the last test that sent
    some has done harm, so that each speaks for itself."""
    if bystanders and bystanders[-1].is_served:
        return bystanders[-1]
    if bystanders:
        rough.restart()
    bystanders.append(Bystander(rough))
    return bystanders[-1]


@pytest.fixture
def name(api: Api) -> str:
    """An instance of this test alone, and the name of its workflow."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    api.data(START, input={"workflow": name, "instanceId": name})
    return name
