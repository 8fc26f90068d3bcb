"""Questions to a person at a terminal; without a terminal, a missing answer is an error."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from flowflare.cli.errors import UsageMistake


class Asker:
    """Asks on a terminal. Without one, or with --yes, a missing answer raises UsageMistake."""

    def __init__(self, *, assume_yes: bool) -> None:
        self.interactive = not assume_yes and sys.stdin.isatty() and sys.stdout.isatty()
        self._assume_yes = assume_yes

    def choose(
        self, question: str, options: Sequence[str], *, default: int, missing: UsageMistake
    ) -> int:
        """Let the user choose from a numbered list and return the index of the choice."""
        if not self.interactive:
            raise missing
        typer.echo(question)
        for number, option in enumerate(options, 1):
            typer.echo(f"  {number}  {option}")
        while True:
            answer: int = typer.prompt("Which", default=default + 1, type=int)
            if 1 <= answer <= len(options):
                return answer - 1
            typer.echo(f"Enter a number from 1 to {len(options)}.")

    def text(self, question: str, *, default: str | None = None) -> str:
        """Ask for a word; without a terminal, return the default."""
        if not self.interactive and default is not None:
            return default
        answer: str = typer.prompt(question, default=default)
        return answer.strip()

    def secret(self, question: str, *, missing: UsageMistake) -> str:
        """Ask for a text that is not shown."""
        if not self.interactive:
            raise missing
        answer: str = typer.prompt(question, hide_input=True)
        return answer.strip()

    def may_apply(self) -> bool:
        """Ask for confirmation; True to go on."""
        if self._assume_yes:
            return True
        if not self.interactive:
            raise UsageMistake(
                "There is no terminal to ask for confirmation",
                hint="Add --yes, or --dry-run to see what would be done.",
            )
        return typer.confirm("Do this", default=True)
