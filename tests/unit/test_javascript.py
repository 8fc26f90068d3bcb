"""Modules of the Worker that run in Node as well."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from schema import http
from tests.support.node import run_tests
from tracker_do import frames
from tracker_do.frames import CloseCode
from tracker_do.settings import settings

_ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent / "javascript"


@pytest.mark.parametrize("name", sorted(file.name for file in _HERE.glob("*.test.mjs")))
def test_unit(name: str) -> None:
    run_tests(_HERE / name)


@pytest.mark.parametrize("part", ["Limits", "Closes"])
def test_javascript_knows_the_settings_that_python_installs(part: str) -> None:
    source = (_ROOT / "tracker_do/python.mjs").read_text(encoding="utf-8")
    _, typedef = source.split(f"@typedef {{object}} {part} ")
    names = re.findall(r"@property {\S+} (\w+)$", typedef.split("@typedef")[0], re.MULTILINE)
    assert names == list(settings(max_sockets=1)[part.lower()])


@pytest.mark.parametrize(
    ("module", "name"),
    [("sse", "FORBIDDEN"), ("tracker", "SUBPROTOCOL_NOT_ACCEPTABLE")],
)
def test_close_codes_in_javascript_are_those_of_the_protocol(module: str, name: str) -> None:
    source = (_ROOT / f"schema/{module}.mjs").read_text(encoding="utf-8")
    assert re.findall(rf"^const {name} = (\d+);", source, re.MULTILINE) == [str(CloseCode[name])]


@pytest.mark.parametrize(
    ("modules", "described"),
    [
        (("schema/bodies.mjs", "resolvers/runtime/json_text.mjs"), http._PROBLEMS),
        (("tracker_do/shard.mjs", "resolvers/runtime/json_text.mjs"), frames._PROBLEMS),
    ],
)
def test_python_describes_each_problem_that_javascript_names(
    modules: Sequence[str], described: Mapping[str, object]
) -> None:
    sources = [(_ROOT / module).read_text(encoding="utf-8") for module in modules]
    pattern = r'(?:return|problem:) "([A-Z_\d]+)"'
    named = {name for source in sources for name in re.findall(pattern, source)}
    assert named == described.keys()
