"""The package's quick start is true: its Worker, copied word for word, does what it says."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT, VENV_BIN, tool_environment
from tests.support.markdown import Fence, fences, section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = (ROOT / "clients/typescript/README.md").read_text(encoding="utf-8")
QUICK_START = section(README, "Quick start")
WORKER = "invoices"
DEADLINE_S = 30


def fence(language: str) -> Fence:
    [found] = [found for found in fences(QUICK_START) if found.language == language]
    return found


@pytest.fixture(scope="module")
def worker(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """The quick start's files in an empty folder, beside the service."""
    folder = tmp_path_factory.mktemp(WORKER)
    for name, language in (("wrangler.jsonc", "jsonc"), ("src/index.ts", "ts")):
        assert f"`{name}`:\n\n```{language}\n{fence(language).text}" in QUICK_START
        path: Path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(fence(language).text, encoding="utf-8")
    with LocalServer(beside=[folder]) as server:
        yield server


def test_the_quick_start_starts_a_workflow_and_shows_it(worker: LocalServer) -> None:
    start, look = fence("sh").text.splitlines()
    host = "https://invoices.example.workers.dev"
    posted = re.fullmatch(rf"curl -d '(.+)' {host}(/\S+)", start)
    asked = re.fullmatch(rf"curl {host}(/\S+)", look)
    assert posted
    assert asked
    reply = worker.fetch(WORKER, posted[2], method="POST", body=posted[1])
    started = reply.json()
    assert (started["success"], started["ref_id"], started["ref_type"]) == (True, "1001", "order")
    deadline = time.monotonic() + DEADLINE_S
    while (found := worker.fetch(WORKER, asked[1]).json())["status"] != "Completed":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found["id"] == started["workflowId"]
    shown = json.loads(fence("json").text)
    shown["id"] = found["id"]
    assert_shown(shown, found)
    [failed, _] = found["steps"][1]["attempts"]
    assert failed["error"]["message"] == "the mail server did not answer"


def test_the_examples_fit_the_types(tmp_path: Path) -> None:
    """With Cloudflare's own types, strictly; `Env` is the developer's, not the package's."""
    (tmp_path / "index.ts").write_text(fence("ts").text, encoding="utf-8")
    tracking = section((ROOT / "docs/tracking.md").read_text(encoding="utf-8"), "trackWorkflow")
    [workflow] = [found.text for found in fences(tracking) if found.language == "ts"]
    declared = "interface Env { FLOWFLARE: Fetcher }\ninterface Invoice { amount: number }\n"
    imported = (
        'import { WorkflowEntrypoint } from "cloudflare:workers";\n'
        'import type { WorkflowEvent, WorkflowStep } from "cloudflare:workers";\n'
    )
    (tmp_path / "tracking.ts").write_text(imported + declared + workflow, encoding="utf-8")
    types = str(ROOT / "node_modules/@cloudflare/workers-types")
    config = {
        "extends": str(ROOT / "tests/clients/typescript/tsconfig.json"),
        "compilerOptions": {"types": [types]},
        "include": ["*.ts"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")
    tsc = ROOT / "node_modules/typescript/bin/tsc"
    command = [str(VENV_BIN / "node"), str(tsc), "-p", str(tmp_path)]
    done = subprocess.run(
        command, env=tool_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def assert_shown(shown: Any, found: Any) -> None:
    """Fail unless the result has all that the README shows. The README may omit members."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_shown(value, found[name])
    elif isinstance(shown, list):
        assert len(shown) == len(found)
        for one, other in zip(shown, found, strict=True):
            assert_shown(one, other)
    else:
        assert shown == found
