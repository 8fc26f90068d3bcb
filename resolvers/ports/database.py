"""The port to the database: statements go out in one batch, outcomes come back.

Two things stand behind it: D1 through `effects.py` or a binding, and in the tests real
SQLite with D1's documented limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from resolvers.base import foreign_errors
from resolvers.base.limits import D1_MAX_STRING_BYTES, MAX_RESULT_BYTES

Value: TypeAlias = str | int | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement. Parameters are numbered (`?1`), each used at least once.

    `opaque` text is only ever put into a response: it may stay where it is, outside Python.
    """

    sql: str
    parameters: tuple[Value, ...] = ()
    opaque: bool = False

    @property
    def writes(self) -> bool:
        """True unless it only reads."""
        return not self.sql.startswith("SELECT")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one statement of a batch did.

    `text` is the first column of the first row, None where there is no row; of an opaque
    statement it is a handle. `changes` is how many rows the statement itself wrote. `size` is the
    length of an opaque text, also of one that was too long for its statement to load it: then
    `text` is None.
    """

    text: Any
    changes: int
    size: int = 0

    @property
    def is_oversized(self) -> bool:
        """True if there is a text that was not loaded."""
        return self.text is None and self.size > 0


class DatabaseError(Exception):
    """The batch failed and was rolled back; the message is SQLite's or D1's."""

    @property
    def is_too_big(self) -> bool:
        """True if a text in it is longer than D1 holds, or than its statement allows."""
        return foreign_errors.TOO_BIG.search(str(self)) is not None

    @property
    def is_of_statement(self) -> bool:
        """True if it failed for a statement in it, not for the way to the database."""
        return foreign_errors.OF_STATEMENT.search(str(self)) is not None


class OversizedError(DatabaseError):
    """Texts of a final batch were longer than their statements allow; `sizes` are those of all its
    opaque texts, in bytes."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__("the result is too big")
        self.sizes = sizes


class Database(Protocol):
    """A database that runs batches."""

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run all statements as one transaction and in one round trip.

        With `final` nothing but the response follows, and all it needs of the outcomes are
        opaque texts: it may be composed before the batch has run. There a SELECT without a
        row, or with too long a text, is a failure too, if one that rolls nothing back.

        Raises DatabaseError when one fails; then none has had an effect.
        """
        ...


def share_of(texts: int) -> int:
    """The bytes that each of so many texts of one answer may have, if none is smaller."""
    return min(D1_MAX_STRING_BYTES, MAX_RESULT_BYTES // max(1, texts))


def refuse_absent(statements: Sequence[Statement], outcomes: Sequence[Outcome]) -> None:
    """Keep the promise of `final`: DatabaseError where an opaque statement found no row, or a
    text that is too long."""
    if any(outcome.is_oversized for outcome in outcomes):
        raise OversizedError([outcome.size for outcome in outcomes])
    for statement, outcome in zip(statements, outcomes, strict=True):
        if statement.opaque and outcome.text is None:
            raise DatabaseError("no row")
