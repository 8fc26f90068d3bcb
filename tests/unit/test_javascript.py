"""Modules of the Worker that run in Node as well."""

import subprocess
from pathlib import Path

import pytest

from scripts.project import VENV_BIN, tool_environment

_HERE = Path(__file__).parent / "javascript"
_DEADLINE_S = 60


@pytest.mark.parametrize("name", sorted(file.name for file in _HERE.glob("*.test.mjs")))
def test_unit(name: str) -> None:
    done = subprocess.run(
        [VENV_BIN / "node", "--test", "--test-reporter=spec", _HERE / name],
        env=tool_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
