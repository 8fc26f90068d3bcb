"""docs/cli.md is true: it names what there is, and its examples run."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from flowflare.cli.app import app
from flowflare.cli.commands import COMMANDS
from flowflare.cli.errors import ExitCode
from scripts.project import ROOT
from tests.clients.command_line import COMMAND, CommandLine
from tests.support.markdown import code, fences, rows, section

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import StartServer

TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
EXAMPLE_DEADLINE_S = 60
# Parts of the output that differ from run to run.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC +(now|\d+s ago)"), "INSTANT"),
    (re.compile(r"\b(now|\d+s ago)\b"), "AGO"),
    (re.compile(r"\b\d+(\.\d)?m?s\b"), "SPAN"),
    (re.compile(r"[█┄━]+"), "BAR"),
    (re.compile(r" +"), " "),
    (re.compile(r" (?=\n)"), ""),
)


def headings(title: str) -> list[str]:
    return re.findall(r"^### (.+)$", section(TEXT, title), re.MULTILINE)


def test_every_command_has_its_heading() -> None:
    names = {name for name, *_ in COMMANDS}
    assert set(headings("Commands")) == names | {"setup"}


def test_every_exit_code_has_its_heading() -> None:
    assert headings("Exit codes") == [str(code.value) for code in ExitCode]


def options_of(name: str) -> set[str]:
    """The options in the table of a command."""
    return {
        option
        for row in rows(section(TEXT, name))
        for text in code(row[0])
        for option in re.findall(r"--?[a-z-]+", text)
    }


def test_the_tables_name_options_of_commands_that_have_some() -> None:
    named = {name for name, *_ in COMMANDS if options_of(name)}
    assert named == {"start", "follow", "list", "watch", "token"}


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS if options_of(name)])
def test_the_options_in_a_commands_table_exist(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
    for option in options_of(name):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", shown), option


@pytest.mark.parametrize("name", ["start", "watch", "list", "token"])
def test_the_tables_leave_no_option_out(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined] # private base
    own = {
        parameter.opts[0]
        for parameter in command.params
        if getattr(parameter, "rich_help_panel", None) != "Common options"
        and parameter.opts[0].startswith("--")
    }
    text = section(TEXT, name)
    assert {option for option in own if f"`{option}" not in text} == set()


def masked(text: str) -> str:
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text.strip()


@pytest.mark.timeout(300)  # some forty processes one after the other
def test_the_examples_run(start_server: StartServer, tmp_path: Path) -> None:
    """In their order, in one folder, as if pasted; what they print is what the page says."""
    server = start_server(beside=[ROOT / "examples" / "user_onboarding"])
    flow = CommandLine(server, tmp_path)
    (tmp_path / ".dev.vars").write_text(f"FLOWFLARE_API_KEY={server.key}\n")
    script = tmp_path / "bin" / "flowflare"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    environment = flow.with_changes(
        {"FLOWFLARE_API_KEY": None, "PATH": f"{script.parent}:{os.environ['PATH']}"}
    )
    printed = ""
    ran = 0
    for fence in fences(TEXT):
        if fence.language == "sh":
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", fence.text],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=EXAMPLE_DEADLINE_S,
            )
            assert done.returncode == 0, (fence.text, done.stdout)
            printed = done.stdout
            ran += 1
        elif ran:
            assert masked(printed) == masked(fence.text), printed
    assert ran > 15
