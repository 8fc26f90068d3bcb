"""Values that the Python package reports have the forms of the one table that the service and the
TypeScript package are held to (tests/support/value_forms.mjs)."""

from __future__ import annotations

import array
import json
import math
import re
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from flowflare.recording import (
    BIGINT_BITS,
    PREVIEW_CHARACTERS,
    WRITTEN_CHARACTERS,
    WRITTEN_LEVELS,
    recorded,
)
from resolvers.base import limits
from scripts.project import ROOT
from tests.support.value_forms import CASES, Case


def cycle(value: Any) -> Any:
    """A list or an object that contains itself."""
    if isinstance(value, list):
        value.append(value)
    else:
        value["b"] = [value]
    return value


def chain(levels: int) -> Any:
    """An object of so many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


NAMES = {
    "UTC": UTC,
    "Decimal": Decimal,
    "array": array,
    "chain": chain,
    "cycle": cycle,
    "date": date,
    "datetime": datetime,
    "json": json,
    "math": math,
    "re": re,
    "timedelta": timedelta,
}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["python"] is not None], ids=lambda case: case["name"]
)
def test_a_value_is_reported_in_its_form(case: Case) -> None:
    value = eval(case["python"], dict(NAMES))
    found = recorded(value)
    assert found.kind == case["kind"]
    form = case.get("pythonForm", case.get("form", value))
    recorded_form = json.loads(found.text)
    if case["kind"] == "TRUNCATED":
        preview = recorded_form["preview"]
        assert len(preview) == min(form["bytes"], PREVIEW_CHARACTERS)
        recorded_form["preview"] = preview[: len(form["preview"])]
    assert recorded_form == form
    found.text.encode()


def endless() -> dict[str, Any]:
    """Values whose text would be endless, or takes long."""
    doubled: list[Any] = []
    for _ in range(100):
        doubled = [doubled, doubled]
    nested: Any = 1
    for _ in range(1_000_000):
        nested = [nested]
    return {
        "doubled": doubled,
        "nested": nested,
        "long": ["x" * 1_000_000] * 100_000,
        "wide": [0] * 20_000_000,
        "opaque": [object() for _ in range(100_000)],
    }


def test_a_value_that_is_endless_in_json_takes_a_bounded_time() -> None:
    for name, value in endless().items():
        started = time.monotonic()
        assert recorded(value).kind == "TRUNCATED", name
        assert time.monotonic() - started < 20, name


def test_the_packages_know_the_limits_of_the_service() -> None:
    source = (ROOT / "clients/typescript/src/json.ts").read_text(encoding="utf-8")
    named = dict(re.findall(r"^(?:export )?const ([A-Z_]+) = ([\d_]+);$", source, re.MULTILINE))
    expected = {
        "MAX_JSON_BYTES": limits.MAX_JSON_BYTES,
        "MAX_JSON_DEPTH": limits.MAX_JSON_DEPTH,
        "PREVIEW_CHARACTERS": limits.PREVIEW_CHARACTERS,
        "WRITTEN_CHARACTERS": limits.MAX_WRITTEN_CHARACTERS,
        "WRITTEN_LEVELS": limits.MAX_WRITTEN_LEVELS,
        "BIGINT_BITS": limits.MAX_BIGINT_BITS,
    }
    assert {name: int(named[name]) for name in expected} == expected
    in_python = (PREVIEW_CHARACTERS, WRITTEN_CHARACTERS, WRITTEN_LEVELS, BIGINT_BITS)
    assert in_python == tuple(expected.values())[2:]
