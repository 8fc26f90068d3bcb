"""Tests in Node: units of the package, and `WorkflowClient` against a running service."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resolvers.base.names import step_name
from scripts.project import ROOT, VENV_BIN, tool_environment
from tests.support.node import run_tests

if TYPE_CHECKING:
    from tests.clients.typescript.scripts import Scripts

HERE = Path(__file__).parent
SOURCES = ROOT / "clients/typescript/src"


@pytest.mark.parametrize("name", sorted(file.name for file in HERE.glob("node/*.test.mjs")))
def test_unit(name: str) -> None:
    run_tests(HERE / "node" / name)


def test_the_client_against_a_running_service(scripts: Scripts) -> None:
    server = scripts.server
    run_tests(
        HERE / "live" / "client.test.mjs", FLOWFLARE_URL=server.url, FLOWFLARE_API_KEY=server.key
    )


def test_stored_names_of_steps_are_those_of_the_service() -> None:
    rng = random.Random(5)
    characters = [*"a~ \n\0\x7f\x85\xa0\u3000\ufeff", "é", "\U0001f600", "\ud800", "\udc00"]
    lengths = (1, 2, 55, 56, 64, 247, 248, 256, 257)
    names = ["", "n" * 256, "n" * 257, "\U0001f600" * 256, "load\nrows"]
    names += ["".join(rng.choices(characters, k=length)) for length in lengths * 20]
    # Halves that meet are a pair in JavaScript.
    names = [json.loads(json.dumps(name)) for name in names]
    script = (
        f'import {{ storedName }} from "{SOURCES / "step-names.ts"}";\n'
        f"console.log(JSON.stringify({json.dumps(names)}.map(storedName)));"
    )
    done = subprocess.run(
        [VENV_BIN / "node", "--input-type=module", "--eval", script],
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [step_name(name) for name in names]
