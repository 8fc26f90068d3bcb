"""Where things lie in the repository, and the few habits every tool shares."""

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
"""Everything generated that is neither a package nor the build; git ignores it."""
CACHE = LOCAL / "cache"
DEFAULT_STATE = LOCAL / "state"
WORKERD_WRAPPER = LOCAL / "workerd"
"""A start script for workerd with this project's flags, for MINIFLARE_WORKERD_PATH."""
DEV_VARS = ROOT / ".dev.vars"
WRANGLER_CONFIG = ROOT / "wrangler.jsonc"


class SetupError(Exception):
    """A step cannot be done; the message says why and what to do, in plain words."""


def say(message: str) -> None:
    """Print one line of progress at once, even into a pipe."""
    print(message, flush=True)


def fail(message: str) -> NoReturn:
    """End the program with status 1 and a plain message."""
    print(f"Error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1)


@contextmanager
def step(message: str) -> Iterator[None]:
    """Say what begins, and how many seconds it took."""
    say(f"{message} …")
    start = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - start:.1f} s")


def digest(*parts: bytes | str | Path) -> str:
    """A short hash of texts and of the content of files: 16 hexadecimal digits."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = data.encode() if isinstance(data, str) else data
        # The length keeps ("ab", "c") and ("a", "bc") apart.
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
    """Whether the step that writes `stamp` was finished for `key`."""
    return stamp.is_file() and stamp.read_text().strip() == key


def write_stamp(stamp: Path, key: str) -> None:
    """Record that a step is finished for `key`."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(f"{key}\n")


def tool_environment() -> dict[str, str]:
    """The environment for Node tools: this project's Node first, no usage reports.

    A tool that finds no terminal must not wait for one, and none needs the network.
    """
    environment = dict(os.environ)
    environment["PATH"] = f"{VENV_BIN}{os.pathsep}{environment.get('PATH', '')}"
    environment["WRANGLER_SEND_METRICS"] = "false"
    environment["WRANGLER_HIDE_BANNER"] = "true"
    environment.setdefault("WRANGLER_LOG_PATH", str(LOCAL / "logs"))
    # Nothing here reads request.cf, so there is no need to ask the network for a sample.
    environment.setdefault("CLOUDFLARE_CF_FETCH_ENABLED", "false")
    environment["npm_config_update_notifier"] = "false"
    return environment


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
    """Run a command quietly from the root; raise SetupError with its output if it fails."""
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
