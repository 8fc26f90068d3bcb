"""The port to the database: it runs statements in one batch and returns their outcomes.

The Worker implements it with commands that D1 performs (see runtime/database.py), the tests with
real SQLite under D1's documented limits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from resolvers.base import foreign_errors
from resolvers.base.limits import D1_MAX_STRING_BYTES, MAX_RESULT_BYTES

Value: TypeAlias = str | int | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement. Parameters are numbered (`?1`), each used at least once.

    The text of an `opaque` statement is only put into a response, so it may stay outside Python.
    """

    sql: str
    parameters: tuple[Value, ...] = ()
    opaque: bool = False
    # The workflow and id of the instance that it inserts, if there is none yet.
    inserts: tuple[str, str] | None = None

    @property
    def writes(self) -> bool:
        """True unless it only reads."""
        return not self.sql.startswith("SELECT")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one statement of a batch.

    `text` is the first column of the first row, or None if there is no row; for an opaque
    statement it is a handle. `changes` is the number of rows that the statement itself wrote.
    `size` is the length of an opaque text. If the text was too long for its statement to load it,
    `text` is None and `size` is still given.
    """

    text: Any
    changes: int
    size: int = 0

    @property
    def is_oversized(self) -> bool:
        """True if the text was too long to load."""
        return self.text is None and self.size > 0


class DatabaseError(Exception):
    """The batch failed and was rolled back; the message is SQLite's or D1's."""

    @property
    def is_too_big(self) -> bool:
        """True if a text is longer than D1 can store, or than its statement allows."""
        return foreign_errors.TOO_BIG.search(str(self)) is not None

    @property
    def ambiguity(self) -> dict[str, Any] | None:
        """Members `ambiguous` (an id), `path` and `workflows` if several instances have the id."""
        found = foreign_errors.AMBIGUOUS.search(str(self))
        # SQLite doubles the apostrophes of a text that it quotes.
        return json.loads(found[0].replace("''", "'")) if found else None

    @property
    def is_of_statement(self) -> bool:
        """True if a statement of the batch failed, not the connection to the database."""
        return foreign_errors.STATEMENT_FAILED.search(str(self)) is not None


class OversizedError(DatabaseError):
    """A text of a final batch is longer than its statement allows.

    `sizes` contains the bytes of each opaque text of the batch, in order.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__("the result is too big")
        self.sizes = sizes


class Database(Protocol):
    """A database that runs batches."""

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run all statements as one transaction and in one round trip.

        Pass `final` if only the response follows and all it needs are opaque texts, so that it may
        be composed before the batch has run. A SELECT that finds no row, or a text that is too
        long, is then a failure too, but one that rolls nothing back.

        Raises DatabaseError if a statement fails; then none of them had an effect.
        """
        ...


def share_of(texts: int) -> int:
    """Return the bytes that each of `texts` texts of one response may have, at equal shares."""
    return min(D1_MAX_STRING_BYTES, MAX_RESULT_BYTES // max(1, texts))


def refuse_absent(statements: Sequence[Statement], outcomes: Sequence[Outcome]) -> None:
    """Raise DatabaseError if an opaque statement of a final batch found no row or too long a text.

    A text that is too long raises OversizedError, a subclass.
    """
    opaque = [outcome for s, outcome in zip(statements, outcomes, strict=True) if s.opaque]
    if any(outcome.is_oversized for outcome in opaque):
        raise OversizedError([outcome.size for outcome in opaque])
    if any(outcome.text is None for outcome in opaque):
        raise DatabaseError("no row")
