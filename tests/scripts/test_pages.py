"""Tests of the rendered documentation: links work, and only changed pages are rendered."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from scripts import pages, stage
from scripts.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = {"/", "/graphql", "/style.css", "/icon.svg"}


class Page(HTMLParser):
    """Parses the links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and value:
                self.links.append(value)
            elif name == "src" and value:
                self.sources.append(value)
            elif name == "id" and value:
                self.anchors.append(value)


@pytest.fixture(scope="module")
def rendered() -> dict[str, Page]:
    """Render the project's own pages, by their URL paths."""
    by_file = pages.render(ROOT)
    found = {
        pages.address(source): Page(by_file[pages.file_name(source)])
        for source in pages.sources(ROOT)
    }
    assert found["/docs/"].links
    assert found["/docs/"].anchors
    return found


def test_every_link_has_its_page_and_anchor(rendered: dict[str, Page]) -> None:
    for address, page in rendered.items():
        for link in page.links:
            if re.match(r"https?:", link):
                continue
            path, _, fragment = link.partition("#")
            assert path in {"", *rendered, *ELSEWHERE}, (address, link)
            if fragment:
                assert fragment in rendered[path or address].anchors, (address, link)


def test_anchors_are_unique(rendered: dict[str, Page]) -> None:
    for address, page in rendered.items():
        assert len(page.anchors) == len(set(page.anchors)), address


def test_pages_load_nothing_from_other_sites(rendered: dict[str, Page]) -> None:
    static = [path.read_text(encoding="utf-8") for path in ROOT.glob("public/**/*.html")]
    every = [*rendered.values(), *map(Page, static)]
    sources = [source for page in every for source in page.sources]
    assert sources
    assert [source for source in sources if not source.startswith("/")] == []


@pytest.mark.parametrize(
    ("href", "leads_to"),
    [
        ("limits.md", "/docs/limits"),
        ("limits.md#d1", "/docs/limits#d1"),
        ("../README.md#deploy-it", "/docs/#deploy-it"),
        ("#here", "#here"),
        ("https://example.org/a.md", "https://example.org/a.md"),
        ("../worker.py", None),
    ],
)
def test_links_between_files_become_links_between_pages(href: str, leads_to: str | None) -> None:
    names = ["README.md", "docs/api.md", "docs/limits.md"]
    assert pages.page_link(href, "docs/api.md", names) == leads_to


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "limits.md").write_text("# Limits\n\nSee [code](../x.py) <b>.\n")
    (tmp_path / "README.md").write_text("# Project\n\n[Limits](docs/limits.md)\n")
    libraries = tmp_path / "node_modules"
    for name in stage.GRAPHIQL_FILES:
        (libraries / name).parent.mkdir(parents=True, exist_ok=True)
        (libraries / name).write_text("library")
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.setattr(stage, "BUILD", tmp_path / "build")
    monkeypatch.setattr(stage, "NODE_MODULES", libraries)
    return tmp_path


def page(project: Path, name: str) -> Path:
    return project / "build" / "public" / "docs" / name


def test_staging_renders_the_pages(project: Path) -> None:
    stage.stage()
    assert '<a href="/docs/limits">Limits</a>' in page(project, "index.html").read_text()
    text = page(project, "limits.html").read_text()
    assert '<h1 id="limits">Limits</h1>' in text
    assert "See code &lt;b&gt;." in text


def test_an_edit_changes_only_its_page(project: Path) -> None:
    stage.stage()
    assert stage.stage() == 0
    (project / "docs" / "limits.md").write_text("# Limits\n\nNew.\n")
    assert stage.stage() == 1
    assert "New." in page(project, "limits.html").read_text()


def test_a_deleted_page_leaves_the_build(project: Path) -> None:
    (project / "docs" / "more.md").write_text("# More\n")
    stage.stage()
    (project / "docs" / "more.md").unlink()
    stage.stage()
    assert not page(project, "more.html").exists()


def test_without_the_renderer_pages_are_not_changed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.stage()
    before = page(project, "limits.html").read_text()
    (project / "docs" / "limits.md").write_text("# Limits\n\nNew.\n")

    def missing(root: Path) -> dict[str, str]:
        raise ModuleNotFoundError(str(root))

    monkeypatch.setattr(pages, "render", missing)
    assert stage.stage() == 0
    assert "`make setup`" in capsys.readouterr().out
    assert page(project, "limits.html").read_text() == before
