"""Install the Worker's packages into `python_modules/`, as `pywrangler sync` would.

pywrangler downloads interpreters for this. pip needs none: it installs the wheels of the lock file
for Pyodide's platform, and checks their hashes.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from scripts.project import (
    CACHE,
    LOCAL,
    LOCKS,
    PYTHON_MODULES,
    VENV_BIN,
    digest,
    is_stamped,
    run,
    step,
    wrangler_config,
    write_stamp,
)

WORKER_LOCK = LOCKS / "worker.txt"
CLIENT_LOCK = LOCKS / "client.txt"
"""Packages that Workers with the Python client need in addition to the service's."""
# Not in the folder itself, because wrangler uploads everything in it.
STAMP = LOCAL / "python_modules.stamp"
PLATFORM = "pyemscripten_2026_0_wasm32"
PYTHON = "3.14"


def ensure_python_modules() -> None:
    """Vendor the Worker's packages, unless they are up to date."""
    excluded = json.dumps(wrangler_config()["python_modules"])
    key = digest(WORKER_LOCK, excluded, Path(__file__))
    if PYTHON_MODULES.is_dir() and is_stamped(STAMP, key):
        return
    with step("Vendoring the Worker's Python packages into python_modules"):
        vendor(WORKER_LOCK, PYTHON_MODULES)
        write_stamp(STAMP, key)


def ensure_client_packages() -> Path:
    """Install what the Python client needs in a Worker in addition to the service's packages.

    For tests only: other projects use pywrangler. Returns the folder.
    """
    folder = CACHE / f"client-modules-{digest(CLIENT_LOCK, Path(__file__))}"
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        vendor(CLIENT_LOCK, partial)
        partial.rename(folder)
    return folder


def vendor(lock: Path, target: Path) -> None:
    """Install the packages of a lock file for Pyodide's platform into a new folder."""
    shutil.rmtree(target, ignore_errors=True)
    run(
        [
            *(VENV_BIN / "python", "-m", "pip", "install", "--quiet"),
            *("--disable-pip-version-check", "--require-hashes", "--no-deps"),
            *("--target", target, "--no-compile", "--only-binary=:all:"),
            *("--platform", PLATFORM, "--platform", "any"),
            *("--implementation", "cp", "--abi", "cp314", "--python-version", PYTHON),
            *("-r", lock),
        ]
    )
    prune(target)


def prune(modules: Path) -> None:
    """Delete what wrangler.jsonc excludes from uploads, so that local Workers do not have it."""
    excluded = [_glob(pattern) for pattern in wrangler_config()["python_modules"]["exclude"]]
    for path in sorted(modules.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif any(glob.fullmatch(path.relative_to(modules).as_posix()) for glob in excluded):
            path.unlink()


def _glob(pattern: str) -> re.Pattern[str]:
    """Compile one of wrangler's globs: `**` matches across folders, `*` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(special.get(part, re.escape(part)) for part in parts))
