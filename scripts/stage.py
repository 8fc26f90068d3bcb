"""Copy the Worker's modules and the static files into `build/`, which wrangler deploys.

With `main` at the root of the repository, wrangler would upload every .py file below it, including
tests and virtual environments. Unchanged files are not written, so that a watching server reloads
only after real changes.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import pages
from scripts.project import BUILD, NODE_MODULES, ROOT, fail, is_stamped, say, write_stamp

MODULES = ("worker.py", "examples/__init__.py")
PACKAGES = ("schema", "resolvers", "tracker_do", "follower_do", "examples/order_processing")
"""Only one example runs in the service's Worker; the others are Workers of their own."""
MODULE_SUFFIXES = (".py", ".mjs")

STATIC_FOLDERS = (("public", "."), ("dashboard", "dashboard"))
"""(folder in the repository, folder below build/public)."""

GRAPHIQL_FILES = (
    "graphiql/graphiql.min.js",
    "graphiql/graphiql.min.css",
    "react/umd/react.production.min.js",
    "react-dom/umd/react-dom.production.min.js",
)
"""GraphiQL and React, which the Worker serves itself instead of using a CDN."""


def planned_files() -> dict[Path, Path]:
    """Map every staged file below `build/` to the file it is copied from."""
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


def planned_pages() -> set[Path]:
    """List the pages of the documentation below `build/`."""
    return {_page(pages.file_name(source)) for source in pages.sources(ROOT)}


def _page(name: str) -> Path:
    return Path("public", "docs", name)


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
    documentation = planned_pages()
    changes += _render_if_changed(documentation)
    for existing in list(_files_below(BUILD)):
        if existing.relative_to(BUILD) not in plan.keys() | documentation:
            existing.unlink()
            changes += 1
    return changes


def _render_if_changed(documentation: set[Path]) -> int:
    """Bring the pages up to date. Rendering is slow, so it is skipped if no source has changed."""
    if not documentation:
        return 0
    stamp = BUILD / ".pages-stamp"
    key = pages.key(ROOT)
    if is_stamped(stamp, key) and all((BUILD / page).is_file() for page in documentation):
        return 0
    try:
        rendered = pages.render(ROOT)
    except ModuleNotFoundError:
        # wrangler runs the first python3 in the PATH.
        say(
            "The documentation was not rendered again, because this Python has no markdown-it-py."
            " Run `make setup` to update it."
        )
        return 0
    changes = 0
    for name, text in rendered.items():
        changes += _write_if_changed(text.encode(), BUILD / _page(name))
    write_stamp(stamp, key)
    return changes


def _copy_if_changed(source: Path, target: Path) -> bool:
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return False
    with _replacing(target) as partial:
        shutil.copyfile(source, partial)
    return True


def _write_if_changed(content: bytes, target: Path) -> bool:
    if target.is_file() and target.read_bytes() == content:
        return False
    with _replacing(target) as partial:
        partial.write_bytes(content)
    return True


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Write a file under another name and rename it, so that a server never reads half of it.

    The name begins with a dot, so watchers and wrangler ignore it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    yield partial
    partial.replace(target)


def main() -> None:
    """Stage once. wrangler runs this as its build command."""
    if not (NODE_MODULES / "graphiql").is_dir():
        fail("The npm packages are missing; run `make setup` first.")
    changes = stage()
    if changes:
        say(f"Staged {changes} changed files into build/.")


if __name__ == "__main__":
    main()
