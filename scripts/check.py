"""`make check`: check format, lint, types and generated files. All checks run, even if one fails.

Usage: `python -m scripts.check`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scripts.project import NODE_MODULES, ROOT, VENV_BIN, parse_jsonc, say, tool_environment

PYTHON_SOURCES = (
    "worker.py",
    "schema",
    "resolvers",
    "tracker_do",
    "follower_do",
    "scripts",
    "tests",
    "examples",
    "benchmarks",
    "clients/python",
)
TYPESCRIPT_PROJECTS = (
    "tsconfig.json",
    "tsconfig.worker.json",
    "clients/typescript/tsconfig.json",
    "tests/clients/typescript/tsconfig.json",
    "tests/unit/javascript/tsconfig.json",
    "examples/tsconfig.json",
)
GENERATORS = ("scripts.export_schema", "scripts.generate_clients")
"""Modules that, with --check, compare the files they generate with the committed ones."""


@dataclass(frozen=True)
class Check:
    """A command to run."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """Result of a check."""

    check: Check
    passed: bool
    seconds: float
    output: str


def checks() -> Iterator[Check]:
    """List the checks, longest first."""
    python = str(VENV_BIN / "python")
    ruff = str(VENV_BIN / "ruff")
    sources = [name for name in PYTHON_SOURCES if _has_python(name)]
    yield Check("mypy --strict", (python, "-m", "mypy", *sources))
    tsc = str(NODE_MODULES / "typescript" / "bin" / "tsc")
    for project in TYPESCRIPT_PROJECTS:
        if (ROOT / project).is_file() and _has_inputs(project):
            yield Check(f"tsc {project}", (str(VENV_BIN / "node"), tsc, "--noEmit", "-p", project))
    for module in GENERATORS:
        if (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
            yield Check(f"{module} --check", (python, "-m", module, "--check"))
    prettier = str(NODE_MODULES / "prettier" / "bin" / "prettier.cjs")
    yield Check("prettier", (str(VENV_BIN / "node"), prettier, "--check", "."))
    yield Check("ruff format", (ruff, "format", "--check", "."))
    yield Check("ruff lint", (ruff, "check", "."))


def _has_inputs(project: str) -> bool:
    """True if a tsconfig's patterns match any file; tsc reports an empty project as an error."""
    path = ROOT / project
    patterns = parse_jsonc(path.read_text(encoding="utf-8")).get("include", ["*"])
    return any(any(path.parent.glob(pattern)) for pattern in patterns)


def _has_python(name: str) -> bool:
    path = ROOT / name
    return path.is_file() or any(path.rglob("*.py"))


def run_check(check: Check) -> Outcome:
    """Run one check; a check that fails does not raise."""
    start = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env=tool_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return Outcome(check, done.returncode == 0, time.monotonic() - start, done.stdout.strip())


def main() -> None:
    """Run all checks, two at a time; exits with 1 if one failed."""
    say("Checking format, lint, types and generated files …")
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outcome in pool.map(run_check, list(checks())):
            mark = "ok  " if outcome.passed else "FAIL"
            say(f"{mark} {outcome.check.name} ({outcome.seconds:.1f} s)")
            if not outcome.passed:
                failed.append(outcome.check.name)
                say(outcome.output)
    if failed:
        say(f"Failed: {', '.join(failed)}.")
        raise SystemExit(1)
    say("All checks passed.")


if __name__ == "__main__":
    main()
