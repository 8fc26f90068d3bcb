"""`make dev`: run wrangler's development server, which reloads after edits.

When a watched file changes, wrangler runs the build command of wrangler.jsonc. That stages the
change into build/, from which wrangler serves.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from types import FrameType

from scripts.project import (
    DEFAULT_STATE,
    DEV_VARS,
    NODE_MODULES,
    ROOT,
    VENV_BIN,
    WORKERD_WRAPPER,
    fail,
    say,
    tool_environment,
    wrangler_config,
)

READY_DEADLINE_S = 120.0
DEVELOPMENT_FLAG = "python_workers_development"


def compatibility_flags() -> list[str]:
    """Return the flags of wrangler.jsonc and the development flag, which is never deployed."""
    return [*wrangler_config()["compatibility_flags"], DEVELOPMENT_FLAG]


def wrangler_command(*, port: int, state: str) -> list[str]:
    """Return the command `wrangler dev` for the staged build, with everything local."""
    return [
        str(VENV_BIN / "node"),
        str(NODE_MODULES / "wrangler" / "bin" / "wrangler.js"),
        *("dev", "--ip", "127.0.0.1", "--port", str(port), "--persist-to", state),
        *("--compatibility-flags", *compatibility_flags()),
    ]


def key_place() -> str:
    """Describe where the API key is. The key itself is not printed, because logs are kept."""
    text = DEV_VARS.read_text(encoding="utf-8") if DEV_VARS.is_file() else ""
    if re.search(r"^\s*(?:export\s+)?FLOWFLARE_API_KEY\s*=\s*\S", text, re.MULTILINE):
        return "Key: in .dev.vars (FLOWFLARE_API_KEY)"
    return "Key: none. Set FLOWFLARE_API_KEY in .dev.vars and restart."


def announce_when_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Print the ready line once /healthz answers; stop waiting if the process ends."""
    deadline = time.monotonic() + READY_DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                say(key_place())
                say(f"Flowflare is ready: {url}")
                return
        except urllib.error.HTTPError as error:
            say(f"/healthz answered {error.code} instead of 200; see the log above.")
            say(key_place())
            say(f"Flowflare is ready: {url}")
            return
        except OSError:
            time.sleep(0.1)


def main() -> None:
    """Run until interrupted; the exit status is wrangler's."""
    port = os.environ.get("PORT", "8787")
    if not port.isdigit() or int(port) > 65535:
        fail(f"PORT must be a port number from 0 to 65535, not {port!r}.")
    state = os.path.abspath(os.environ.get("FLOWFLARE_STATE") or DEFAULT_STATE)
    environment = tool_environment() | {"MINIFLARE_WORKERD_PATH": str(WORKERD_WRAPPER)}
    migrate = [str(VENV_BIN / "node"), "scripts/migrate.mjs", "--state", state]
    migrated = subprocess.run(migrate, cwd=ROOT, env=environment, check=False)
    if migrated.returncode != 0:
        raise SystemExit(migrated.returncode)  # migrate.mjs has printed the error
    say("Starting wrangler's development server, which reloads after edits …")
    command = wrangler_command(port=int(port), state=state)
    process = subprocess.Popen(command, cwd=ROOT, env=environment)

    def forward(number: int, _frame: FrameType | None) -> None:
        # Ctrl-C in a terminal reaches wrangler directly; a SIGTERM does not.
        if number == signal.SIGTERM:
            process.terminate()

    signal.signal(signal.SIGINT, forward)
    signal.signal(signal.SIGTERM, forward)
    url = f"http://127.0.0.1:{port}"
    threading.Thread(target=announce_when_ready, args=(url, process), daemon=True).start()
    raise SystemExit(process.wait())


if __name__ == "__main__":
    main()
