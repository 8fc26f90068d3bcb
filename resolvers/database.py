"""The port to the database: statements go out in one batch, outcomes come back.

Two things stand behind it: D1 through `effects.py` or a binding, and in the tests real
SQLite with D1's documented limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = str | int | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement. Parameters are numbered (`?1`), each used at least once.

    `opaque` text is only ever put into a response: it may stay where it is, outside Python.
    """

    sql: str
    parameters: tuple[Value, ...] = ()
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one statement of a batch did.

    `text` is the first column of the first row, None where there is no row; of an opaque
    statement it is a handle. `changes` is how many rows the statement itself wrote.
    """

    text: Any
    changes: int


class DatabaseError(Exception):
    """The batch failed and was rolled back; the message is SQLite's or D1's."""


class Database(Protocol):
    """A database that runs batches."""

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run all statements as one transaction and in one round trip.

        With `final` nothing but the response follows, and all it needs of the outcomes are
        opaque texts: it may be composed before the batch has run. There a SELECT without a
        row is a failure too, if one that rolls nothing back.

        Raises DatabaseError when one fails; then none has had an effect.
        """
        ...


def refuse_absent(statements: Sequence[Statement], outcomes: Sequence[Outcome]) -> None:
    """What `final` promises: DatabaseError where an opaque statement found no row."""
    for statement, outcome in zip(statements, outcomes, strict=True):
        if statement.opaque and outcome.text is None:
            raise DatabaseError("no row")
