"""Parts of Markdown that the tests of the documentation read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scripts import pages

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fence:
    """A code block."""

    language: str
    text: str


def fences(text: str) -> list[Fence]:
    """All code blocks in order."""
    return [Fence(match[1], match[2]) for match in _FENCE.finditer(text)]


def section(text: str, title: str) -> str:
    """The text below a heading, up to the next heading of its level or above."""
    match = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert match, f"no heading {title!r}"
    rest = text[match.end() :]
    following = re.search(rf"^#{{1,{len(match[1])}}} ", without_code(rest), re.MULTILINE)
    return rest[: following.start()] if following else rest


def without_code(text: str) -> str:
    """The text with spaces in place of its code blocks; all other characters keep their places."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of all tables, without headings and rulers."""
    found = []
    lines = without_code(text).splitlines()
    for number, line in enumerate(lines):
        is_ruler = bool(re.fullmatch(r"\|[\s:|-]+\|", line))
        heads = number + 1 < len(lines) and re.fullmatch(r"\|[\s:|-]+\|", lines[number + 1])
        if (match := _ROW.fullmatch(line)) and not is_ruler and not heads:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", match[1])])
    return found


def code(cell: str) -> list[str]:
    """The texts in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def links(text: str) -> list[str]:
    """The targets of all links outside code."""
    prose = re.sub(r"`[^`\n]+`", "", without_code(text))
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose)


def anchors(text: str) -> set[str]:
    """The anchors of the headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {pages.slug(re.sub(r"[`*]", "", heading)) for heading in headings}
