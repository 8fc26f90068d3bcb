"""Tests that wrangler.jsonc is read as wrangler reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

COMPARE = """
import { readBindings, readConfig } from "./scripts/config.mjs";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
const { workerOptions } = unstable_getMiniflareWorkerOptions("wrangler.jsonc");
const ours = readBindings(readConfig(), {});
console.log("RESULT " + JSON.stringify({ ours, theirs: workerOptions }));
"""


@pytest.fixture(scope="module")
def both(prepared: None, run_node: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    output = run_node(COMPARE)
    result: dict[str, dict[str, Any]] = json.loads(output.split("RESULT ", 1)[1])
    return result


@pytest.mark.parametrize(
    "option",
    [
        "compatibilityDate",
        "compatibilityFlags",
        "cronTriggers",
        "d1Databases",
        "durableObjects",
        "workflows",
    ],
)
def test_an_option_equals_wranglers(both: dict[str, dict[str, Any]], option: str) -> None:
    assert both["ours"][option] == both["theirs"][option]


def test_assets_equal_wranglers(both: dict[str, dict[str, Any]]) -> None:
    ours, theirs = both["ours"]["assets"], both["theirs"]["assets"]
    for option in ("directory", "binding", "run_worker_first", "routerConfig"):
        assert ours[option] == theirs[option]


def test_vars_equal_wranglers(both: dict[str, dict[str, Any]]) -> None:
    theirs = both["theirs"]["bindings"]
    assert both["ours"]["bindings"].items() <= theirs.items()
    assert set(theirs) - set(both["ours"]["bindings"]) <= {"FLOWFLARE_API_KEY"}
