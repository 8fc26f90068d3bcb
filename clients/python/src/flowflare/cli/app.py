"""The application: its commands, and the exit after a failure."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from flowflare.cli.commands import COMMANDS, SERVING
from flowflare.cli.errors import ExitCode, UsageMistake, one_line
from flowflare.cli.session import ApiKey, AsJson, NoColor, Url, drop_output, with_session
from flowflare.cli.settings import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

SETUP = "setup"


class Commands(TyperGroup):
    """All commands. A failure is one line on standard error and an exit code."""

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override] # Typer's base class is private
        """A command by its name; `setup` is imported only when it is used."""
        if cmd_name == SETUP and cmd_name not in self.commands and _has_setup():
            alone = typer.Typer(add_completion=False)
            alone.command(SETUP, rich_help_panel=SERVING)(import_module("flowflare.setup").setup)
            self.add_command(typer.main.get_command(alone), SETUP)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override] # see get_command
        """The names, in the order of the help."""
        names = super().list_commands(ctx)
        return [*names, SETUP] if SETUP not in names and _has_setup() else names

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code."""
        _open_closed_streams()
        try:
            _refuse_invalid_unicode(sys.argv[1:] if args is None else args)
            # Not standalone, because Typer would print failures in frames of its own.
            result = super().main(
                args, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except typer.TyperException as error:
            _fail(one_line(error), error.exit_code)
        except (typer.Abort, KeyboardInterrupt):
            sys.exit(ExitCode.INTERRUPTED)
        except OSError as error:
            drop_output()
            _fail(f"{error.strerror or error}.", ExitCode.FAILED)
        except Exception as error:
            if os.environ.get("FLOWFLARE_DEBUG"):
                raise
            hint = "Set FLOWFLARE_DEBUG=1 for a traceback."
            _fail(f"Unexpected {type(error).__name__}: {' '.join(str(error).split())}. {hint}", 1)
        sys.exit(result or 0)


def _open_closed_streams() -> None:
    """Discard the output if a shell has started the program without any (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8", closefd=False))


def _refuse_invalid_unicode(arguments: Sequence[str]) -> None:
    if any(not argument.isascii() and _has_surrogates(argument) for argument in arguments):
        raise UsageMistake("Arguments must be UTF-8")


def _has_surrogates(text: str) -> bool:
    # Python decodes invalid bytes of an argument to these.
    return any("\ud800" <= character <= "\udfff" for character in text)


def _has_setup() -> bool:
    return find_spec("flowflare.setup") is not None


def _fail(message: str, exit_code: int) -> NoReturn:
    # Standard error may be closed too.
    with suppress(OSError):
        typer.secho("Error:", fg="red", bold=True, err=True, nl=False, color=_color())
        typer.echo(f" {message}", err=True)
    sys.exit(exit_code)


def _color() -> bool | None:
    """False if colours are turned off; None lets the terminal decide."""
    return False if os.environ.get("NO_COLOR") or "--no-color" in sys.argv else None


app = typer.Typer(
    name="flowflare",
    cls=Commands,
    help="Start, watch and control the workflows that Flowflare tracks.",
    epilog="Every command has --help. Examples and exit codes are in docs/cli.md.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - rarely needed

    try:
        typer.echo(f"flowflare {version('flowflare')}")
    except PackageNotFoundError:
        typer.echo("flowflare (not installed as a package)")
    raise typer.Exit


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    *,
    url: Url = None,
    api_key: ApiKey = None,
    json: AsJson = False,
    no_color: NoColor = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Keep the options given before the command's name."""
    context.obj = Options(url=url, api_key=api_key, json=json, no_color=no_color)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for name, function, panel in COMMANDS:
    app.command(name, rich_help_panel=panel)(with_session(function))
