"""Render the documentation (README.md, docs/ and others) as HTML pages below /docs/.

markdown-it-py, which renders Markdown, is in `.venv`; this module can be imported without it.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.project import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markdown_it.token import Token

TEMPLATE = Path(__file__).with_name("page.html")
FRONT = "README.md"
ORDER = (
    FRONT,
    *("docs/engine.md", "docs/setup.md", "docs/api.md", "docs/subscriptions.md"),
    *("docs/clients.md", "docs/cli.md", "docs/tracking.md", "docs/values.md"),
    *("docs/moving.md", "docs/transitions.md", "docs/access.md", "docs/security.md"),
    *("docs/errors.md", "docs/limits.md", "docs/http.md", "docs/architecture.md"),
    "docs/glossary.md",
    *("docs/deploying.md", "docs/costs.md"),
    *("docs/development.md", "CONTRIBUTING.md", "CHANGELOG.md"),
)
"""Order in the navigation. Other files follow, sorted by name."""
TITLES = {FRONT: "Getting started"}


def sources(root: Path) -> list[str]:
    """List the Markdown files to render, in the navigation's order; empty without docs/."""
    names = {path.relative_to(root).as_posix() for path in root.glob("docs/*.md")}
    if not names:
        return []
    names |= {name for name in ORDER if (root / name).is_file()}
    return sorted(
        names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)
    )


def file_name(source: str) -> str:
    """Name of the HTML file for a source, below docs/ of the static files."""
    return "index.html" if source == FRONT else f"{Path(source).stem.lower()}.html"


def address(source: str) -> str:
    """URL path at which a source is served."""
    return "/docs/" + ("" if source == FRONT else Path(source).stem.lower())


def key(root: Path) -> str:
    """Digest of all that pages depend on: their sources, the template and this module."""
    parts = [part for name in sources(root) for part in (name, root / name)]
    return digest(*parts, TEMPLATE, Path(__file__))


def render(root: Path) -> dict[str, str]:
    """Render every page, by its file name. Raises ModuleNotFoundError without markdown-it-py."""
    names = sources(root)
    texts = {name: (root / name).read_text(encoding="utf-8") for name in names}
    titles = {name: TITLES.get(name) or _title(text) for name, text in texts.items()}
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return {
        file_name(name): template.substitute(
            title=html.escape(titles[name]),
            navigation=_navigation(titles, name),
            content=_content(texts[name], name, names),
        )
        for name in names
    }


def slug(heading: str) -> str:
    """Anchor of a heading, as GitHub derives it from the text."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _title(text: str) -> str:
    match = re.search(r"^# (.+)$", text, re.MULTILINE)
    assert match, "a page needs a title: a line that begins with '# '"
    return match[1]


def _navigation(titles: Mapping[str, str], current: str) -> str:
    lines = []
    for name, title in titles.items():
        mark = ' aria-current="page"' if name == current else ""
        lines.append(f'<li><a href="{address(name)}"{mark}>{html.escape(title)}</a></li>')
    return "\n".join(lines)


def _content(text: str, source: str, names: Sequence[str]) -> str:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - exists in .venv only

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(_plain(tokens[number + 1])))
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "inline":
            token.children = list(_linked(token.children or [], source, names))
    rendered: str = markdown.renderer.render(tokens, markdown.options, {})
    # Blocks wider than the page can be scrolled, also with the keyboard.
    rendered = rendered.replace("<pre>", '<pre tabindex="0">')
    rendered = rendered.replace("<table>", '<div class="table" tabindex="0"><table>')
    return rendered.replace("</table>", "</table></div>")


def _plain(heading: Token) -> str:
    return "".join(part.content for part in heading.children or [])


def _linked(parts: Sequence[Token], source: str, names: Sequence[str]) -> Iterator[Token]:
    """Turn links to sources into links to pages, and links to other files into plain text."""
    dropped = False
    for part in parts:
        if part.type == "link_open":
            target = page_link(str(part.attrGet("href")), source, names)
            dropped = target is None
            if target is not None:
                part.attrSet("href", target)
        elif part.type == "link_close" and dropped:
            dropped = False
            continue
        if not (part.type == "link_open" and dropped):
            yield part


def page_link(href: str, source: str, names: Sequence[str]) -> str | None:
    """Translate a link of a Markdown file to the site; None if the site has no such page."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc or not parts.path:
        return href
    folder = Path(source).parent
    steps: list[str] = []
    for step in (folder / parts.path).parts:
        if step == "..":
            steps.pop()
        else:
            steps.append(step)
    target = "/".join(steps)
    if target not in names:
        return None
    return address(target) + (f"#{parts.fragment}" if parts.fragment else "")
