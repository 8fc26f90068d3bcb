"""Tests of the installed tools, and of the errors if a machine cannot install them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts import host
from scripts.project import VENV_BIN, SetupError, tool_environment

if TYPE_CHECKING:
    from pathlib import Path


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


def test_tools_send_no_usage_reports_and_need_no_network() -> None:
    environment = tool_environment()
    assert environment["WRANGLER_SEND_METRICS"] == "false"
    assert environment["CLOUDFLARE_CF_FETCH_ENABLED"] == "false"
    assert environment["PATH"].startswith(str(VENV_BIN))
