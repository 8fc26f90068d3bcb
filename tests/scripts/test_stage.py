"""Tests of staging: it copies only files of the Worker, and only those that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts import stage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "worker.py": "entry",
        "schema/__init__.py": "",
        "schema/edge.mjs": "export {}",
        "schema/notes.md": "not staged",
        "schema/__pycache__/x.py": "not staged",
        "resolvers/deep/er/module.py": "x = 1",
        "tests/test_x.py": "not staged",
        "public/index.html": "<h1>",
        "public/.hidden": "not staged",
        "dashboard/index.html": "<h2>",
        **{f"node_modules/{name}": "library" for name in stage.GRAPHIQL_FILES},
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.setattr(stage, "BUILD", tmp_path / "build")
    monkeypatch.setattr(stage, "NODE_MODULES", tmp_path / "node_modules")
    return tmp_path


def staged(project: Path) -> set[str]:
    build = project / "build"
    return {path.relative_to(build).as_posix() for path in build.rglob("*") if path.is_file()}


def test_stages_modules_and_static_files_only(project: Path) -> None:
    stage.stage()
    assert staged(project) == {
        "worker.py",
        "schema/__init__.py",
        "schema/edge.mjs",
        "resolvers/deep/er/module.py",
        "public/index.html",
        "public/dashboard/index.html",
        "public/graphiql/graphiql.min.js",
        "public/graphiql/graphiql.min.css",
        "public/graphiql/react.production.min.js",
        "public/graphiql/react-dom.production.min.js",
    }


def test_staging_again_writes_nothing(project: Path) -> None:
    assert stage.stage() > 0
    before = (project / "build" / "worker.py").stat().st_mtime_ns
    assert stage.stage() == 0
    assert (project / "build" / "worker.py").stat().st_mtime_ns == before


def test_only_an_edited_module_is_staged(project: Path) -> None:
    stage.stage()
    (project / "worker.py").write_text("edited")
    assert stage.stage() == 1
    assert (project / "build" / "worker.py").read_text() == "edited"


def test_a_deleted_module_leaves_the_build(project: Path) -> None:
    stage.stage()
    (project / "schema" / "edge.mjs").unlink()
    assert stage.stage() == 1
    assert "schema/edge.mjs" not in staged(project)
