"""Paths of the repository, and helpers that all scripts share."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VENV = ROOT / ".venv"
VENV_BIN = VENV / "bin"
NODE_MODULES = ROOT / "node_modules"
PYTHON_MODULES = ROOT / "python_modules"
LOCKS = ROOT / "locks"
LOCAL = ROOT / ".flowflare"
"""Generated files other than packages and the build; git ignores them."""
CACHE = LOCAL / "cache"
DEFAULT_STATE = LOCAL / "state"
WORKERD_WRAPPER = LOCAL / "workerd"
"""Script that starts workerd with this project's flags, for MINIFLARE_WORKERD_PATH."""
DEV_VARS = ROOT / ".dev.vars"
WRANGLER_CONFIG = ROOT / "wrangler.jsonc"


class SetupError(Exception):
    """A step of the set-up failed; the message gives the reason and the fix."""


def say(message: str) -> None:
    """Print one line of progress, flushed so that it also appears at once in a pipe."""
    print(message, flush=True)


def fail(message: str) -> NoReturn:
    """Print an error and exit with status 1."""
    print(f"Error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1)


@contextmanager
def step(message: str) -> Iterator[None]:
    """Print a message at the start, and the seconds taken at the end."""
    say(f"{message} …")
    start = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - start:.1f} s")


def digest(*parts: bytes | str | Path) -> str:
    """Hash texts and the content of files to 16 hexadecimal digits."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = data.encode() if isinstance(data, str) else data
        # The length makes ("ab", "c") and ("a", "bc") differ.
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()[:16]


def parse_jsonc(text: str) -> Any:
    """JSON with comments and trailing commas, as wrangler reads it."""
    import pyjson5  # noqa: PLC0415 - set-up begins without the packages

    return pyjson5.loads(text)


def wrangler_config() -> dict[str, Any]:
    """The content of wrangler.jsonc."""
    config: dict[str, Any] = parse_jsonc(WRANGLER_CONFIG.read_text(encoding="utf-8"))
    return config


def is_stamped(stamp: Path, key: str) -> bool:
    """True if the step that writes `stamp` was finished for `key`."""
    return stamp.is_file() and stamp.read_text().strip() == key


def write_stamp(stamp: Path, key: str) -> None:
    """Record that a step is finished for `key`."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(f"{key}\n")


def tool_environment() -> dict[str, str]:
    """Return the environment for Node tools: this project's Node first, no usage reports."""
    environment = dict(os.environ)
    environment["PATH"] = f"{VENV_BIN}{os.pathsep}{environment.get('PATH', '')}"
    environment["WRANGLER_SEND_METRICS"] = "false"
    environment["WRANGLER_HIDE_BANNER"] = "true"
    environment.setdefault("WRANGLER_LOG_PATH", str(LOCAL / "logs"))
    # Otherwise miniflare downloads a sample of request.cf, which nothing here reads.
    environment.setdefault("CLOUDFLARE_CF_FETCH_ENABLED", "false")
    environment["npm_config_update_notifier"] = "false"
    return environment


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
    """Run a command at the root, silently; raises SetupError with its output if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=None if env is None else dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-40:])
        raise SetupError(f"`{' '.join(words)}` failed with status {done.returncode}:\n{tail}")
