"""Runs `flowflare` as a shell would: a process of its own, its streams pipes or a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from flowflare.cli.app import app
from scripts.project import ROOT
from tests.support.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from scripts.local_server import LocalServer

COMMAND = [sys.executable, "-m", "flowflare.cli"]
DEADLINE_S = 60


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class CommandLine:
    """The program in a folder, with one service in its environment."""

    def __init__(self, server: LocalServer | None, folder: Path) -> None:
        self.folder = folder
        # Nothing of the developer's own: neither keys nor what forces or forbids colours.
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
            "PYTHONWARNINGS": "error",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "xterm-256color",
        }
        if server is not None:
            self.environment |= {"FLOWFLARE_URL": server.url, "FLOWFLARE_API_KEY": server.key}

    def __call__(
        self,
        *arguments: str,
        stdin: str = "",
        environment: Mapping[str, str | None] | None = None,
    ) -> Ended:
        """Run it to its end, with pipes."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            cwd=self.folder,
            env=self.with_changes(environment),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=DEADLINE_S,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def inside(self, *arguments: str, stdin: str = "", key: str | None = "") -> Ended:
        """Run it in this process, which is quicker, with pipes; with another key, or none."""
        environment = {
            "FLOWFLARE_URL": self.environment["FLOWFLARE_URL"],
            "FLOWFLARE_API_KEY": self.environment["FLOWFLARE_API_KEY"] if key == "" else key,
        }
        ended = CliRunner().invoke(
            app, arguments, input=stdin, env=environment, prog_name="flowflare"
        )
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    def on_terminal(
        self,
        *arguments: str,
        columns: int = 100,
        environment: Mapping[str, str | None] | None = None,
    ) -> Ended:
        """Run it to its end, with standard output a terminal of so many columns."""
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.with_changes(environment),
            stdin=subprocess.DEVNULL,
            stdout=child,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(child)
        written = bytearray()
        with suppress(OSError):  # the terminal is gone when the process is
            while part := os.read(parent, 65536):
                written += part
        os.close(parent)
        _, err = process.communicate(timeout=DEADLINE_S)
        assert "Traceback" not in err, err
        return Ended(process.returncode, written.decode().replace("\r\n", "\n"), err)

    def start(self, *arguments: str) -> Running:
        """Start it, to go on meanwhile."""
        return Running([*COMMAND, *arguments], self.folder, self.environment)

    def with_changes(self, changes: Mapping[str, str | None] | None) -> dict[str, str]:
        """The environment with some variables set, and those that are None taken out."""
        merged = {**self.environment, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}


class Running(Closing):
    """A command that is still running, with the lines it has printed."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, condition: Callable[[list[str]], bool], what: str) -> None:
        """Wait until the lines printed so far are as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition(self.lines):
            assert time.monotonic() < deadline, f"no {what} in {self.lines}"
            if self._process.poll() is not None:
                self._reader.join(5)
                assert condition(self.lines), f"it ended without {what}: {self.end()}"
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self._process.wait(DEADLINE_S)
        self._reader.join(5)
        assert self._process.stderr is not None
        err = "" if self._process.stderr.closed else self._process.stderr.read()
        assert "Traceback" not in err, err
        return Ended(code, "".join(f"{line}\n" for line in self.lines), err)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
