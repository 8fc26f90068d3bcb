"""The documentation agrees with the code."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

import pytest
from graphql import parse, validate

from resolvers.base import limits, transitions
from resolvers.base.vocabulary import ErrorCode, EventType, InstanceStatus, OutputKind
from schema.application import VARIABLES
from schema.build import core
from scripts import pages
from scripts.project import ROOT
from tests.support.markdown import anchors, code, fences, links, rows, section
from tests.support.value_forms import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROSE = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
SETTINGS = {"PORT", "FLOWFLARE_STATE"}
"""Settings of the local servers; those of the Worker are read from its code."""


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PROSE, ids=named)
def test_relative_links_lead_to_files_and_headings(path: Path) -> None:
    for href in links(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", href):
            continue
        name, _, fragment = href.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), href
        assert target.is_relative_to(ROOT), href
        if fragment:
            assert fragment in anchors(target.read_text(encoding="utf-8")), href


def test_graphql_in_code_blocks_fits_the_schema() -> None:
    blocks = [
        (named(path), fence.text)
        for path in PROSE
        for fence in fences(path.read_text(encoding="utf-8"))
        if fence.language == "graphql"
    ]
    assert "docs/api.md" in dict(blocks)
    for page, block in blocks:
        assert validate(core, parse(block)) == [], page


def test_every_page_is_in_the_navigation() -> None:
    assert set(pages.sources(ROOT)) == set(pages.ORDER)


# --- limits


def test_every_limit_is_documented_with_its_value() -> None:
    defined = {name: f"{value:,}" for name, value in vars(limits).items() if name.isupper()}
    documented = {code(cells[0])[0]: cells[1] for cells in rows(text("docs/limits.md"))}
    assert documented == defined


# --- errors


def codes_in(path: Path) -> Iterator[str]:
    """The values of `extensions.code` that a module names: in `code="…"`, as the second argument of
    `error_of`, and in `_CODES` with its default."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found = [word.value for word in node.keywords if word.arg == "code"]
            if called in ("error_of", "_CODES.get"):
                found += node.args[1:2]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_CODES":
            assert isinstance(node.value, ast.Dict)
            found = list(node.value.values)
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "code"]
        else:
            continue
        yield from (
            constant.value
            for constant in found
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        )


def test_the_headings_of_error_codes_are_exactly_the_codes_in_use() -> None:
    parts = ("resolvers/**/*.py", "schema/*.py", "tracker_do/*.py")
    used = {found for part in parts for module in ROOT.glob(part) for found in codes_in(module)}
    assert {"UNAUTHENTICATED", "BODY_TOO_LARGE", "INTERNAL", "BAD_REQUEST"} <= used
    assert {"SUBSCRIPTION_LIMIT", "SUBSCRIPTION_TRANSPORT", "REPLAY_TOO_LONG"} <= used
    page = text("docs/errors.md")
    heading = re.compile(r"^### ([A-Z_]+)$", re.MULTILINE)
    assert set(heading.findall(section(page, "Codes in `errors`"))) == used
    results = heading.findall(section(page, "Codes of mutation results"))
    # A code may be used in both places; it is described once.
    assert sorted(results) == sorted(set(ErrorCode) - used)


# --- configuration


def test_every_setting_is_documented() -> None:
    in_javascript = set(re.findall(r"env\.([A-Z_]+)", text("schema/tracker.mjs"))) - {"TRACKER"}
    assert in_javascript == {"TRACKER_SHARDS"}
    read = {*VARIABLES, *in_javascript}
    table = {code(cells[0])[0] for cells in rows(section(text("README.md"), "Configuration"))}
    assert table == read | SETTINGS
    deploying = section(text("docs/deploying.md"), "Settings")
    assert {name for cells in rows(deploying) for name in code(cells[0])} == read
    for name in SETTINGS:
        assert f"`{name}`" in text("docs/development.md")


def test_every_command_is_documented() -> None:
    commands = set(re.findall(r"^([a-z]+):.*## ", text("Makefile"), re.MULTILINE)) - {"help"}
    table = rows(section(text("docs/development.md"), "Commands"))
    assert {f"make {name}" for name in commands} == {code(cells[0])[0] for cells in table}


# --- values


def test_the_table_of_forms_has_the_documented_cases() -> None:
    table = rows(section(text("docs/values.md"), "Forms"))
    documented = [case for case in CASES if case.get("documented")]
    assert len(table) == len(documented)
    for cells, case in zip(table, documented, strict=True):
        javascript, python, form, kind = ((*code(cell), None)[0] for cell in cells)
        assert (javascript, python, kind) == (case["javascript"], case["python"], case["kind"])
        shown = json.dumps(case["form"], ensure_ascii=False, separators=(",", ":"))
        if kind == "TRUNCATED":
            shown = shown.removesuffix('"}') + '…"}'
        assert form == shown


def test_every_kind_of_output_is_documented() -> None:
    table = rows(section(text("docs/values.md"), "Kinds of outputs"))
    assert [code(cells[0])[0] for cells in table] == list(OutputKind)


# --- transitions


def test_the_table_of_instance_transitions_is_that_of_the_code() -> None:
    instances = section(text("docs/transitions.md"), "Instances")
    table = rows(instances[: instances.index("\n### ")])
    documented = {code(source)[0]: set(code(targets)) for source, targets in table}
    assert documented == {
        str(source): {str(target) for target in targets}
        for source, targets in transitions.INSTANCE_TRANSITIONS.items()
    }
    assert all(is_in_order(code(targets)) for _, targets in table)


def is_in_order(statuses: list[str]) -> bool:
    return statuses == [str(s) for s in InstanceStatus if s in statuses]


def test_the_table_of_actions_is_that_of_the_code() -> None:
    page = section(text("docs/transitions.md"), "Actions")
    documented = {code(cells[0])[0]: set(code(cells[1])) for cells in rows(page)}
    assert documented == {
        "pauseWorkflow": transitions.PAUSABLE,
        "resumeWorkflow": transitions.RESUMABLE,
        "terminateWorkflow": transitions.TERMINABLE,
        "restartWorkflow": transitions.RESTARTABLE,
        "sendWorkflowEvent": transitions.RECEIVES_EVENTS,
    }


def test_the_table_of_step_ranks_is_that_of_the_code() -> None:
    steps = section(text("docs/transitions.md"), "Steps")
    documented = {code(cells[0])[0]: int(cells[1]) for cells in rows(steps[: steps.index("```")])}
    assert documented == {str(status): rank for status, rank in transitions.STEP_RANK.items()}


def test_every_event_is_documented_with_its_change() -> None:
    page = text("docs/transitions.md")
    changes = [cells[-1] for cells in rows(page) if re.fullmatch(r"`[A-Z_]+`", cells[-1])]
    events = {event for cell in changes for event in code(cell)} & set(EventType)
    assert events == set(EventType)
