"""wrangler, called as a program: it has the login, and calls Cloudflare's API."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowflare.cli.errors import CliError, Denied

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_RUN_S = 600
_INSTALL = "Install it in the project: npm install --save-dev wrangler"
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR = re.compile(r"\[ERROR\]\s*(.*)")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NO_WORKER = re.compile(r'Worker "[^"]*"(?: \(env: [^)]*\))? not found')
_NO_LOGIN = (
    "CLOUDFLARE_API_TOKEN",
    "not logged in",
    "not authenticated",
    "Authentication error",
    "Failed to fetch auth token",
    "Invalid access token",
)


class NotLoggedIn(Denied):
    """wrangler is not logged in, or its login is no longer valid."""


class WranglerMissing(CliError):
    """wrangler is not installed."""


class WorkerMissing(CliError):
    """The Worker is not in the account yet."""


@dataclass(frozen=True, slots=True)
class Database:
    """A D1 database of the account."""

    name: str
    identifier: str


@dataclass(frozen=True, slots=True)
class Wrangler:
    """The wrangler of a project, with the options of every call."""

    command: tuple[str, ...]
    folder: Path
    options: tuple[str, ...]
    """Options that select the configuration and the environment."""

    def shown(self, *arguments: str) -> str:
        """A call as it would be typed."""
        return shlex.join(["npx", "wrangler", *arguments, *self.options])

    def databases(self) -> list[Database]:
        """The account's D1 databases."""
        listed = self._list("d1", "list", "--json")
        return [Database(str(item.get("name")), str(item.get("uuid"))) for item in listed]

    def create_database(self, name: str, location: str | None) -> Database:
        """Create a database. Without a terminal, wrangler does not offer to edit the file."""
        printed = self.run(*create_arguments(name, location))
        if match := _UUID.search(printed):
            return Database(name, match[0])
        for found in self.databases():
            if found.name == name:
                return found
        raise CliError(
            f"wrangler created the database {name}, but did not print its id",
            hint="Run this again.",
        )

    def secrets(self) -> set[str]:
        """The names of the Worker's secrets; empty if it is not deployed yet."""
        try:
            listed = self._list("secret", "list", "--format", "json")
        except WorkerMissing:
            return set()
        return {str(item.get("name")) for item in listed}

    def put_secret(self, name: str, value: str) -> None:
        """Set a secret of the Worker; wrangler creates an empty Worker if there is none."""
        self.run("secret", "put", name, stdin=value)

    def migrate(self, database: str, where: str) -> bool:
        """Apply pending migrations; True if there were any. `where` is --local or --remote."""
        printed = self.run("d1", "migrations", "apply", database, where)
        return "No migrations to apply" not in printed

    def _list(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON list that a call prints, after any other output of wrangler."""
        printed = self.run(*arguments)
        for match in re.finditer(r"^\[", printed, re.MULTILINE):
            try:
                value, _ = json.JSONDecoder().raw_decode(printed, match.start())
            except ValueError:
                continue
            if all(isinstance(item, dict) for item in value):
                return list(value)
        raise CliError(
            f"`wrangler {' '.join(arguments)}` did not print a JSON list",
            hint="Is it older than version 4? Run `npm install --save-dev wrangler@latest`.",
        )

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run wrangler and return its output. Raises CliError with its message."""
        try:
            done = subprocess.run(
                [*self.command, *arguments, *self.options],
                cwd=self.folder,
                env=_environment(self.folder),
                # Not a terminal, so that wrangler does not ask.
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=_LONGEST_RUN_S,
            )
        except OSError as error:
            raise WranglerMissing(
                f"{self.command[0]} cannot be run: {error.strerror}", hint=_INSTALL
            ) from None
        except subprocess.TimeoutExpired:
            raise CliError(
                f"`{self.shown(*arguments)}` did not end within {_LONGEST_RUN_S} s",
                hint="Run it yourself.",
            ) from None
        printed = _COLOURS.sub("", done.stdout)
        if done.returncode != 0:
            raise _failure(self.shown(*arguments), printed + _COLOURS.sub("", done.stderr))
        return printed


def find(folder: Path, options: tuple[str, ...]) -> Wrangler:
    """The project's own wrangler, else the one on the path, else npx's.

    If there is none, the first call raises WranglerMissing; editing files needs no wrangler.
    """
    name = "wrangler.cmd" if os.name == "nt" else "wrangler"
    for place in (folder, *folder.parents):
        own = place / "node_modules" / ".bin" / name
        if own.is_file():
            return Wrangler((str(own),), folder, options)
    path = _environment(folder).get("PATH")
    if found := shutil.which("wrangler", path=path):
        return Wrangler((found,), folder, options)
    if found := shutil.which("npx", path=path):
        return Wrangler((found, "--yes", "wrangler"), folder, options)
    return Wrangler(("wrangler",), folder, options)


def create_arguments(name: str, location: str | None) -> tuple[str, ...]:
    """The arguments that create a database."""
    return ("d1", "create", name, *(("--location", location) if location else ()))


def _environment(folder: Path) -> dict[str, str]:
    environment = dict(os.environ)
    # A clone of the service has its own Node, because the system's may be too old.
    own = folder / ".venv" / "bin"
    if (own / "node").exists():
        environment["PATH"] = f"{own}{os.pathsep}{environment.get('PATH', '')}"
    environment["NO_COLOR"] = "1"
    environment.pop("FORCE_COLOR", None)
    return environment


def _failure(call: str, printed: str) -> CliError:
    """The error for a call that failed."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    at, said = next(
        ((place, match[1]) for place, line in enumerate(lines) if (match := _ERROR.search(line))),
        (len(lines), lines[-1] if lines else "it printed nothing"),
    )
    if any(words in printed for words in _NO_LOGIN):
        return NotLoggedIn(
            "wrangler is not logged in",
            hint="Run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN.",
        )
    if _NO_WORKER.search(printed):
        return WorkerMissing(said, hint="Deploy it first.")
    # For an answer of Cloudflare's API, the reason is in the next line.
    if said.startswith("A request to the Cloudflare API") and at + 1 < len(lines):
        said = f"{said} {lines[at + 1]}"
    return CliError(f"`{call}` failed: {said}", hint="The steps after it were not done.")
