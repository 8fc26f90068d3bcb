"""Imports point one way, and few modules know that they run in a Worker."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PLATFORM = {"js", "pyodide", "workers", "pyodide_js", "_pyodide_core"}
# The rooms of the Worker from the bottom up: each imports only those below it that are named here.
_ROOMS = {
    "resolvers.base": set[str](),
    "resolvers.ports": {"base"},
    "resolvers.access": {"base"},
    "resolvers.runtime": {"base", "ports"},
    "resolvers.compiling": {"base", "ports", "access"},
    "resolvers.subscriptions": {"base", "ports", "access", "compiling"},
    "resolvers.writing": {"base", "ports", "access", "compiling"},
    "resolvers.engine": {"base", "ports", "access", "writing"},
    "resolvers.executing": {"base", "ports", "access", "compiling", "writing", "subscriptions"},
}
# The parts of the Worker, likewise.
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


def imported(path: Path, depth: int = 1) -> set[str]:
    """The first names, `depth` of them, of every module that a module imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(name.split(".")[:depth]) for name in names}


@pytest.mark.parametrize("room", _ROOMS)
def test_a_room_imports_only_the_rooms_named_for_it(room: str) -> None:
    allowed = {room, *(f"resolvers.{name}" for name in _ROOMS[room])}
    found = modules(room.replace(".", "/"))
    assert found
    for path in found:
        others = {name for name in imported(path, 2) if name.startswith("resolvers.")} - allowed
        assert not others, f"{path.relative_to(_ROOT)} imports {sorted(others)}"


def test_rooms_are_on_floors() -> None:
    below: set[str] = set()
    for room, allowed in _ROOMS.items():
        assert allowed <= below, f"{room} imports a room that is not below it"
        below.add(room.removeprefix("resolvers."))
    folders = {path.parent.name for path in (_ROOT / "resolvers").glob("*/__init__.py")}
    assert folders == below
    assert [path.name for path in (_ROOT / "resolvers").glob("*.py")] == ["__init__.py"]


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
    found = {path.relative_to(_ROOT).as_posix() for path in served if imported(path) & _PLATFORM}
    assert found == _EDGES


def called_on_import(node: ast.AST) -> Iterator[str]:
    """The last names of all functions that a module calls when it is imported."""
    if isinstance(node, ast.Call):
        yield ast.unparse(node.func).rsplit(".", 1)[-1]
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from called_on_import(child)


def test_modules_are_imported_without_clock_randomness_or_files() -> None:
    # A snapshot of the Worker's memory contains everything that its modules did on import.
    calls = {"time", "now", "today", "uuid4", "random", "token_hex", "open", "read_text", "urandom"}
    found = {
        path.relative_to(_ROOT).as_posix(): set(
            called_on_import(ast.parse(path.read_text(encoding="utf-8")))
        )
        for part in _BELOW
        for path in modules(part)
    }
    assert "frozenset" in set().union(*found.values())
    assert {path: names & calls for path, names in found.items() if names & calls} == {}
