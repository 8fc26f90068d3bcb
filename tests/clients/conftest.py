"""The command line in a folder of its own, and Workers' folders to set up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import setup, vendor
from tests.clients.command_line import CommandLine
from tests.clients.projects import FILES, JSONC, Project
from tests.clients.reporting import instance, new_name, report_failing_run, step, track

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.api import Api


@pytest.fixture(scope="session")
def client_modules(prepared: None) -> Path:
    """The packages of the Python client in a Worker, made by one test process at a time."""
    with setup.one_at_a_time():
        return vendor.ensure_client_packages()


@pytest.fixture
def flow(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(server, tmp_path)


@pytest.fixture(scope="module")
def workflow(api: Api) -> str:
    """A workflow with three instances: one failed, one completed, one runs."""
    name = new_name("workflow")
    report_failing_run(api, name, reference=("order", name))
    done, running = new_name("done"), new_name("running")
    track(api, instance(done, workflow=name, status="RUNNING"), instance(done, status="COMPLETED"))
    track(
        api,
        instance(running, workflow=name, status="RUNNING"),
        step(running, "call", "RETRYING", error={"message": "busy"}),
    )
    return name


@pytest.fixture(autouse=True)
def _nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWFLARE_API_KEY", "FLOWFLARE_URL", "CLOUDFLARE_ENV", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=FILES)
def any_project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return Project(tmp_path, FILES[request.param], request.param.rpartition(".")[2])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, JSONC, "jsonc")
