"""Tests that the lock files agree with the requirements, each other and the installed packages."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from typing import Any

import pytest

from scripts.codegen.python_client import CODEGEN_LOCK
from scripts.host import HOST_LOCK, NPM_LOCK, installed_version
from scripts.lock import complete_platforms
from scripts.project import ROOT
from scripts.vendor import CLIENT_LOCK, WORKER_LOCK

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME: list[str] = PROJECT["project"]["dependencies"]


def requirements(text: str) -> dict[str, str]:
    """Parse the names and versions of the requirements without a marker."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, flags=re.MULTILINE))


PYTHON_LOCKS = [HOST_LOCK, WORKER_LOCK, CLIENT_LOCK, CODEGEN_LOCK]
HOST = requirements(HOST_LOCK.read_text(encoding="utf-8"))
WORKER = requirements(WORKER_LOCK.read_text(encoding="utf-8"))


@pytest.mark.parametrize("requirement", RUNTIME)
def test_the_workers_packages_have_the_same_versions_on_the_host(requirement: str) -> None:
    name, pinned = requirement.split("==")
    assert WORKER[name] == HOST[name] == version(name) == pinned


@pytest.mark.parametrize("lock", PYTHON_LOCKS, ids=lambda path: path.stem)
def test_every_requirement_is_pinned_with_hashes(lock: Any) -> None:
    text = lock.read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert blocks
    for block in blocks:
        assert "==" in block
        assert "--hash=sha256:" in block


@pytest.mark.parametrize("lock", [*PYTHON_LOCKS, NPM_LOCK], ids=lambda path: path.name)
def test_lock_files_contain_no_urls_or_paths(lock: Any) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in re.sub(r'"(url|funding)": (".*"|\{[^}]*\}|\[[^\]]*\])', "", text)
    assert str(ROOT) not in text


def test_the_clients_packages_have_the_same_versions_on_the_host() -> None:
    client = requirements(CLIENT_LOCK.read_text(encoding="utf-8"))
    assert "gql" in client
    assert client.items() <= HOST.items()
    # They are installed next to the Worker's packages, so none may be in both lock files.
    assert not client.keys() & WORKER.keys()


def test_exact_versions_in_pyproject_are_the_locked_ones() -> None:
    dev = PROJECT["dependency-groups"]["dev"]
    exact = [re.fullmatch(r"([a-z0-9-]+)(?:\[.*\])?==(\S+)", requirement) for requirement in dev]
    pinned = {match[1]: match[2] for match in exact if match}
    assert "mypy" in pinned
    assert pinned.items() <= HOST.items()


def test_npm_packages_are_exact_and_installed() -> None:
    manifest = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    for name, wanted in manifest["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", wanted), name
        assert installed_version(name) == wanted


def test_miniflare_is_the_one_wrangler_depends_on() -> None:
    packages = json.loads(NPM_LOCK.read_text(encoding="utf-8"))["packages"]
    wrangler = packages["node_modules/wrangler"]["dependencies"]
    assert wrangler["miniflare"] == installed_version("miniflare")
    assert wrangler["workerd"] == installed_version("workerd")


def test_a_platform_the_registry_lacks_is_added_to_the_lock() -> None:
    packages: dict[str, Any] = {
        "node_modules/workerd": {
            "optionalDependencies": {
                "@cloudflare/workerd-windows-64": "1.2.3",
                "@cloudflare/workerd-linux-arm64": "1.2.3",
            }
        },
        "node_modules/@cloudflare/workerd-linux-arm64": {"version": "1.2.3"},
    }
    assert complete_platforms(packages) == ["@cloudflare/workerd-windows-64"]
    added = packages["node_modules/@cloudflare/workerd-windows-64"]
    assert (added["os"], added["cpu"], added["version"]) == (["win32"], ["x64"], "1.2.3")
