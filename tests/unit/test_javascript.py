"""Modules of the Worker that run in Node as well."""

from pathlib import Path

import pytest

from tests.support.node import run_tests

_HERE = Path(__file__).parent / "javascript"


@pytest.mark.parametrize("name", sorted(file.name for file in _HERE.glob("*.test.mjs")))
def test_unit(name: str) -> None:
    run_tests(_HERE / name)
