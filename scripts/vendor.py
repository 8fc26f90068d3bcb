"""`python_modules/`: the Worker's packages, as `pywrangler sync` would vendor them.

pywrangler downloads interpreters to do this. pip alone can: it takes the wheels for Pyodide's
platform from the lock file, checked against their hashes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.project import (
    LOCAL,
    LOCKS,
    PYTHON_MODULES,
    VENV_BIN,
    digest,
    is_stamped,
    run,
    step,
    write_stamp,
)

WORKER_LOCK = LOCKS / "worker.txt"
PLATFORM = "pyemscripten_2026_0_wasm32"
PYTHON = "3.14"

PRUNED = (
    # No time zone but UTC is used, and the data is 2.8 MB.
    "tzdata",
    # Metadata and command line programs: nothing in the Worker reads them.
    "*.dist-info",
    "bin",
    # Parts of packages that are never imported in a Worker.
    "strawberry/cli",
    "strawberry/codegen",
    "strawberry/django",
    "strawberry/channels",
    "strawberry/ext/mypy_plugin.py",
    "pydantic/v1",
    "pydantic/mypy.py",
)
PRUNED_ANYWHERE = ("__pycache__", "tests", "*.pyi", "py.typed")


def ensure_python_modules() -> None:
    """Vendor the Worker's packages, unless that was done for this lock file."""
    # Beside the folder, not in it: wrangler uploads whatever is in there.
    stamp = LOCAL / "python_modules.stamp"
    key = digest(WORKER_LOCK, Path(__file__))
    if PYTHON_MODULES.is_dir() and is_stamped(stamp, key):
        return
    with step("Vendoring the Worker's Python packages into python_modules"):
        shutil.rmtree(PYTHON_MODULES, ignore_errors=True)
        run(
            [
                *(VENV_BIN / "python", "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--require-hashes", "--no-deps"),
                *("--target", PYTHON_MODULES, "--no-compile", "--only-binary=:all:"),
                *("--platform", PLATFORM, "--platform", "any"),
                *("--implementation", "cp", "--abi", "cp314", "--python-version", PYTHON),
                *("-r", WORKER_LOCK),
            ]
        )
        prune(PYTHON_MODULES)
        write_stamp(stamp, key)


def prune(modules: Path) -> None:
    """Delete what the Worker never imports; every byte here is uploaded."""
    patterns = [*PRUNED, *(f"**/{name}" for name in PRUNED_ANYWHERE)]
    for pattern in patterns:
        for path in sorted(modules.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
