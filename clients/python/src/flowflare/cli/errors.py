"""Failures of a command, with their exit codes.

CliError                 1  refused or failed
├── UsageMistake         2  the command line is wrong
├── Missing              3  there is no such instance or run
├── Unreachable          4  the service does not answer
├── Denied               4  no valid key, or one that does not allow this
└── TimeIsUp             5  the instance has not finished in time
"""

from __future__ import annotations

from enum import IntEnum

import typer


class ExitCode(IntEnum):
    """Exit codes; each has its heading in docs/cli.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_ACCESS = 4
    TIME_IS_UP = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CliError(typer.TyperException):
    """A failure, printed in one line: the message names the fault, `hint` what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageMistake(CliError):
    """Options that exclude each other, a value that is refused, or an id without its workflow."""

    exit_code = ExitCode.USAGE


class Missing(CliError):
    """The instance or the run is not tracked, or the token does not show it."""

    exit_code = ExitCode.NOT_FOUND


class Unreachable(CliError):
    """The service does not answer, or the answer is not Flowflare's."""

    exit_code = ExitCode.NO_ACCESS


class Denied(CliError):
    """The key is missing, not valid, or does not allow this."""

    exit_code = ExitCode.NO_ACCESS


class TimeIsUp(CliError):
    """The instance has not finished within `--timeout`."""

    exit_code = ExitCode.TIME_IS_UP


def one_line(error: typer.TyperException) -> str:
    """The message of a failure in one line, with its hint at the end."""
    # Typer passes pydantic's prefix on.
    message = error.format_message().replace("Value error, ", "").rstrip(". ")
    hint = error.hint if isinstance(error, CliError) else _help_of(error)
    end = "" if message.endswith(("?", "!")) else "."
    return " ".join(f"{message}{end} {hint}".split())


def _help_of(error: typer.TyperException) -> str:
    """A hint at the help, for a mistake that Typer has found."""
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path} --help`." if context is not None else ""
