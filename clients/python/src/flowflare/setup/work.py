"""What is to be done, shown before and done after: files to write and programs to call."""

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
    """A call of wrangler: how it is typed, and what does it and says what it did, if anything."""

    shown: str
    act: Callable[[], str | None]


@dataclass(slots=True)
class Work:
    """Everything of one run, in its order: calls before, files, calls after."""

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
        """Whether there is nothing to write and nothing to call."""
        return not (self.before or self.after or any(t.plan.edits for t in self.targets))

    def do(self) -> None:
        """Do it, and say what was done. Raises CliError at the first failure."""
        changed = self._call(self.before)
        for target in self.targets:
            if not target.plan.edits:
                continue
            project.write(target.after)
            changed = True
            for said in target.plan.says:
                typer.echo(f"{target.file.path.name}: added {said}")
        changed = self._call(self.after) or changed
        if not changed:
            say_nothing_changed()

    def say_next(self) -> None:
        """Print what is left to do."""
        if self.next_steps:
            typer.echo("Next:")
        for text in self.next_steps:
            for line in text.splitlines():
                typer.echo(f"  {line}")

    @staticmethod
    def _call(calls: list[Call]) -> bool:
        said = False
        for call in calls:
            # At once: if the next one fails, what was done is known.
            if text := call.act():
                typer.echo(text)
                said = True
        return said


def say_nothing_changed() -> None:
    """Print that there was nothing to do."""
    typer.echo("Everything is set up already; nothing was changed.")
