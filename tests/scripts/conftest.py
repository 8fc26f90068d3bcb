"""Fixtures: a copy of the project with a small Worker, on which the scripts run."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts.project import ROOT, VENV_BIN, tool_environment
from tests.scripts.classes import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKER = (
    '''\
"""A Worker of three lines."""

import resolvers
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint


async def on_fetch(request, env, ctx):
    return Response(f"{request.method} {resolvers.WORD} {env.FLOWFLARE_API_KEY}")


async def on_scheduled(controller, env, ctx):
    print("cron:", controller.cron)


'''
    + CLASSES
)

COPIED = ("scripts", "wrangler.jsonc", "package.json", "package-lock.json", "locks")
LINKED = (".venv", "clients", "node_modules", "python_modules")


@pytest.fixture
def project(prepared: None, tmp_path: Path) -> Path:
    """Create a project with the scripts, the installed packages and a small Worker."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    (folder / ".flowflare").mkdir()
    shutil.copy(ROOT / ".flowflare" / "workerd", folder / ".flowflare" / "workerd")
    (folder / ".dev.vars").write_text("FLOWFLARE_API_KEY=of-the-copy\n")
    (folder / "worker.py").write_text(WORKER)
    (folder / "resolvers").mkdir()
    (folder / "resolvers" / "__init__.py").write_text('WORD = "first"\n')
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0001_one.sql").write_text("CREATE TABLE one (a) ;\n")
    return folder


@pytest.fixture(scope="session")
def run_node() -> Callable[[str], str]:
    """Return a function that runs the text of an ES module at the root and returns its output."""

    def run(script: str) -> str:
        done = subprocess.run(
            [VENV_BIN / "node", "--input-type=module", "-e", script],
            cwd=ROOT,
            env=tool_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
