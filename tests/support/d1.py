"""Real SQLite behind the database port, with the documented limits of D1.

Local D1 enforces few of them and production all, so statements that pass here run there. Numbers
are bound as REAL, as D1 binds them.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from resolvers.base import limits
from resolvers.ports.database import DatabaseError, Outcome, Statement, Value, refuse_absent

MIGRATIONS = Path(__file__).parents[2] / "migrations"

# Limit ids of apsw and the values that D1 documents (developers.cloudflare.com/d1/platform/limits).
_LIMITS = {
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: limits.D1_MAX_PARAMETERS,
    apsw.SQLITE_LIMIT_SQL_LENGTH: limits.D1_MAX_SQL_BYTES,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: limits.D1_MAX_FUNCTION_ARGUMENTS,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 100,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 5,
    apsw.SQLITE_LIMIT_LENGTH: limits.D1_MAX_STRING_BYTES,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    # Not documented, but workerd sets these for every SQLite database.
    apsw.SQLITE_LIMIT_VDBE_OP: 25_000,
    apsw.SQLITE_LIMIT_COLUMN: 100,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
}
_FORBIDDEN = re.compile(r"\b(sqlite_version|load_extension)\s*\(", re.IGNORECASE)

# The names of SQLite's errors, which D1 puts at the end of its messages.
_CODES: dict[type[Exception], str] = {
    apsw.SQLError: "SQLITE_ERROR",
    apsw.TooBigError: "SQLITE_TOOBIG",
    apsw.ConstraintError: "SQLITE_CONSTRAINT",
}


class SqliteD1:
    """A `resolvers.ports.database.Database` on SQLite; `batches` are the round trips to D1."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        for path in sorted(MIGRATIONS.glob("*.sql")):
            self.connection.execute(path.read_text())
        self.connection.execute("PRAGMA foreign_keys=ON")
        for limit, value in _LIMITS.items():
            self.connection.limit(limit, value)
        self.batches: list[list[Statement]] = []

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run statements in one transaction, and record them."""
        self.batches.append(list(statements))
        outcomes = []
        try:
            with self.connection:
                outcomes = [self._run(statement) for statement in statements]
        except (apsw.Error, ValueError) as error:
            raise DatabaseError(
                f"D1_ERROR: {error}: {_CODES.get(type(error), 'SQLITE')}"
            ) from error
        if final:
            refuse_absent(statements, outcomes)
        return outcomes

    def _run(self, statement: Statement) -> Outcome:
        if _FORBIDDEN.search(statement.sql):
            raise ValueError("not authorized to use function")
        cursor = self.connection.execute(
            statement.sql, tuple(_bound(value) for value in statement.parameters)
        )
        row = next(cursor, None)
        cursor.close()
        text = None if row is None else row[0]
        changes = self.connection.changes()
        if not statement.opaque or text is None:
            return Outcome(text, changes)
        return (
            Outcome(None, changes, text)
            if isinstance(text, int)
            else Outcome(text, changes, len(text))
        )

    def rows(self, sql: str, *parameters: Value) -> list[tuple[Any, ...]]:
        """All rows of a query, to check what is stored."""
        return list(self.connection.execute(sql, parameters))


def _bound(value: Value) -> str | float | None:
    return float(value) if isinstance(value, int) else value
