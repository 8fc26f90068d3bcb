"""Output of commands: tables for people, tab-separated lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from flowflare.cli.render.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType
    from rich.text import Text

STATUS_STYLES = {
    "QUEUED": "yellow",
    "RUNNING": "cyan",
    "SLEEPING": "blue",
    "WAITING": "blue",
    "WAITING_FOR_PAUSE": "yellow",
    "PAUSED": "yellow",
    "PENDING": "dim",
    "RETRYING": "yellow",
    "COMPLETED": "green",
    "ERRORED": "red",
    "FAILED": "red",
    "TERMINATED": "magenta",
    "CANCELLED": "magenta",
    "UNKNOWN": "dim",
}


def console_for(stream: TextIO, *, color: bool) -> Console:
    """A console that prints text unchanged, without markup and highlighting."""
    from rich.console import Console  # noqa: PLC0415 - only people need it

    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        color_system="auto" if color else None,
    )


class Output:
    """Standard output, in the form for a terminal, a pipe or a program."""

    def __init__(self, *, as_json: bool, color: bool) -> None:
        self.as_json = as_json
        self._color = color

    @cached_property
    def console(self) -> Console:
        """Rich's console on standard output."""
        return console_for(sys.stdout, color=self._color)

    @property
    def for_people(self) -> bool:
        """True if a terminal shows the output, or with FORCE_COLOR, which `less -R` needs."""
        forced = bool(os.environ.get("FORCE_COLOR"))
        return (forced or sys.stdout.isatty()) and not self.as_json

    @property
    def ascii_only(self) -> bool:
        """True if the stream is limited to ASCII."""
        return not (sys.stdout.encoding or "").lower().startswith("utf")

    def document(self, value: Any, *, indent: int | None = 2) -> None:
        """Write one JSON document; without indent it is one line."""
        text = json.dumps(value, ensure_ascii=self.ascii_only, indent=indent)
        # A lone surrogate is valid in JSON as an escape only, so it is written as \\udxxx.
        safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
        sys.stdout.write(f"{safe}\n")
        sys.stdout.flush()

    def rows(self, rows: Iterable[Sequence[str]]) -> None:
        """Write tab-separated lines; tabs and line ends in the cells become blanks."""
        for row in rows:
            self.line("\t".join(plain(cell) for cell in row))

    def line(self, text: str) -> None:
        """Write one line of plain text at once."""
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()

    def show(self, *renderables: RenderableType) -> None:
        """Print Rich's renderables; lines of text are not wrapped."""
        from rich.text import Text  # noqa: PLC0415 - only people need it

        for renderable in renderables:
            self.console.print(renderable, soft_wrap=isinstance(renderable, Text))
        self.console.file.flush()


def note(text: str, *, color: bool, style: str = "dim") -> None:
    """Print a remark on standard error, because standard output is for results only."""
    from rich.text import Text  # noqa: PLC0415 - only people need it

    console_for(sys.stderr, color=color).print(Text(plain(text), style=style), soft_wrap=True)


def status_text(status: str) -> Text:
    """A status in its colour."""
    from rich.text import Text  # noqa: PLC0415 - only people need it

    return Text(status, style=STATUS_STYLES.get(status, ""))
