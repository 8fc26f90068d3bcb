"""Scrubbing: patterns, values, and configurations that are not valid."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.base.limits import MAX_JSON_BYTES
from resolvers.base.scrubbing import MARK, Glob, Rules, Scrubber
from resolvers.base.vocabulary import OutputKind
from tests.support.properties import repeatable


def scrub(patterns: list[str], value: Any) -> Any:
    return Rules.parse(patterns).value(value).value


@pytest.mark.parametrize(
    ("patterns", "value", "scrubbed"),
    [
        (["password"], {"password": "x", "other": 1}, {"password": MARK, "other": 1}),
        (["password"], {"a": [{"b": {"PassWord": [1]}}]}, {"a": [{"b": {"PassWord": MARK}}]}),
        (["password"], {"passwords": 1, "my password": 2}, {"passwords": 1, "my password": 2}),
        (["*token*"], {"apiTokenId": 1, "to": {"ken": 2}}, {"apiTokenId": MARK, "to": {"ken": 2}}),
        (["*"], {"a": 1, "b": [2]}, {"a": MARK, "b": MARK}),
        (["*"], "text", "text"),
        (
            ["card.number"],
            {"card": {"number": 1}, "number": 2},
            {"card": {"number": MARK}, "number": 2},
        ),
        (
            ["card.number"],
            {"x": {"card": [[{"number": 1}]]}},
            {"x": {"card": [[{"number": MARK}]]}},
        ),
        (["card.number"], {"card": {"old": {"number": 1}}}, {"card": {"old": {"number": 1}}}),
        (["card.number"], {"card.number": 1}, {"card.number": MARK}),
        (["a*.*b.c"], {"ax": {"xb": {"c": 1}}}, {"ax": {"xb": {"c": MARK}}}),
        (["password"], {"password": None}, {"password": None}),
        (["/sk-[a-z]+/"], ["key sk-abc and sk-d.", 1], [f"key {MARK} and {MARK}.", 1]),
        (["/\\d{16}/"], {"n": 4111111111111111, "m": 1.5}, {"n": MARK, "m": 1.5}),
        (["/@/"], {"a@b": True}, {f"a{MARK}b": True}),
        (["/x*/"], "axxb", f"a{MARK}b"),
        (["/true/"], [True, None], [True, None]),
        (
            ["__proto__"],
            json.loads('{"__proto__": 1, "constructor": 2}'),
            {"__proto__": MARK, "constructor": 2},
        ),
        # Members cannot be found in a preview.
        (
            ["password"],
            {"truncated": True, "bytes": 9, "preview": '{"password":"x"'},
            {"truncated": True, "bytes": 9, "preview": MARK},
        ),
        (
            ["password"],
            [{"unserializable": "a.B", "preview": "B(x)"}],
            [{"unserializable": "a.B", "preview": MARK}],
        ),
        (["password"], {"preview": "own"}, {"preview": "own"}),
    ],
)
def test_a_pattern_replaces_what_it_names(patterns: list[str], value: Any, scrubbed: Any) -> None:
    before = json.dumps(value)
    assert scrub(patterns, value) == scrubbed
    assert json.dumps(value) == before
    assert scrub(patterns, scrubbed) == scrubbed
    kind = Rules.parse(patterns).value(value).kind
    assert kind == (None if value == scrubbed else OutputKind.SCRUBBED)


@repeatable(200)
@given(
    name=st.text("aAbB.", max_size=8),
    parts=st.lists(st.text("ab", max_size=2), min_size=1, max_size=4),
)
def test_a_glob_matches_as_its_regular_expression(name: str, parts: list[str]) -> None:
    import re

    expected = re.fullmatch(".*".join(map(re.escape, parts)), name, re.IGNORECASE | re.DOTALL)
    assert Glob.parse("*".join(parts)).matches(name) == bool(expected)


def test_long_names_and_deep_values_take_a_bounded_time() -> None:
    started = time.monotonic()
    glob = Glob.parse("*" + "a*" * 20 + "b")
    assert not glob.matches("a" * MAX_JSON_BYTES)
    value: Any = {"password": 1}
    for _ in range(100_000):
        value = [value]
    copied, is_changed = Rules.parse(["password"])._copy(value)
    assert is_changed
    while isinstance(copied, list):
        [copied] = copied
    assert copied == {"password": MARK}
    assert time.monotonic() - started < 5


def test_a_value_that_marks_make_too_large_is_truncated() -> None:
    scrubbed = Rules.parse(["/x/"]).value("x" * 100_000)
    assert scrubbed.kind == OutputKind.TRUNCATED
    assert scrubbed.value == {"truncated": True, "bytes": 1_000_002, "preview": MARK}


@pytest.mark.parametrize("kind", ["TRUNCATED", "UNSERIALIZABLE"])
def test_a_stand_in_keeps_its_kind(kind: str) -> None:
    scrubbed = Rules.parse(["/x/"]).json('["x"]')
    assert (scrubbed.value, scrubbed.kind_of("CONVERTED")) == (f'["{MARK}"]', "SCRUBBED")
    assert scrubbed.kind_of(kind) == kind


def test_a_lone_surrogate_stays_an_escape_sequence() -> None:
    assert (
        Rules.parse(["a"]).json('{"a":1,"b":"\\ud800"}').value == f'{{"a":"{MARK}","b":"\\ud800"}}'
    )


def test_a_workflow_has_its_own_rules_and_those_of_all() -> None:
    scrubber = Scrubber.parse('{"*": ["a"], "w": ["b"], "v": ["c"]}')
    value = {"a": 1, "b": 2, "c": 3}

    def scrubbed(workflow: str | None) -> set[str]:
        found = scrubber.rules(workflow).value(value).value
        return {name for name in found if found[name] == MARK}

    assert scrubbed("w") == {"a", "b"}
    assert scrubbed("other") == {"a"}
    # Without a workflow it is not known whose value it is.
    assert scrubbed(None) == {"a", "b", "c"}
    assert scrubber.problem == ""


@pytest.mark.parametrize("value", [None, "", {}, "{}"])
def test_without_patterns_a_report_is_taken_as_it_is(value: object) -> None:
    scrubber = Scrubber.parse(value)
    report = {"workflow": "w", "output": {"password": 1}}
    assert scrubber.report(report) is report
    assert Scrubber.parse({"v": ["password"]}).report(report) is report


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{", "it is not JSON"),
        ("[]", "it must be an object of workflow names and lists of patterns"),
        (3, "it must be an object of workflow names and lists of patterns"),
        ({"w": "password"}, "w: must be a list of patterns, which are texts"),
        ({"w": [1]}, "w: must be a list of patterns, which are texts"),
        (
            {"w": ["/(/"]},
            "w: /(/ is not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        ({"w": ["a..b"]}, "w: 'a..b' is neither names joined by dots nor a /regular expression/"),
        ({"w": [""]}, "w: '' is neither names joined by dots nor a /regular expression/"),
        ({"w": ["/open"]}, "w: '/open' is neither names joined by dots nor a /regular expression/"),
        ({"w": ["//"]}, "w: '//' is neither names joined by dots nor a /regular expression/"),
    ],
)
def test_a_fault_is_named_and_nothing_is_stored(value: object, problem: str) -> None:
    scrubber = Scrubber.parse(value)
    assert scrubber.problem == problem
    report = {
        "workflow": "w",
        "input": {"a": 1},
        "output": 2,
        "metadata": None,
        "error": {"name": "E", "message": "m", "stack": None},
    }
    assert scrubber.report(report) == {
        "workflow": "w",
        "input": MARK,
        "output": MARK,
        "outputKind": "SCRUBBED",
        "metadata": None,
        "error": {"name": MARK, "message": MARK, "stack": None},
    }


def test_a_fault_of_one_workflow_leaves_the_others() -> None:
    scrubber = Scrubber.parse({"w": ["/(/"], "v": ["a"]})
    assert scrubber.rules("v").value({"a": 1, "b": 2}).value == {"a": MARK, "b": 2}
    assert scrubber.rules("other").value("text").value == "text"
    assert scrubber.rules(None).value("text").value == MARK
