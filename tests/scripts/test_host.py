"""Tests of the installed tools, and of the errors if a machine cannot install them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts import host
from scripts.project import NODE_MODULES, VENV_BIN, SetupError, tool_environment

if TYPE_CHECKING:
    from pathlib import Path


START_MINIFLARE = f"""
import {{ createRequire }} from "node:module";
const require = createRequire("{NODE_MODULES}/");
const {{ Miniflare, convertV4MiniflareOptions, Log, LogLevel }} = require("miniflare");
const script = "export default {{ fetch: () => new Response() }}";
const server = new Miniflare(
  convertV4MiniflareOptions({{ log: new Log(LogLevel.WARN), modules: true, script }}),
);
await server.ready;
await server.dispose();
"""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which the virtual environment does not exist yet."""
    monkeypatch.setattr(host, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(host, "VENV_BIN", tmp_path / ".venv" / "bin")
    return tmp_path


def test_a_python_without_ensurepip_is_explained(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = fresh / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(host, "_base_python", lambda: str(python))
    with pytest.raises(SetupError, match=r"cannot create virtual environments.*python3-venv"):
        host.ensure_python_environment()
    assert not (fresh / ".venv").exists()


def test_an_old_python_is_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(SetupError, match=r"Python 3\.11 or newer is needed"):
        host.ensure_python_environment()


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(SetupError, match=r"no-such-package is not installed.*make setup"):
        host.installed_version("no-such-package")


def test_node_is_not_a_wrapper_script(prepared: None) -> None:
    # A wrapper script would not forward the signals that stop a server.
    with (VENV_BIN / "node").open("rb") as file:
        assert file.read(2) != b"#!"


def run_tool(folder: Path, *words: str) -> str:
    """The output of a Node tool that runs in a folder."""
    done = subprocess.run(
        [VENV_BIN / "node", *words],
        cwd=folder,
        env=tool_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_wrangler_sends_no_usage_reports(prepared: None, tmp_path: Path) -> None:
    wrangler = NODE_MODULES / "wrangler" / "bin" / "wrangler.js"
    assert "Status: Disabled" in run_tool(tmp_path, str(wrangler), "telemetry", "status")


def test_miniflare_does_not_fetch_a_sample_of_request_cf(prepared: None, tmp_path: Path) -> None:
    output = run_tool(tmp_path, "--input-type=module", "-e", START_MINIFLARE)
    # A fetch either fails with a warning or leaves its result in a file.
    assert "Request.cf" not in output
    assert list(tmp_path.rglob("cf.json")) == []


def test_tools_run_with_the_node_of_this_project(prepared: None) -> None:
    path = tool_environment()["PATH"]
    assert shutil.which("node", path=path) == str(VENV_BIN / "node")
