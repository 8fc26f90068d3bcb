"""JSON with comments is edited in place: the value changes as intended, the rest stays."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowflare.setup import jsonc
from flowflare.setup.edits import Append, Edit, NotEditable, Put, Unparsable, applied
from scripts.project import ROOT

SERVICE = {"binding": "F", "service": "flowflare"}


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ('{ "a": 1 }', Put(("b",), 2), '{ "a": 1, "b": 2 }'),
        ('{"a":1}', Put(("a",), 2), '{"a":2}'),
        ("{}", Put(("a", "b"), 1), '{"a": { "b": 1 }}'),
        ("{\n}\n", Put(("a",), 1), '{\n  "a": 1\n}\n'),
        ('{\n\t"a": 1\n}', Put(("b",), 2), '{\n\t"a": 1,\n\t"b": 2\n}'),
        ('{\r\n    "a": 1\r\n}', Put(("b",), 2), '{\r\n    "a": 1,\r\n    "b": 2\r\n}'),
        ('{\n  "a": 1,\n}', Put(("b",), 2), '{\n  "a": 1,\n  "b": 2,\n}'),
        ('{\n  "a": 1 // one\n}', Put(("b",), 2), '{\n  "a": 1, // one\n  "b": 2\n}'),
        (
            '{\n  "a": 1, // one\n  // end\n}',
            Put(("b",), 2),
            '{\n  "a": 1, // one\n  "b": 2,\n  // end\n}',
        ),
        ('{\n  "a": 1 /* x\n */ }', Put(("b",), 2), '{\n  "a": 1,\n  "b": 2 /* x\n */ }'),
        ('{\n  "l": [] // none\n}', Append(("l",), 1), '{\n  "l": [\n    1\n  ] // none\n}'),
        ('{\n  "l": [ // some\n  ]\n}', Append(("l",), 1), '{\n  "l": [ // some\n    1\n  ]\n}'),
        ('{\n  "l": [1, 2]\n}', Append(("l",), 3), '{\n  "l": [1, 2, 3]\n}'),
        ('{\n  "l": [1, 2,]\n}', Append(("l",), 3), '{\n  "l": [1, 2, 3,]\n}'),
        (
            '{\n  "l": [\n    { "x": 1 }\n  ]\n}',
            Append(("l",), SERVICE),
            '{\n  "l": [\n    { "x": 1 },\n    { "binding": "F", "service": "flowflare" }\n  ]\n}',
        ),
        (
            '{\n  "l": [{ "x": 1 }]\n}',
            Put(("l", 0, "y"), "z"),
            '{\n  "l": [{ "x": 1, "y": "z" }]\n}',
        ),
        # Of two members of one name the last counts.
        ('{"a": {"b": 1}, "a": {"c": 1}}', Put(("a", "c"), 2), '{"a": {"b": 1}, "a": {"c": 2}}'),
        (
            '{ "u//": "/* no comment */" }',
            Put(("é",), "→"),
            '{ "u//": "/* no comment */", "é": "→" }',
        ),
    ],
)
def test_an_edit_follows_the_style_of_the_file(before: str, change: Edit, after: str) -> None:
    assert jsonc.edit(before, change) == after
    assert jsonc.parse(after).value == applied(jsonc.parse(before).value, [change])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, column 1: unexpected end"),
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3: expected , or }, found"),
        ('{\n  "a": tru\n}', "line 2, column 8: unexpected tru"),
        ("{ a: 1 }", "line 1, column 3: expected a name in quotes"),
        ("{\r\n'a': 1}", "line 2, column 1: unexpected"),
        ("{} {}", "line 1, column 4: unexpected text after the end"),
        ('{"a": NaN}', "unexpected NaN"),
        ('{"a": 01}', "unexpected 01"),
        ("{ /* }", "unexpected '/'"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_invalid_json_is_reported_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Unparsable) as error:
        jsonc.parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "change", [Put(("a", "b"), 1), Append(("a",), 1), Append(("o",), 1), Put(("l", "x"), 1)]
)
def test_an_edit_that_does_not_fit_is_refused(change: Edit) -> None:
    with pytest.raises(NotEditable):
        jsonc.edit('{"a": 1, "o": {}, "l": []}', change)


# --- any text, any edit

NAMES = st.sampled_from(["a", "b", "vars", "d1 \\ databases", 'q"', "ü"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('a/*\\"{},: \n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
COMMENTS = re.compile(r'"(?:[^"\\]|\\.)*"|(//[^\r\n]*|/\*.*?\*/)', re.DOTALL)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A text of an object, with blanks, comments and commas anywhere they may be."""
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    plain = ["", "", " ", "\t", line_end, f"{line_end}  "]
    blanks = st.sampled_from([*plain, f" // c,}}{line_end}", "/* ] */", f"/*{line_end}*/"])
    escaped: bool = draw(st.booleans())

    def around(part: str) -> str:
        return f"{draw(blanks)}{part}{draw(blanks)}"

    def body(parts: list[str]) -> str:
        text = ",".join(map(around, parts)) or draw(blanks)
        comma: bool = draw(st.booleans())
        return f"{text},{draw(blanks)}" if parts and comma else text

    def write(value: Any) -> str:
        if isinstance(value, list):
            return f"[{body([write(item) for item in value])}]"
        if isinstance(value, dict):
            members = [f"{json.dumps(k)}{around(':')}{write(v)}" for k, v in value.items()]
            return f"{{{body(members)}}}"
        return json.dumps(value, ensure_ascii=escaped)

    return around(write(draw(OBJECTS)))


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all containers."""
    found = [path] if isinstance(value, dict | list) else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        found += places(item, (*path, key))
    return found


def holds(text: str, part: str) -> bool:
    """True if all characters of a part are in a text, in their order."""
    rest = iter(text)
    return all(character in rest for character in part)


@given(text=texts(), data=st.data())
def test_any_edit_of_any_text_has_the_intended_value_and_removes_nothing(
    text: str, data: st.DataObject
) -> None:
    value = jsonc.parse(text).value
    place = data.draw(st.sampled_from(places(value)))
    container = value
    for key in place:
        container = container[key]
    new = data.draw(VALUES)
    if isinstance(container, list):
        change: Edit = Append(place, new)
    else:
        free = [name for name in ("a", "b", "new", "ü") if name not in container]
        path = (*place, data.draw(st.sampled_from(free)) if free else "z")
        change = Put(path, new) if data.draw(st.booleans()) else Append(path, new)
    result = jsonc.edit(text, change)
    assert jsonc.parse(result).value == applied(value, [change])
    assert holds(result, text)
    assert [c for c in COMMENTS.findall(result) if c] == [c for c in COMMENTS.findall(text) if c]


@given(text=texts(), data=st.data())
def test_replacing_a_value_changes_nothing_around_it(text: str, data: st.DataObject) -> None:
    tree = jsonc.parse(text)
    if not tree.children:
        return
    child = data.draw(st.sampled_from(tree.children))
    new = data.draw(VALUES)
    result = jsonc.edit(text, Put((child.key,), new))
    assert jsonc.parse(result).value == {**tree.value, str(child.key): new}
    assert result.startswith(text[: child.node.start])
    assert result.endswith(text[child.node.end :])


def test_an_edit_of_this_projects_own_file_removes_nothing() -> None:
    text = (ROOT / "wrangler.jsonc").read_text(encoding="utf-8")
    result = jsonc.edit(text, Append(("services",), SERVICE))
    added = [line for line in result.splitlines() if line not in text.splitlines()]
    assert len(added) <= 6
    assert holds(result, text)
