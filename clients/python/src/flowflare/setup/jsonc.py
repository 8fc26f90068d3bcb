"""JSON with comments, edited in place: an edit leaves the rest of the text unchanged.

It accepts what wrangler accepts: both kinds of comments, and trailing commas.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from flowflare.setup.edits import Append, Edit, NotEditable, Unparsable, dotted

_WIDTH = 100
"""Columns up to which a list or an object of plain values is written in one line."""
_TOKEN = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d[\d.eE+-]*|[A-Za-z]+|[][{},:]',
)
_TRIVIA = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_SAME_LINE = re.compile(r"(?:[ \t]|/\*(?:(?!\*/)[^\r\n])*\*/)*(?://[^\r\n]*)?")
_LINE_END = re.compile(r"\r?\n|\Z")


@dataclass(slots=True)
class Node:
    """A value and its position in the text."""

    value: Any
    start: int
    end: int = 0
    children: list[Child] = field(default_factory=list)
    comma: int | None = None
    """The position behind a trailing comma, if there is one."""


@dataclass(slots=True)
class Child:
    """A member or an element; `start` is the start of its name, if it has one."""

    key: str | int
    start: int
    node: Node


def parse(text: str) -> Node:
    """Parse a text to a tree. Raises Unparsable, with the line."""
    try:
        return _Parser(text).document()
    except RecursionError:
        raise Unparsable("it is nested too deeply") from None


def edit(text: str, change: Edit) -> str:
    """The text after one edit. Raises Unparsable or NotEditable."""
    node = parse(text)
    path, value = change.path, change.value
    for place, key in enumerate(path):
        child = _child(node, key)
        if child is None:
            rest = path[place + 1 :]
            value = [value] if isinstance(change, Append) else value
            for name in reversed(rest):
                value = {name: value}
            if not isinstance(node.value, dict):
                raise NotEditable(f"`{dotted(path[:place])}` is not an object")
            return _insert(text, node, str(key), value)
        node = child.node
    if isinstance(change, Append):
        if not isinstance(node.value, list):
            raise NotEditable(f"`{dotted(path)}` is not a list")
        return _insert(text, node, None, value)
    new = _render(value, _Style.of(text), _indentation(text, node.start))
    return text[: node.start] + new + text[node.end :]


def _child(node: Node, key: str | int) -> Child | None:
    # The last of several members with the same name counts.
    return next((child for child in reversed(node.children) if child.key == key), None)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 1 if text.startswith("\N{ZERO WIDTH NO-BREAK SPACE}") else 0

    def document(self) -> Node:
        node = self.value()
        self.skip()
        if self.at < len(self.text):
            raise self.error("unexpected text after the end")
        return node

    def error(self, what: str) -> Unparsable:
        before = self.text[: self.at]
        column = self.at - (before.rfind("\n") + 1) + 1
        return Unparsable(f"line {before.count(chr(10)) + 1}, column {column}: {what}")

    def skip(self) -> None:
        match = _TRIVIA.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def peek(self) -> str:
        """The next token; empty at the end."""
        self.skip()
        if self.at == len(self.text):
            return ""
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise self.error(f"unexpected {self.text[self.at]!r}")
        return match[0]

    def take(self, *wanted: str) -> str:
        token = self.peek()
        if wanted and token not in wanted:
            raise self.error(f"expected {' or '.join(wanted)}, found {token or 'the end'}")
        self.at += len(token)
        return token

    def plain(self) -> Any:
        """Parse a string, a number, true, false or null."""
        token = self.peek()
        try:
            value = json.loads(token, parse_constant=_refuse)
        except ValueError:
            raise self.error(f"unexpected {token or 'end'}") from None
        self.at += len(token)
        return value

    def value(self) -> Node:
        token = self.peek()
        if token not in ("{", "["):
            start = self.at
            return Node(self.plain(), start, self.at)
        node = Node({} if token == "{" else [], self.at)
        end = "}" if token == "{" else "]"
        self.at += 1
        while self.peek() != end:
            node.comma = None
            self.member(node)
            if self.take(",", end) == end:
                node.end = self.at
                return node
            node.comma = self.at
        self.at += 1
        node.end = self.at
        return node

    def member(self, node: Node) -> None:
        start = self.at
        if isinstance(node.value, list):
            child = Child(len(node.children), start, self.value())
            node.value.append(child.node.value)
        else:
            key = self.plain() if self.peek().startswith('"') else None
            if not isinstance(key, str):
                raise self.error("expected a name in quotes")
            self.take(":")
            child = Child(key, start, self.value())
            node.value[key] = child.node.value
        node.children.append(child)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@dataclass(frozen=True, slots=True)
class _Style:
    """The style of a text: its indentation and its line ends."""

    unit: str
    line_end: str

    @classmethod
    def of(cls, text: str) -> _Style:
        line_end = "\r\n" if re.search(r"\r?\n", text + "\n")[0] == "\r\n" else "\n"  # type: ignore[index] # it always matches
        unit = "  "
        for child in parse(text).children:
            own = _line_start(text, child.start)
            if own:
                unit = own
                break
        return cls(unit, line_end)


def _line_start(text: str, at: int) -> str | None:
    """The blanks before a position if it is the first in its line, else None."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return before if not before.strip(" \t") else None


def _indentation(text: str, at: int) -> str:
    """The indentation of the line of a position."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _insert(text: str, node: Node, name: str | None, value: Any) -> str:
    """The text with one more member or element at the end of a container."""
    style = _Style.of(text)
    named = f"{json.dumps(name, ensure_ascii=False)}: " if name is not None else ""
    if not node.children:
        return _insert_first(text, node, named, value)
    last = node.children[-1]
    indent = _line_start(text, last.start)
    if indent is None or "\n" not in text[node.start : node.end]:
        new = named + _render(value, None, "")
        if node.comma is None:
            return _with(text, (last.node.end, f", {new}"))
        return _with(text, (node.comma, f" {new},"))
    new = style.line_end + indent + named + _render(value, style, indent, len(named))
    at = node.comma or last.node.end
    # A comment behind the last child, in the same line, stays there.
    end = _SAME_LINE.match(text, at).end()  # type: ignore[union-attr] # it also matches the empty text
    if not _LINE_END.match(text, end):
        end = at
    if node.comma is not None:
        return _with(text, (end, f"{new},"))
    return _with(text, (last.node.end, ","), (end, new))


def _insert_first(text: str, node: Node, named: str, value: Any) -> str:
    style = _Style.of(text)
    if "\n" not in text.strip():
        inside = text[node.start + 1 : node.end - 1]
        blank = " " if inside and not inside.endswith(" ") else ""
        return _with(text, (node.end - 1, blank + named + _render(value, None, "")))
    outer = _indentation(text, node.start)
    indent = outer + style.unit
    new = style.line_end + indent + named + _render(value, style, indent, len(named))
    at = node.start + 1
    end = _SAME_LINE.match(text, at).end()  # type: ignore[union-attr] # it also matches the empty text
    if _LINE_END.match(text, end):
        return _with(text, (end, new))
    return _with(text, (at, new + style.line_end + outer))


def _with(text: str, *pieces: tuple[int, str]) -> str:
    """The text with pieces inserted, each at its position."""
    for at, piece in reversed(pieces):
        text = text[:at] + piece + text[at:]
    return text


def _render(value: Any, style: _Style | None, indent: str, before: int = 0) -> str:
    """A value as text, in one line if there is no style."""
    short = _one_line(value)
    if style is None or not isinstance(value, dict | list) or not value:
        return short
    items = value.values() if isinstance(value, dict) else value
    flat = not any(isinstance(item, dict | list) and item for item in items)
    if flat and len(indent) + before + len(short) <= _WIDTH:
        return short
    inner = indent + style.unit
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            name = f"{json.dumps(key, ensure_ascii=False)}: "
            lines.append(f"{inner}{name}{_render(item, style, inner, len(name))}")
        brackets = "{}"
    else:
        lines = [inner + _render(item, style, inner) for item in value]
        brackets = "[]"
    body = f",{style.line_end}".join(lines)
    return f"{brackets[0]}{style.line_end}{body}{style.line_end}{indent}{brackets[1]}"


def _one_line(value: Any) -> str:
    if isinstance(value, dict) and value:
        members = [
            f"{json.dumps(key, ensure_ascii=False)}: {_one_line(item)}"
            for key, item in value.items()
        ]
        return "{ " + ", ".join(members) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_one_line, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
