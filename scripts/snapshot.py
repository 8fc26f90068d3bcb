"""Take a memory snapshot of the imported third-party packages, so that servers start faster.

It is taken from a small Worker that imports nothing of this project, because edits to the modules
in a snapshot are ignored.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from scripts.bundle import workerd_binary
from scripts.host import installed_version
from scripts.project import (
    CACHE,
    LOCAL,
    ROOT,
    VENV_BIN,
    WORKERD_WRAPPER,
    SetupError,
    digest,
    run,
    step,
    tool_environment,
)
from scripts.vendor import STAMP

WARM_WORKER = Path(__file__).with_name("warm_worker.py")
SNAPSHOT_NAME = "snapshot.bin"


def ensure_snapshot(bundle: Path) -> Path:
    """Take the snapshot once for these packages, workerd and bundle; return its folder."""
    maker = Path(__file__).with_name("snapshot.mjs")
    key = digest(installed_version("workerd"), bundle.name, STAMP, maker, WARM_WORKER)
    folder = CACHE / f"snapshot-{key}"
    if not (folder / SNAPSHOT_NAME).is_file():
        with step("Taking a memory snapshot of the imported packages"):
            _take_snapshot(bundle, folder)
    return folder


def _take_snapshot(bundle: Path, folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    wrapper = LOCAL / "workerd-snapshot"
    write_wrapper(wrapper, bundle, "--python-save-snapshot", f"--python-snapshot-dir={partial}")
    environment = tool_environment() | {"MINIFLARE_WORKERD_PATH": str(wrapper)}
    run([VENV_BIN / "node", ROOT / "scripts" / "snapshot.mjs", WARM_WORKER], env=environment)
    if not (partial / SNAPSHOT_NAME).is_file():
        raise SetupError(
            "workerd exited without writing a memory snapshot. Run `make setup` again."
        )
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    wrapper.unlink()


def write_wrapper(target: Path, bundle: Path, *flags: str) -> None:
    """Write a script that starts workerd with flags, after the sub-command."""
    words = [f"--pyodide-bundle-disk-cache-dir={bundle}", *flags]
    quoted = " ".join(_quote(word) for word in words)
    binary = _quote(str(workerd_binary()))
    script = (
        "#!/bin/sh\n"
        "# Written by scripts/snapshot.py: workerd with this project's flags.\n"
        'if [ "$1" != serve ]; then\n'
        f'  exec {binary} "$@"\n'
        "fi\n"
        "shift\n"
        f'exec {binary} serve {quoted} "$@"\n'
    )
    if target.is_file() and target.read_text() == script and os.access(target, os.X_OK):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(script)
    target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def ensure_workerd(bundle: Path, snapshot: Path) -> None:
    """Write the script that starts workerd for serving and testing."""
    write_wrapper(
        WORKERD_WRAPPER,
        bundle,
        f"--python-load-snapshot={SNAPSHOT_NAME}",
        f"--python-snapshot-dir={snapshot}",
    )


def _quote(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
