"""TOML, edited in place with tomlkit.

tomlkit takes the comments before a header for a part of the table above, so members that are added
to that table are inserted before them here. The result is parsed again and compared, and so are the
lines, because tomlkit moves the tables of a list together.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, InlineTable, Table, Whitespace

from flowflare.setup.edits import Append, Edit, NotEditable, Path, Put, Unparsable, applied, dotted

_PLACE = "flowflare-setup-place"
_MOST_LINES = 2
"""Lines of a file that one edit may change: the value's, and the one before for a comma."""


def parse(text: str) -> dict[str, Any]:
    """Parse a text. Raises Unparsable, with the line."""
    try:
        return tomllib.loads(_unmarked(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unparsable(f"{error}") from None


def edit(text: str, change: Edit) -> str:
    """The text after one edit. Raises Unparsable or NotEditable."""
    wanted = applied(parse(text), [change])
    mark = text[: len(text) - len(_unmarked(text))]
    windows = text.count("\r\n") == text.count("\n") > 0
    source = text.removeprefix(mark)
    if windows:
        source = source.replace("\r\n", "\n")
    for way in (_edited, _listed_at_end):
        try:
            result = way(source, change)
            kept = _comments(source) <= _comments(result)
            if kept and parse(result) == wanted and _lines_touched(source, result) <= _MOST_LINES:
                return mark + (result.replace("\n", "\r\n") if windows else result)
        except (
            TOMLKitError,
            Unparsable,
            NotEditable,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ):
            continue
    raise NotEditable(f"`{dotted(change.path)}` is written in a form that cannot be edited safely")


def _unmarked(text: str) -> str:
    return text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


def _lines_touched(before: str, after: str) -> int:
    """The number of lines of a text that an edit has changed."""
    old, new = before.splitlines(), after.splitlines()
    same = 0
    for pairs in (zip(old, new, strict=False), zip(reversed(old), reversed(new), strict=False)):
        for left, right in pairs:
            if left != right:
                break
            same += 1
    return len(old) - same


def _comments(text: str) -> Counter[str]:
    """The comment lines. tomlkit can lose one behind a table that is replaced."""
    return Counter(line for line in text.splitlines() if line.lstrip().startswith("#"))


def _edited(text: str, change: Edit) -> str:
    document: Any = tomlkit.parse(text)
    node = document
    path, value = change.path, change.value
    for place, key in enumerate(path):
        missing = isinstance(key, str) and key not in node
        if missing:
            nested = [value] if isinstance(change, Append) else value
            for name in reversed(path[place + 1 :]):
                nested = {name: nested}
            if isinstance(node, InlineTable) and isinstance(key, str):
                spaced = node.as_string().endswith(" }")
                node[key] = nested
                if spaced:
                    node.value.body.append((None, Whitespace(" ")))
                return tomlkit.dumps(document)
            if isinstance(nested, dict | list):
                written = _blocks(path[: place + 1], nested)
                return _at_end(text, written) if written else _put_key(document, node, key, nested)
            return _put_key(document, node, key, nested)
        if place == len(path) - 1 and isinstance(change, Put):
            node[key] = value
            return tomlkit.dumps(document)
        node = node[key]
    if isinstance(node, AoT):
        # The next table goes where a new member of the last table would go.
        marked = _put_key(document, node[-1], _PLACE, 0)
        before, _, after = marked.partition(f"{_PLACE} = 0\n")
        gap = "\n" if after.startswith("[") else ""
        return f"{before}\n{_blocks(path, [value])}{gap}{after}"
    # A list within brackets; its elements stay inline.
    node.append(_inline(value))
    return tomlkit.dumps(document)


def _listed_at_end(text: str, change: Edit) -> str:
    """Write a list's next table at the end of the text, if its last table has subtables."""
    if isinstance(change, Put):
        raise NotEditable
    return _at_end(text, _blocks(change.path, [change.value]))


def _put_key(document: Any, table: Any, key: str | int, value: Any) -> str:
    """Add a plain member at the end of a table, before the comments of the next table."""
    if table is document:
        document[key] = _inline(value)
        return tomlkit.dumps(document)
    if not isinstance(table, Table):
        raise NotEditable
    body = table.value.body
    trailing: list[Any] = []
    while body and body[-1][0] is None and isinstance(body[-1][1], Comment | Whitespace):
        trailing.insert(0, body.pop())
    table.append(str(key), _inline(value))
    body.extend(trailing)
    return tomlkit.dumps(document)


def _blocks(path: Path, value: Any) -> str:
    """A table, or the tables of a list, with their headers; empty if that is not possible."""
    if any(isinstance(key, int) for key in path):
        return ""
    if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
        return ""
    header = ".".join(tomlkit.key(str(key)).as_string() for key in path)
    if isinstance(value, list):
        return "\n".join(f"[[{header}]]\n{_members(item)}" for item in value)
    tables = {k: v for k, v in value.items() if isinstance(v, dict) or _is_tables(v)}
    plain = {key: item for key, item in value.items() if key not in tables}
    parts = [f"[{header}]\n{_members(plain)}"] if plain or not tables else []
    parts += [_blocks((*path, key), item) for key, item in tables.items()]
    return "\n".join(parts)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _members(value: dict[str, Any]) -> str:
    return "".join(
        f"{tomlkit.key(key).as_string()} = {_inline(item).as_string()}\n"
        for key, item in value.items()
    )


def _inline(value: Any) -> Any:
    """A value as an item that tomlkit writes in one line."""
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, item in value.items():
            table.append(key, _inline(item))
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        for item in value:
            array.append(_inline(item))
        return array
    return tomlkit.item(value)


def _at_end(text: str, block: str) -> str:
    if text and not text.endswith("\n"):
        text += "\n"
    gap = "" if not text.strip() or text.endswith("\n\n") else "\n"
    return text + gap + block
