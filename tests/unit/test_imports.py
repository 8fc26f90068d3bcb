"""Imports point one way, and few modules know that they run in a Worker."""

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PLATFORM = {"js", "pyodide", "workers", "pyodide_js", "_pyodide_core"}
# Whom each of our parts may import, besides itself.
_BELOW = {
    "resolvers": set[str](),
    "schema": {"resolvers"},
    "tracker_do": {"resolvers"},
}
# Edges to the platform.
_EDGES = {"worker.py", "schema/edge.py", "tracker_do/tracker.py"}


def modules(part: str) -> list[Path]:
    """The modules of a part."""
    return sorted((_ROOT / part).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The first names of all that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(str(node.module).partition(".")[0])
    return names


@pytest.mark.parametrize("part", _BELOW)
def test_a_part_imports_only_what_is_below_it(part: str) -> None:
    ours = {*_BELOW, "worker", "scripts", "tests", "examples", "benchmarks", "clients"}
    found = modules(part)
    assert found
    for path in found:
        above = imported(path) & (ours - {part} - _BELOW[part])
        assert not above, f"{path.relative_to(_ROOT)} imports {sorted(above)}"


def test_only_the_edges_know_the_platform() -> None:
    served = [_ROOT / "worker.py", *(path for part in _BELOW for path in modules(part))]
    knowing = {path.relative_to(_ROOT).as_posix() for path in served if imported(path) & _PLATFORM}
    assert knowing <= _EDGES


def test_modules_are_imported_without_clock_randomness_or_files() -> None:
    # A snapshot of the Worker's memory holds what its modules did when they were imported.
    calls = {"time", "now", "today", "uuid4", "random", "token_hex", "open", "read_text", "urandom"}
    for part in _BELOW:
        for path in modules(part):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for statement in tree.body:
                if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    continue
                for node in ast.walk(statement):
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                        assert node.func.attr not in calls, f"{path}:{node.lineno}"
