"""Where a command writes: tables for people, tab-separated lines for pipes, JSON for programs."""

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
    "UNKNOWN": "dim",
}


def console_for(stream: TextIO, *, color: bool) -> Console:
    """A console that prints what it is given as it is: no markup, no guessed highlights."""
    from rich.console import Console  # noqa: PLC0415 - only people need it

    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        color_system="auto" if color else None,
    )


class Output:
    """Standard output, in the form that fits who reads it."""

    def __init__(self, *, as_json: bool, color: bool) -> None:
        self.as_json = as_json
        self._color = color

    @cached_property
    def console(self) -> Console:
        """Rich's console on standard output."""
        return console_for(sys.stdout, color=self._color)

    @property
    def for_people(self) -> bool:
        """Whether a terminal shows it; FORCE_COLOR says so too, for `less -R`."""
        forced = bool(os.environ.get("FORCE_COLOR"))
        return (forced or sys.stdout.isatty()) and not self.as_json

    @property
    def ascii_only(self) -> bool:
        """Whether the stream takes nothing beyond ASCII."""
        return not (sys.stdout.encoding or "").lower().startswith("utf")

    def document(self, value: Any, *, indent: int | None = 2) -> None:
        """Write one JSON document; without indent it is one line."""
        text = json.dumps(value, ensure_ascii=self.ascii_only, indent=indent)
        # A lone surrogate is legal in JSON, and only there: it goes out as it came, as \\udxxx.
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
        """Print something of Rich's; where no terminal shows it, lines are not folded."""
        from rich.text import Text  # noqa: PLC0415 - only people need it

        for renderable in renderables:
            self.console.print(renderable, soft_wrap=isinstance(renderable, Text))
        self.console.file.flush()


def note(text: str, *, color: bool, style: str = "dim") -> None:
    """A remark for people, on standard error: standard output holds results only."""
    from rich.text import Text  # noqa: PLC0415 - only people need it

    console_for(sys.stderr, color=color).print(Text(plain(text), style=style), soft_wrap=True)


def status_text(status: str) -> Text:
    """A status in its colour."""
    from rich.text import Text  # noqa: PLC0415 - only people need it

    return Text(status, style=STATUS_STYLES.get(status, ""))
