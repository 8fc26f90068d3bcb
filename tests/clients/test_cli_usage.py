"""Parsing: options, completion, help, and mistakes, without a service."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from flowflare.cli.app import app
from flowflare.cli.commands import COMMANDS, acting, reading
from flowflare.cli.errors import ExitCode
from tests.clients.command_line import COMMAND, CommandLine

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [name for name, _, _ in COMMANDS]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run without a service: nothing listens on port 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWFLARE_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("FLOWFLARE_API_KEY", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="flowflare")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'. See `flowflare --help`."),
        (["lst"], "No such command 'lst'. Did you mean 'list'? See `flowflare --help`."),
        (["get"], "Missing argument 'ID'. See `flowflare get --help`."),
        (["get", "a", "b"], "Got unexpected extra argument(s) (b)"),
        (["list", "--bogus"], "No such option: --bogus"),
        (["list", "--status", "done"], "'done' is not one of 'queued', 'running'"),
        (["list", "--since", "noon"], "'noon' is not an instant; write it as 2026-"),
        (["list", "--stalled-for", "5"], "'5' is not a duration; write it as 90s, 1h30m or 7d"),
        (["list", "--limit", "0"], "Input should be greater than or equal to 1"),
        (["list", "--ref", "order"], "'--ref' requires 2 arguments"),
        (
            ["list", "--ref", "order", "1", "--ref-id", "1"],
            "--ref cannot be combined with --ref-type",
        ),
        (["list", "--after", "a", "--before", "b"], "--after and --before cannot be combined"),
        (["watch", "--after", "12"], "--after must be a cursor of 16 digits, not '12'"),
        (["watch", "--type", "NOISE"], "'NOISE' is not one of"),
        (["start", "a", "--input", "{"], "it is not valid JSON"),
        (["start", "a", "--input", "@none"], "none cannot be read: No such file"),
        (["start", "a", "--timeout", "1s"], "--timeout needs --wait"),
        (
            ["start", "a", "--input", "-", "--metadata", "-"],
            "standard input is empty",
        ),
        (["token", "--scope", "ROOT"], "'ROOT' is not one of 'read', 'write', 'admin'"),
        (["open", "moon"], "'moon' is not one of 'graphiql', 'dashboard', 'docs'"),
        (["--url", "localhost", "open", "--print"], "must be an http(s) URL, not 'localhost'"),
    ],
)
def test_a_mistake_is_reported_in_one_line(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"flowflare {name}" in result.stdout
    for option in ("--url", "--api-key", "--json", "--no-color"):
        assert option in result.stdout


def test_without_a_command_the_help_is_shown() -> None:
    result = run()
    assert result.exit_code == 0
    for name in NAMES:
        assert re.search(rf"^│ {name} ", result.stdout, re.MULTILINE), name


def test_common_options_are_accepted_before_and_after_the_command() -> None:
    for arguments in (
        ["--url", "http://a.example", "--json", "open"],
        ["open", "--url", "http://a.example", "--json"],
        ["--url", "http://b.example", "open", "--url", "http://a.example", "--json"],
    ):
        result = run(*arguments)
        assert result.stdout == '{\n  "url": "http://a.example/graphql"\n}\n'


@pytest.mark.parametrize(
    ("page", "path"),
    [([], "/graphql"), (["graphiql"], "/graphql"), (["dashboard"], "/"), (["docs"], "/docs/")],
)
def test_open_prints_addresses(page: list[str], path: str) -> None:
    assert run("open", *page, "--print").stdout == f"http://127.0.0.1:1{path}\n"


def test_open_opens_the_address_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def launch(address: str) -> int:
        opened.append(address)
        return 0

    monkeypatch.setattr(typer, "launch", launch)
    assert run("open", "docs").exit_code == 0
    assert opened == ["http://127.0.0.1:1/docs/"]
    monkeypatch.setattr(typer, "launch", lambda _: 1)
    result = run("open")
    assert result.exit_code == ExitCode.FAILED
    assert "Open http://127.0.0.1:1/graphql yourself." in result.stderr


def test_a_service_that_is_not_running_is_reported_as_unreachable() -> None:
    result = run("list")
    assert result.exit_code == ExitCode.NO_ACCESS
    assert "cannot be reached" in result.stderr
    assert "Is it running at http://127.0.0.1:1?" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ['"\\ud800"', "[" * 500 + "]" * 500])
def test_an_input_that_cannot_be_sent_is_a_mistake(text: str) -> None:
    result = run("start", "send-invoice", "--input", text)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("Error: input.input")


def test_an_unexpected_failure_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("of\nall things")

    monkeypatch.setattr(acting, "ask", broken)
    result = run("pause", "a")
    assert result.exit_code == ExitCode.FAILED
    hint = "Set FLOWFLARE_DEBUG=1 for a traceback."
    assert result.stderr == f"Error: Unexpected RuntimeError: of all things. {hint}\n"
    monkeypatch.setenv("FLOWFLARE_DEBUG", "1")
    assert isinstance(run("pause", "a").exception, RuntimeError)


def test_an_argument_that_is_not_utf_8_is_refused() -> None:
    result = run("get", "\udcff")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == "Error: Arguments must be UTF-8.\n"


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">&-", ExitCode.OK, ""),
        (">/dev/full", ExitCode.FAILED, "Error: No space left on device.\n"),
        (">&- 2>&-", ExitCode.OK, ""),
    ],
)
def test_output_that_is_closed_or_full(
    shell: CommandLine, redirection: str, code: ExitCode, said: str
) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} open --json {redirection}"],
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "ask", interrupted)
    result = run("get", "a")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert result.output == ""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(None, tmp_path_factory.mktemp("shell"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flowflare st", {"start", "stats"}),
        ("flowflare list --status wait", {"WAITING", "WAITING_FOR_PAUSE"}),
        (
            "flowflare watch --type step_",
            {"STEP_STARTED", "STEP_COMPLETED", "STEP_FAILED", "STEP_CANCELLED"},
        ),
        ("flowflare token --scope ", {"READ", "WRITE", "ADMIN"}),
        ("flowflare open d", {"dashboard", "docs"}),
        ("flowflare list --not", {"--not-retrying"}),
    ],
)
def test_the_shell_completes(shell: CommandLine, line: str, expected: set[str]) -> None:
    words = line.split(" ")
    completed = shell(
        environment={
            "_FLOWFLARE_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
    )
    assert set(completed.out.split()) == expected


def test_the_completion_script_is_shown(shell: CommandLine) -> None:
    shown = shell("--show-completion", "bash")
    assert "_FLOWFLARE_COMPLETE=complete_bash" in shown.out


def test_a_command_without_a_request_imports_nothing_heavy(tmp_path: Path) -> None:
    shell = CommandLine(None, tmp_path)
    found = shell(
        *("open", "--print"), environment={"PYTHONPROFILEIMPORTTIME": "1", "PYTHONWARNINGS": None}
    )
    imported = {line.rpartition("|")[2].strip() for line in found.err.splitlines()}
    assert "typer" in imported
    assert not imported & {"gql", "httpx", "websockets", "graphql", "rich.console", "asyncio"}


def test_setup_is_imported_only_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    wizard = ModuleType("flowflare.setup")
    wizard.__spec__ = ModuleSpec("flowflare.setup", None)

    def setup(*, dry_run: Annotated[bool, typer.Option("--dry-run")] = False) -> None:
        """Set a project up."""
        typer.echo(f"dry run: {dry_run}")

    monkeypatch.setitem(sys.modules, "flowflare.setup", wizard)
    # Another command does not import it: it has no `setup` yet.
    assert run("open", "--print").exit_code == 0
    vars(wizard)["setup"] = setup
    assert run("setup", "--dry-run").stdout == "dry run: True\n"
    assert "Set a project up." in run("--help").stdout
