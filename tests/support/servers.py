"""Fixtures of real servers: the staged Worker on workerd, with D1, Durable Objects, Workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from scripts.local_server import LocalServer
from tests.worker.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


# Variables of a server on which reports are the only source of what is recorded.
REPORTS_ALONE = {"FOLLOWER_SHARDS": "0"}


class StartServer(Protocol):
    """Starts another server with its own variables and with Workers beside it; it stops after the
    test."""

    def __call__(
        self,
        *,
        vars: Mapping[str, str] | None = None,
        state: Path | None = None,
        beside: Sequence[Path] = (),
    ) -> LocalServer: ...


@pytest.fixture(scope="session")
def server(prepared: None) -> Iterator[LocalServer]:
    """One server for the whole session; tests share its data, so they must not depend on it."""
    with LocalServer() as running:
        yield running


@pytest.fixture(scope="session")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of the session's server, with all rights."""
    with Api(server) as caller:
        yield caller


@pytest.fixture(scope="session")
def rough(prepared: None) -> Iterator[LocalServer]:
    """A server for tests with long logs, broken tables and evicted objects."""
    with LocalServer() as running:
        yield running


@pytest.fixture
def start_server(prepared: None) -> Iterator[StartServer]:
    """A function that starts servers with their own variables or state."""
    started: list[LocalServer] = []

    def start(
        *,
        vars: Mapping[str, str] | None = None,
        state: Path | None = None,
        beside: Sequence[Path] = (),
    ) -> LocalServer:
        running = LocalServer(vars=vars, state=state, beside=beside)
        started.append(running)
        running.start()
        return running

    yield start
    for running in started:
        running.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the log of every server a failed test used to its report."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when != "call" or report.passed or not isinstance(item, pytest.Function):
        return
    for value in item.funcargs.values():
        if isinstance(value, LocalServer):
            report.sections.append(("server log", value.log[-8000:]))
