"""Fixtures of the Worker's tests. The servers are in tests/support/servers.py, which the tests of
clients use, too."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from scripts.local_server import LocalServer
from tests.support.servers import StartServer
from tests.worker.api import Api
from tests.worker.event_log import START
from tests.worker.hostile import Bystander
from tests.worker.plain_workflow import FOLDER as PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StartServer"]


@pytest.fixture(scope="module")
def bystanders(prepared: None) -> Iterator[list[Bystander]]:
    """The bystander of a module's tests behind those that it has replaced."""
    created: list[Bystander] = []
    yield created
    for bystander in created:
        bystander.close()


@pytest.fixture
def bystander(rough: LocalServer, bystanders: list[Bystander]) -> Bystander:
    """A subscriber of the server that gets hostile values. If the test before has harmed it, the
    server restarts with a new one, so that one failure does not cause others."""
    if bystanders and bystanders[-1].is_served:
        return bystanders[-1]
    if bystanders:
        rough.restart()
    bystanders.append(Bystander(rough))
    return bystanders[-1]


@pytest.fixture(scope="module")
def plain(prepared: None) -> Iterator[LocalServer]:
    """A server of its own, which follows, and a Worker with a plain Workflow."""
    with LocalServer(beside=[PLAIN]) as running:
        yield running


@pytest.fixture(scope="module")
def plain_api(plain: LocalServer) -> Iterator[Api]:
    """A caller of that server."""
    with Api(plain) as caller:
        yield caller


@pytest.fixture
def name(api: Api) -> str:
    """The id of an instance that only this test uses, and the name of its workflow."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})
    return name
