"""Bars over a common time axis, and sparklines, as plain arithmetic on cells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta


class Cell(Enum):
    """One column of a bar: its character, the one for ASCII terminals, and its style."""

    EMPTY = (" ", " ", "")
    WAIT = ("┄", ".", "yellow")
    SLEEP = ("━", "-", "blue")
    DONE = ("█", "#", "green")
    RUNNING = ("▒", "=", "cyan")
    FAILED = ("█", "x", "red")
    CANCELLED = ("▒", "~", "magenta")

    @property
    def style(self) -> str:
        """The Rich style of the column."""
        return self.value[2]

    def character(self, *, ascii_only: bool) -> str:
        """The column's character."""
        return self.value[1] if ascii_only else self.value[0]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a bar, of at least one cell."""

    start: datetime
    end: datetime
    cell: Cell


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that the bars of a table cover."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """The length of the axis."""
        return self.end - self.start

    def position(self, instant: datetime, width: int) -> int:
        """The cell of an instant, from 0; the first or last cell for instants outside the axis."""
        if self.end <= self.start:
            return 0
        share = (instant - self.start) / self.length
        return min(max(int(share * width), 0), width - 1)

    def bar(self, stretches: Iterable[Stretch], width: int) -> list[Cell]:
        """The cells of one bar; later stretches are drawn over earlier ones."""
        cells = [Cell.EMPTY] * width
        for stretch in stretches:
            first = self.position(stretch.start, width)
            # An end at the border of two cells leaves the second one free.
            share = (stretch.end - self.start) / self.length * width if self.length else 1
            last = max(first, min(int(share) - (share == int(share)), width - 1))
            cells[first : last + 1] = [stretch.cell] * (last + 1 - first)
        return cells


_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.:-=+*#"


def sparkline(values: Sequence[int], *, ascii_only: bool = False) -> str:
    """One character for each value, by its share of the greatest; a blank for zero."""
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    greatest = max(values, default=0)
    return "".join(
        levels[min((value * len(levels) - 1) // greatest, len(levels) - 1)] if value > 0 else " "
        for value in values
    )
