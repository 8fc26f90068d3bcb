"""The database port, implemented with commands that D1 performs (see batches.mjs)."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from resolvers.ports.database import (
    DatabaseError,
    Outcome,
    Statement,
    refuse_absent,
)
from resolvers.runtime.commands import Command


class Handle(int):
    """The number of a text that stayed in JavaScript, among the texts of the request."""


class CommandDatabase:
    """The `Database` of a Worker. Its writes notify subscribers unless it is `silent`."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run all statements as one transaction and in one round trip.

        Raises DatabaseError if a statement fails (see `Database.batch`).
        """
        body: dict[str, Any] = {"batch": [[s.sql, s.parameters, s.opaque] for s in statements]}
        if not self._silent and any(statement.writes for statement in statements):
            body["writes"] = True
        # Only opaque texts stay in JavaScript, numbered in their order.
        handles = count()
        expected = {"outcomes": [(next(handles) if s.opaque else None, 0) for s in statements]}
        result = await Command(body, expected if final else None)
        if "error" in result:
            raise DatabaseError(result["error"])
        outcomes = [
            Outcome(Handle(text) if isinstance(text, int) else text, *meta)
            for text, *meta in result["outcomes"]
        ]
        if final:
            refuse_absent(statements, outcomes)
        return outcomes
