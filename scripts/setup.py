"""Install and prepare everything that running and checking need; finished steps are skipped.

Usage: `python3 -m scripts.setup`.

A fresh clone needs only Python 3.11 or newer.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from scripts import host
from scripts.project import DEV_VARS, LOCAL, ROOT, VENV_BIN, SetupError, fail, say


def ensure_dev_vars() -> None:
    """Create `.dev.vars` with a random API key; an existing file is left alone."""
    try:
        descriptor = os.open(DEV_VARS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write("# Secrets of the local server; git ignores this file.\n")
        file.write(f"FLOWFLARE_API_KEY={secrets.token_urlsafe(32)}\n")
    say("Created .dev.vars with a random FLOWFLARE_API_KEY.")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one set-up run at a time; another one waits, and then finds everything done."""
    LOCAL.mkdir(exist_ok=True)
    # `os.execv` in `prepare` closes this descriptor; the new process takes the lock again.
    descriptor = os.open(LOCAL / "setup.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another set-up is running in this folder; waiting until it has finished …")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def prepare() -> None:
    """Run the steps in order; raises SetupError if one fails."""
    host.ensure_python_environment()
    host.ensure_node_packages()
    ensure_dev_vars()
    if sys.prefix != str(VENV_BIN.parent):
        # The next steps need packages that only the new environment has.
        os.execv(VENV_BIN / "python", [str(VENV_BIN / "python"), "-m", "scripts.setup"])
    prepare_worker()


def prepare_worker() -> None:
    """Run the steps that need the virtual environment: vendor, bundle, stage and snapshot."""
    from scripts import bundle, snapshot, stage, vendor  # noqa: PLC0415 - after the environment

    vendor.ensure_python_modules()
    folder = bundle.ensure_bundle()
    stage.stage()
    snapshot.ensure_workerd(folder, snapshot.ensure_snapshot(folder))


def main() -> None:
    """Prepare everything; exits with 1 and the reason if a step fails."""
    os.chdir(ROOT)
    try:
        with one_at_a_time():
            prepare()
    except SetupError as error:
        fail(str(error))


if __name__ == "__main__":
    main()
