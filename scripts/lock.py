"""`make lock`: resolve pyproject.toml and package.json again and write the lock files.

Usage: `python -m scripts.lock`.

The files in locks/ pin Python packages with hashes: for the host, for the Worker, for Workers that
import the Python client, and for its generator; package-lock.json pins the npm packages. Versions
that still meet the requirements are kept. To upgrade everything in a lock file, delete it first.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from scripts.codegen.python_client import CODEGEN_LOCK
from scripts.host import HOST_LOCK, NPM_LOCK
from scripts.project import CACHE, LOCKS, ROOT, VENV_BIN, run, step, tool_environment
from scripts.vendor import CLIENT_LOCK, PYTHON, WORKER_LOCK

CLIENT_PROJECT = ROOT / "clients" / "python" / "pyproject.toml"
PYODIDE_PLATFORM = "wasm32-pyodide2025"
"""uv's newest name for Pyodide. It only decides about markers, because pip chooses the wheels."""

CPU_NAMES = {"64": "x64", "arm64": "arm64"}
OS_NAMES = {"windows": "win32"}


def uv_command() -> str:
    """Install uv at the version pyproject.toml pins, for locking only; return its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = project["dependency-groups"]["lock"]
    target = CACHE / "lock-tools"
    run([VENV_BIN / "python", "-m", "pip", "install", "-q", "-U", "-t", target, *requirements])
    return str(target / "bin" / "uv")


def lock_python() -> None:
    """Write the Python lock files."""
    uv = uv_command()
    # Mirrors that this machine configures must not get into a lock file.
    environment = {name: value for name, value in os.environ.items() if name[:3] != "UV_"}
    common = (uv, "pip", "compile", "--quiet", "--no-header", "--generate-hashes")
    LOCKS.mkdir(exist_ok=True)
    project = ROOT / "pyproject.toml"
    host = ("--universal", "--python-version", "3.11", "--group", f"{project}:dev")
    run([*common, *host, project, "-o", HOST_LOCK], env=environment)
    worker = ("--python-platform", PYODIDE_PLATFORM, "--python-version", PYTHON)
    run([*common, *worker, project, "-o", WORKER_LOCK], env=environment)
    # Packages that the client needs in addition to the service's, which keep their versions.
    own = (f"--no-emit-package={name}" for name in pinned_names(WORKER_LOCK))
    client = (*worker, "--constraints", str(WORKER_LOCK), *own)
    run([*common, *client, CLIENT_PROJECT, "-o", CLIENT_LOCK], env=environment)
    codegen = ("--universal", "--python-version", "3.11", "--group", f"{project}:codegen")
    run([*common, *codegen, "-o", CODEGEN_LOCK], env=environment)


def pinned_names(lock: Path) -> list[str]:
    """Return the names of the packages in a lock file."""
    return re.findall(r"^([\w.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)


def lock_node() -> None:
    """Write package-lock.json."""
    run([VENV_BIN / "npm", "install", "--package-lock-only"], env=tool_environment())
    lock = json.loads(NPM_LOCK.read_text(encoding="utf-8"))
    complete_platforms(lock["packages"])
    lock["packages"] = dict(sorted(lock["packages"].items()))
    NPM_LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def complete_platforms(packages: dict[str, Any]) -> list[str]:
    """Add workerd's programs for platforms that the npm registry in use does not have.

    npm leaves out an optional package that it cannot find, and `npm ci` then refuses the lock file
    as incomplete. Returns the names added. They have no hash, and only their own platforms install
    them.
    """
    added = []
    for entry in list(packages.values()):
        for name, version in entry.get("optionalDependencies", {}).items():
            path = f"node_modules/{name}"
            if not name.startswith("@cloudflare/workerd-") or path in packages:
                continue
            _, system, cpu = name.rsplit("/", 1)[1].split("-")
            packages[path] = {
                "version": version,
                "cpu": [CPU_NAMES[cpu]],
                "dev": True,
                "optional": True,
                "os": [OS_NAMES.get(system, system)],
            }
            added.append(name)
    return added


def main() -> None:
    """Write all lock files."""
    with step("Locking the Python packages"):
        lock_python()
    with step("Locking the npm packages"):
        lock_node()


if __name__ == "__main__":
    main()
