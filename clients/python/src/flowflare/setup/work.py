"""The work of a run: files to write and calls to make, shown first and then done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from flowflare.setup import project

if TYPE_CHECKING:
    from flowflare.setup.plan import Plan
    from flowflare.setup.project import ConfigFile


@dataclass(slots=True)
class Target:
    """A file and the plan for it."""

    file: ConfigFile
    plan: Plan

    @property
    def after(self) -> ConfigFile:
        """The file with the plan's edits."""
        return self.file.edited(self.plan.edits)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of wrangler: its command line, and a function that makes it and returns a report."""

    shown: str
    act: Callable[[], str | None]


@dataclass(slots=True)
class Work:
    """The work of one run, in order: calls before, files, calls after."""

    targets: list[Target] = field(default_factory=list)
    before: list[Call] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    def show(self) -> None:
        """Print the differences and the calls."""
        for target in self.targets:
            if difference := target.file.diff(target.after):
                typer.echo(difference)
        calls = [*self.before, *self.after]
        if calls:
            typer.echo("Calls:")
            for call in calls:
                typer.echo(f"  {call.shown}")

    @property
    def is_nothing(self) -> bool:
        """True if there is nothing to write and nothing to call."""
        return not (self.before or self.after or any(t.plan.edits for t in self.targets))

    def do(self) -> None:
        """Do the work and print what was done. Raises CliError at the first failure."""
        changed = self._call(self.before)
        for target in self.targets:
            if not target.plan.edits:
                continue
            project.write(target.after)
            changed = True
            for description in target.plan.descriptions:
                typer.echo(f"{target.file.path.name}: added {description}")
        changed = self._call(self.after) or changed
        if not changed:
            say_nothing_changed()

    def say_next(self) -> None:
        """Print the next steps."""
        if self.next_steps:
            typer.echo("Next:")
        for text in self.next_steps:
            for line in text.splitlines():
                typer.echo(f"  {line}")

    @staticmethod
    def _call(calls: list[Call]) -> bool:
        has_reported = False
        for call in calls:
            # Printed at once, so that it is known even if the next call fails.
            if text := call.act():
                typer.echo(text)
                has_reported = True
        return has_reported


def say_nothing_changed() -> None:
    """Print that there was nothing to do."""
    typer.echo("Everything is set up already; nothing was changed.")
