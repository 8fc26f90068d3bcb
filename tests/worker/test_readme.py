"""The README: its session prints what it says, and its examples run."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from graphql import parse, validate

from schema.build import core
from scripts import dev
from scripts.local_server import LocalServer
from scripts.project import ROOT, VENV_BIN, parse_jsonc, tool_environment, wrangler_config
from tests.support.markdown import Fence, fences, section
from tests.worker.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README_URL = "http://127.0.0.1:8787"
DEADLINE_S = 30
STATUS = "query ($id: String!) { instance(instanceId: $id) { status } }"
# Text that differs between runs.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DURATION = re.compile(r'("duration": ?)\d+')


@dataclass
class Command:
    """A block of the session with the output that the README shows for it."""

    script: str
    printed: str

    @property
    def only_reads(self) -> bool:
        """True if it changes nothing, so that it may be repeated until the output is as shown."""
        return "--get" in self.script


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """A server without instances, like the reader's: other pages use the same ids."""
    with LocalServer() as running:
        yield running


def session() -> list[Command]:
    """The session's commands in order."""
    commands: list[Command] = []
    for fence in readme("A session"):
        if fence.language == "sh":
            commands.append(Command(fence.text, ""))
        else:
            commands[-1].printed = fence.text
    return commands


def readme(title: str) -> list[Fence]:
    return fences(section((ROOT / "README.md").read_text(encoding="utf-8"), title))


def masked(text: str) -> str:
    return DURATION.sub(r"\g<1>0", INSTANT.sub("INSTANT", text)).strip()


class Shell:
    """A shell session in a folder with a `.dev.vars`."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        (folder / ".dev.vars").write_text(f"FLOWFLARE_API_KEY={server.key}\n")
        self._url = server.url
        self._folder = folder
        self._before: list[str] = []

    def paste(self, command: Command) -> str:
        """Run a block, after those without output (they define names); return its output."""
        script = command.script.replace(README_URL, self._url)
        if not command.printed:
            self._before.append(script)
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join([*self._before, script])],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        return done.stdout + done.stderr


def test_the_session_prints_what_the_readme_says(server: LocalServer, tmp_path: Path) -> None:
    shell = Shell(server, tmp_path)
    commands = session()
    assert len(commands) > 5
    deadline = time.monotonic() + DEADLINE_S
    for command in commands:
        printed = masked(shell.paste(command))
        while (
            printed != masked(command.printed)
            and command.only_reads
            and time.monotonic() < deadline
        ):
            time.sleep(0.1)
            printed = masked(shell.paste(command))
        assert printed == masked(command.printed), command.script


def test_a_plain_workflow_is_tracked_as_the_readme_shows(prepared: None, tmp_path: Path) -> None:
    code, binding, start, show, shown = (fence.text for fence in readme("How it works"))
    assert "flowflare" not in code.lower()
    billing, service = tmp_path / "billing", tmp_path / "service"
    for folder in (billing, service):
        folder.mkdir()
    (billing / "index.ts").write_text(code)
    added = parse_jsonc(f"{{ {binding} }}")
    theirs = {
        "name": "billing",
        "main": "index.ts",
        "compatibility_date": "2026-11-01",
        "workflows": [
            {name: value for name, value in workflow.items() if name != "script_name"}
            for workflow in added["workflows"]
        ],
    }
    (billing / "wrangler.jsonc").write_text(json.dumps(theirs))
    config = wrangler_config()
    config["workflows"] += added["workflows"]
    config["vars"]["WORKFLOWS"] |= added["vars"]["WORKFLOWS"]
    (service / "wrangler.jsonc").write_text(json.dumps(config))

    live = re.sub(r"^query", "subscription", show)
    assert live != show
    assert validate(core, parse(live)) == []
    with LocalServer(config=service, beside=[billing]) as server, Api(server) as api:
        started = api.data(start)["startWorkflow"]["instance"]
        assert started == {"status": "QUEUED", "following": "FOLLOWED"}
        found = api.until(
            show, lambda data: data["reference"]["latestInstance"]["status"] == "COMPLETED"
        )
    assert masked(json.dumps(found)) == masked(json.dumps(json.loads(shown)))


def run_example(server: LocalServer, language: str, command: list[str]) -> str:
    [example] = [f for f in readme("Use it from code") if f.language == language]
    environment = {**tool_environment(), "FLOWFLARE_API_KEY": server.key}
    done = subprocess.run(
        command,
        input=example.text.replace(README_URL, server.url),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def order(server: LocalServer, tmp_path: Path) -> str:
    """The completed instance of the session, which the examples use."""
    shell = Shell(server, tmp_path)
    for command in session()[:2]:
        shell.paste(command)
    order = "order-1001"
    with Api(server) as api:
        api.until(STATUS, lambda data: data["instance"]["status"] == "COMPLETED", id=order)
    return order


def test_the_python_example_runs(server: LocalServer, order: str) -> None:
    printed = run_example(server, "python", [str(VENV_BIN / "python"), "-"])
    assert f"{order} COMPLETED\n" in printed


def test_the_javascript_example_runs(server: LocalServer, order: str) -> None:
    node = [str(VENV_BIN / "node"), "--input-type=module", "-"]
    printed = run_example(server, "js", node)
    assert "__typename: 'InstancePayload'" in printed
    assert f"instanceId: '{order}'" in printed


def test_the_ready_lines_are_those_of_the_development_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dev.vars").write_text("FLOWFLARE_API_KEY=secret\n")
    monkeypatch.setattr(dev, "DEV_VARS", tmp_path / ".dev.vars")
    [_, ready] = readme("Run it")
    assert ready.text == f"{dev.key_place()}\nFlowflare is ready: {README_URL}\n"
