"""The session of a command: the common options, the resulting settings, and the output."""

from __future__ import annotations

import inspect
import os
import sys
from contextlib import suppress
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from flowflare.cli.errors import ExitCode
from flowflare.cli.options import OptionGroup
from flowflare.cli.settings import Options, Settings, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowflare.cli.render.output import Output

P = ParamSpec("P")
_PANEL = "Common options"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Address of the service. Default: FLOWFLARE_URL, else http://127.0.0.1:8787.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        help="Key or token. Default: FLOWFLARE_API_KEY, also from .dev.vars for a local service.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.", rich_help_panel=_PANEL)]
NoColor = Annotated[
    bool,
    typer.Option(
        "--no-color", help="Print without colours, as with NO_COLOR=1.", rich_help_panel=_PANEL
    ),
]

_COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("url", None, Url),
        ("api_key", None, ApiKey),
        ("json", False, AsJson),
        ("no_color", False, NoColor),
    )
]


class Session:
    """One run of a command."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def output(self) -> Output:
        """The writer of results."""
        from flowflare.cli.render.output import Output  # noqa: PLC0415 - imports Rich

        return Output(as_json=self.settings.json, color=self.settings.color)

    def note(self, text: str) -> None:
        """Print a remark on standard error; none in JSON mode."""
        if self.settings.json:
            return
        from flowflare.cli.render.output import note  # noqa: PLC0415 - imports Rich

        note(text, color=self.settings.color)


def with_session(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """The function as a Typer command, with the common options in place of the session.

    The options may be given before or after the command's name; the later one counts.
    """
    own, groups = _expanded(function)
    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [
        context,
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *_COMMON,
    ]

    def run(context: typer.Context, **values: Any) -> None:
        given = Options(**{parameter.name: values.pop(parameter.name) for parameter in _COMMON})
        earlier = context.find_root().obj
        options = given.over(earlier) if isinstance(earlier, Options) else given
        for name, group in groups.items():
            values[name] = group(
                **{member.name: values.pop(member.name) for member in fields(group)}
            )
        call: Callable[..., None] = function
        try:
            call(Session(resolve(options)), **values)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of the pipe has ended, as `head` does.
            drop_output()
            raise typer.Exit(ExitCode.BROKEN_PIPE) from None

    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # PEP 362
    return run


def drop_output() -> None:
    """Discard buffered output, which the interpreter would otherwise fail to write at its end."""
    with suppress(OSError, ValueError):  # a test's stream has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _expanded(
    function: Callable[..., None],
) -> tuple[list[inspect.Parameter], dict[str, type[Any]]]:
    """A function's parameters after the session, with each group of options expanded."""
    parameters = []
    groups: dict[str, type[Any]] = {}
    for parameter in list(inspect.signature(function, eval_str=True).parameters.values())[1:]:
        kind = parameter.annotation
        if not (isinstance(kind, type) and issubclass(kind, OptionGroup)):
            parameters.append(parameter)
            continue
        groups[parameter.name] = kind
        parameters += inspect.signature(kind, eval_str=True).parameters.values()
    return parameters, groups
