"""Imports point one way, and few modules use the platform of Workers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PLATFORM = {"js", "pyodide", "workers", "pyodide_js", "_pyodide_core"}
# The packages of `resolvers` from the bottom up, with the packages below that each may import.
_PACKAGES = {
    "resolvers.base": set[str](),
    "resolvers.ports": {"base"},
    "resolvers.access": {"base"},
    "resolvers.runtime": {"base", "ports"},
    "resolvers.compiling": {"base", "ports", "access"},
    "resolvers.subscriptions": {"base", "ports", "access", "compiling"},
    "resolvers.writing": {"base", "ports", "access", "compiling"},
    "resolvers.engine": {"base", "ports", "access", "writing"},
    "resolvers.following": {"base", "ports", "access", "writing"},
    "resolvers.executing": {"base", "ports", "access", "compiling", "writing", "subscriptions"},
}
# The folders of the Worker, with the folders that each may import.
_BELOW = {
    "resolvers": set[str](),
    "schema": {"resolvers"},
    "tracker_do": {"resolvers"},
    "follower_do": {"resolvers"},
}
# The modules that use the platform.
_EDGES = {"worker.py", "schema/edge.py", "tracker_do/tracker.py", "follower_do/follower.py"}


def modules(folder: str) -> list[Path]:
    """The modules of a folder."""
    return sorted((_ROOT / folder).rglob("*.py"))


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


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_package_imports_only_the_packages_named_for_it(package: str) -> None:
    allowed = {package, *(f"resolvers.{name}" for name in _PACKAGES[package])}
    found = modules(package.replace(".", "/"))
    assert found
    for path in found:
        others = {name for name in imported(path, 2) if name.startswith("resolvers.")} - allowed
        assert not others, f"{path.relative_to(_ROOT)} imports {sorted(others)}"


def test_all_packages_are_listed_from_the_bottom_up() -> None:
    below: set[str] = set()
    for package, allowed in _PACKAGES.items():
        assert allowed <= below, f"{package} imports a package that is not below it"
        below.add(package.removeprefix("resolvers."))
    folders = {path.parent.name for path in (_ROOT / "resolvers").glob("*/__init__.py")}
    assert folders == below
    assert [path.name for path in (_ROOT / "resolvers").glob("*.py")] == ["__init__.py"]


def test_the_documentation_draws_each_package_above_those_that_it_imports() -> None:
    text = (_ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^  │ ([a-z ]*)│", text, re.MULTILINE)
    rows = {name: number for number, row in enumerate(drawn) for name in row.split()}
    assert rows.keys() == {package.removeprefix("resolvers.") for package in _PACKAGES}
    for package, allowed in _PACKAGES.items():
        row = rows[package.removeprefix("resolvers.")]
        assert all(row < rows[name] for name in allowed), f"{package} is not above its imports"


@pytest.mark.parametrize("folder", _BELOW)
def test_a_folder_imports_only_the_folders_below_it(folder: str) -> None:
    ours = {*_BELOW, "worker", "scripts", "tests", "examples", "benchmarks", "clients"}
    found = modules(folder)
    assert found
    for path in found:
        above = imported(path) & (ours - {folder} - _BELOW[folder])
        assert not above, f"{path.relative_to(_ROOT)} imports {sorted(above)}"


def test_exactly_the_edges_import_the_platform() -> None:
    served = [_ROOT / "worker.py", *(path for folder in _BELOW for path in modules(folder))]
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
        for folder in _BELOW
        for path in modules(folder)
    }
    assert "frozenset" in set().union(*found.values())
    assert {path: names & calls for path, names in found.items() if names & calls} == {}
