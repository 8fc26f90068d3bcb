"""Tests with the real wrangler: it serves, reloads and would deploy the staged build."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from scripts.project import NODE_MODULES, ROOT, VENV_BIN, tool_environment
from tests.scripts.callers import free_port
from tests.scripts.processes import wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRANGLER = (VENV_BIN / "node", NODE_MODULES / "wrangler" / "bin" / "wrangler.js")
LARGEST_UPLOAD_KIB = 3 * 1024
"""Limit of a gzipped upload on the free plan."""
DEADLINE_S = 60


class DevServer:
    """`make dev` of a project, with its output and data in another folder."""

    def __init__(self, project: Path, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.output = folder / "dev.log"
        environment = {"PORT": str(port), "FLOWFLARE_STATE": str(folder / "state")}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [VENV_BIN / "python", "-m", "scripts.dev"],
                cwd=project,
                env=tool_environment() | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_log(self, text: str) -> None:
        self._wait(lambda: text in self.output.read_text(), f"{text!r} in the log")

    def wait_for_answer(self, answer: str) -> None:
        self._wait(lambda: self.get("/x") == answer, f"the answer {answer!r}")

    def get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as response:
                text: str = response.read().decode()
                return text
        except OSError as error:
            return str(error)

    def _wait(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"no {what}:\n{self.output.read_text()}"
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server, and wait until all of its processes have ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
        wait_until_gone(self.process.pid)


@pytest.fixture
def dev_server(project: Path) -> Iterator[DevServer]:
    server = DevServer(project, project)
    yield server
    server.stop()


def test_dev_is_ready_reloads_and_migrates(dev_server: DevServer, project: Path) -> None:
    dev_server.wait_for_log(f"Flowflare is ready: {dev_server.url}")
    # The port opens only after the migrations.
    migrated, _, log = dev_server.output.read_text().partition("Starting wrangler")
    assert "Applied migration 0001_one.sql" in migrated
    assert log
    assert dev_server.get("/healthz") == "GET first of-the-copy"

    (project / "resolvers" / "__init__.py").write_text('WORD = "second"\n')
    dev_server.wait_for_answer("GET second of-the-copy")

    worker = project / "worker.py"
    worker.write_text(worker.read_text().replace("{request.method}", "edited"))
    dev_server.wait_for_answer("edited second of-the-copy")


def test_the_project_itself_runs_under_wrangler(prepared: None, tmp_path: Path) -> None:
    server = DevServer(ROOT, tmp_path)
    try:
        server.wait_for_log(f"Flowflare is ready: {server.url}")
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=30) as response:
            assert response.status == 200
    finally:
        server.stop()


@pytest.fixture(scope="module")
def upload(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """Run `wrangler deploy --dry-run`; returns its output and the form that it would send."""
    form = tmp_path_factory.mktemp("upload") / "form"
    done = subprocess.run(
        [*WRANGLER, "deploy", "--dry-run", "--outfile", form],
        cwd=ROOT,
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, form.read_bytes()


def test_the_upload_fits_the_free_plan(upload: tuple[str, bytes]) -> None:
    match = re.search(r"Total Upload: ([\d.]+) KiB / gzip: ([\d.]+) KiB", upload[0])
    assert match, upload[0]
    assert float(match[2]) < LARGEST_UPLOAD_KIB
    assert float(match[1]) < 64 * 1024


def test_a_deployment_has_no_development_flag(upload: tuple[str, bytes]) -> None:
    form = upload[1]
    start = form.index(b"\r\n\r\n", form.index(b'name="metadata"')) + 4
    metadata = json.loads(form[start : form.index(b"\r\n", start)])
    assert metadata["main_module"] == "worker.py"
    assert "python_workers" in metadata["compatibility_flags"]
    assert not [flag for flag in metadata["compatibility_flags"] if "development" in flag]


def test_a_deployment_contains_only_the_workers_modules(upload: tuple[str, bytes]) -> None:
    names = set(re.findall(rb'name="([^"]+\.(?:py|mjs))"', upload[1]))
    folders = {name.split(b"/")[0] for name in names if b"/" in name}
    ours = {b"schema", b"resolvers", b"tracker_do", b"follower_do", b"examples"}
    assert folders <= {*ours, b"python_modules"}
    # Only the example that runs in the service.
    examples = {name.split(b"/")[1] for name in names if name.startswith(b"examples/")}
    assert examples == {b"__init__.py", b"order_processing"}
    assert b"worker.py" in names


def test_a_deployment_contains_no_static_file_as_a_module(upload: tuple[str, bytes]) -> None:
    assert b'name="schema/edge.mjs"' in upload[1]
    assert b'name="public/' not in upload[1]
