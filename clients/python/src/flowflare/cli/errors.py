"""How a command ends when it cannot do what was asked.

CliError                 1  refused or failed
├── UsageMistake         2  the command line is wrong
├── Missing              3  no such instance
├── Unreachable          4  the service does not answer
├── Denied               4  no valid key, or one that does not allow it
└── TimeIsUp             5  not finished in time
"""

from __future__ import annotations

from enum import IntEnum

import typer


class ExitCode(IntEnum):
    """What a command ends with; each has its heading in docs/cli.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_ACCESS = 4
    TIME_IS_UP = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CliError(typer.TyperException):
    """A failure that is told in one line: what is wrong, and in `hint` what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageMistake(CliError):
    """Options that do not go together, or a setting that makes no sense."""

    exit_code = ExitCode.USAGE


class Missing(CliError):
    """What was asked for is not tracked, or the token does not show it."""

    exit_code = ExitCode.NOT_FOUND


class Unreachable(CliError):
    """The service does not answer, or something else answers in its place."""

    exit_code = ExitCode.NO_ACCESS


class Denied(CliError):
    """The key is missing, not valid, or does not allow what was asked."""

    exit_code = ExitCode.NO_ACCESS


class TimeIsUp(CliError):
    """`--timeout` passed before the instance had finished."""

    exit_code = ExitCode.TIME_IS_UP


def one_line(error: typer.TyperException) -> str:
    """The message of a failure as it is printed: one line, with what to do at its end."""
    # The prefix is pydantic's, which Typer lets through.
    message = error.format_message().replace("Value error, ", "").rstrip(". ")
    hint = error.hint if isinstance(error, CliError) else _help_of(error)
    end = "" if message.endswith(("?", "!")) else "."
    return " ".join(f"{message}{end} {hint}".split())


def _help_of(error: typer.TyperException) -> str:
    """Where to read on after a mistake that Typer found."""
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path} --help`." if context is not None else ""
