"""Stage what is deployed into `build/`: the Worker's modules and the static files.

With `main` at the repository's root wrangler would attach every .py file below it, tests and
virtual environments included; below `build/` lies only what belongs to the Worker. Files that
did not change are left alone, so a watching server reloads for real changes only.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from scripts.project import BUILD, NODE_MODULES, ROOT, fail, say

MODULES = ("worker.py",)
PACKAGES = ("schema", "resolvers", "tracker_do", "examples")
MODULE_SUFFIXES = (".py", ".mjs")

STATIC_FOLDERS = (("public", "."), ("dashboard", "dashboard"))
"""(folder in the repository, folder below build/public)."""

GRAPHIQL_FILES = (
    "graphiql/graphiql.min.js",
    "graphiql/graphiql.min.css",
    "react/umd/react.production.min.js",
    "react-dom/umd/react-dom.production.min.js",
)
"""GraphiQL and what it runs on, served from here rather than from somebody's CDN."""


def planned_files() -> dict[Path, Path]:
    """Every staged file below `build/`, with the file it is copied from."""
    plan: dict[Path, Path] = {}
    for module in MODULES:
        if (ROOT / module).is_file():
            plan[Path(module)] = ROOT / module
    for package in PACKAGES:
        for source in _files_below(ROOT / package):
            if source.suffix in MODULE_SUFFIXES:
                plan[source.relative_to(ROOT)] = source
    for folder, target in STATIC_FOLDERS:
        for source in _files_below(ROOT / folder):
            plan[Path("public", target, source.relative_to(ROOT / folder))] = source
    for name in GRAPHIQL_FILES:
        plan[Path("public", "graphiql", Path(name).name)] = NODE_MODULES / name
    return plan


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_ignored(name)]
        for name in names:
            if not _is_ignored(name):
                yield Path(parent, name)


def _is_ignored(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".") or name == "node_modules"


def stage() -> int:
    """Bring `build/` up to date; returns how many files were written or removed."""
    plan = planned_files()
    changes = 0
    for target, source in plan.items():
        changes += _copy_if_changed(source, BUILD / target)
    for existing in list(_files_below(BUILD)):
        if existing.relative_to(BUILD) not in plan:
            existing.unlink()
            changes += 1
    return changes


def _copy_if_changed(source: Path, target: Path) -> bool:
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, so that a server that reloads now never reads half a file. The name
    # begins with a dot: watchers and wrangler pass it over.
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
    return True


def main() -> None:
    """Stage once; wrangler calls this as its build command."""
    if not (NODE_MODULES / "graphiql").is_dir():
        fail("The npm packages are missing; run `make setup` first.")
    changes = stage()
    if changes:
        say(f"Staged {changes} changed files into build/.")


if __name__ == "__main__":
    main()
