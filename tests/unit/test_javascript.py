"""Modules of the Worker that run in Node as well."""

import re
from pathlib import Path

import pytest

from tests.support.node import run_tests
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
