"""Builds the client packages and installs them into empty folders, from registries alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.project import NODE_MODULES, ROOT, VENV_BIN, tool_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PYTHON_CLIENT = ROOT / "clients" / "python"
TYPESCRIPT_CLIENT = ROOT / "clients" / "typescript"
DEADLINE_S = 60
INSTALLATION_DEADLINE_S = 240
TYPESCRIPT_OPTIONS = ("--strict", "--noEmit", "--target", "es2024", "--types", "node")


def run(
    command: Sequence[str | Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    seconds: float = DEADLINE_S,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder and return its output and its exit code."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=dict(env or tool_environment()),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def succeed(
    command: Sequence[str | Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    seconds: float = DEADLINE_S,
) -> str:
    """The output of a command, which must succeed."""
    done = run(command, folder, env=env, seconds=seconds)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def install(command: Sequence[str | Path], folder: Path) -> None:
    """Run a command that may wait for a registry; it must succeed."""
    succeed(command, folder, seconds=INSTALLATION_DEADLINE_S)


class PythonProject:
    """A virtual environment with nothing but the wheel and what it asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pip = ("-m", "pip", "--disable-pip-version-check")
        build = (*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", PYTHON_CLIENT)
        install([sys.executable, *build], folder)
        [self.wheel] = folder.glob("dist/*.whl")
        # pip at hand installs it: a second one would take longer than all the rest.
        install([sys.executable, "-m", "venv", "--without-pip", "venv"], folder)
        self.python = folder / "venv" / "bin" / "python"
        into = ("--python", self.python, "install", "--quiet", "--no-compile")
        install([sys.executable, *pip, *into, self.wheel], folder)

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of its programs, which sees nothing of the repository."""
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", **variables}

    def check(self, program: str) -> subprocess.CompletedProcess[str]:
        """Type-check a program with mypy --strict."""
        (self.folder / "program.py").write_text(program, encoding="utf-8")
        options = ("--strict", "--config-file=", "--python-executable", self.python)
        command = (VENV_BIN / "python", "-m", "mypy", *options, "program.py")
        return run(command, self.folder)

    def run(self, program: str, **variables: str) -> str:
        """The output of a program."""
        (self.folder / "program.py").write_text(program, encoding="utf-8")
        environment = self.environment(**variables)
        return succeed([self.python, "-W", "error", "program.py"], self.folder, env=environment)


class NodeProject:
    """A folder with nothing but the tarball and what it asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        npm = VENV_BIN / "npm"
        install([npm, "pack", "--silent", "--pack-destination", folder], TYPESCRIPT_CLIENT)
        [self.tarball] = folder.glob("*.tgz")
        (folder / "package.json").write_text('{"type": "module", "private": true}')
        options = ("--no-audit", "--no-fund", "--silent")
        install([npm, "install", *options, self.tarball, "@types/node"], folder)

    def check(self, program: str) -> subprocess.CompletedProcess[str]:
        """Type-check a program with tsc, as strictly as it can."""
        (self.folder / "program.ts").write_text(program, encoding="utf-8")
        tsc = NODE_MODULES / "typescript" / "bin" / "tsc"
        modules = ("--module", "nodenext", "--exactOptionalPropertyTypes", "program.ts")
        return run([VENV_BIN / "node", tsc, *TYPESCRIPT_OPTIONS, *modules], self.folder)

    def worker(self, program: str, config: str) -> Path:
        """A folder with a Worker, type-checked and bundled with the package as it is installed."""
        types = self.folder / "node_modules" / "@cloudflare"
        types.symlink_to(NODE_MODULES / "@cloudflare")
        worker = self.folder / "worker"
        (worker / "src").mkdir(parents=True)
        (worker / "wrangler.jsonc").write_text(config, encoding="utf-8")
        (worker / "source.ts").write_text(program, encoding="utf-8")
        tsc = NODE_MODULES / "typescript" / "bin" / "tsc"
        options = ("--strict", "--noEmit", "--skipLibCheck", "--target", "es2024")
        modules = ("--module", "es2022", "--moduleResolution", "bundler")
        checked = (*options, *modules, "--types", "@cloudflare/workers-types")
        succeed([VENV_BIN / "node", tsc, *checked, "source.ts"], worker)
        esbuild = NODE_MODULES / "esbuild" / "bin" / "esbuild"
        bundled = ("--bundle", "--format=esm", "--external:cloudflare:*", "--keep-names")
        succeed([esbuild, "source.ts", *bundled, "--outfile=src/index.ts"], worker)
        return worker

    def run(self, program: str, **variables: str) -> str:
        """The output of a program."""
        (self.folder / "program.ts").write_text(program, encoding="utf-8")
        environment = tool_environment() | variables
        return succeed([VENV_BIN / "node", "program.ts"], self.folder, env=environment)
