"""The varied database of seed.py in SQLite, for tests that only read."""

from collections.abc import Callable
from typing import Any

from resolvers.access.principals import Restrictions, principal
from resolvers.base.errors import ArgumentError, RequestError
from resolvers.base.vocabulary import Scope
from resolvers.ports.database import DatabaseError
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.operations import Comparison, Drawn, Refused
from tests.support.reference import Reference, global_ids
from tests.support.reference_rows import Data
from tests.support.seed import statements
from tests.support.values import Pool


def seeded() -> SqliteD1:
    """A new copy of the database, which the caller may change."""
    database = SqliteD1()
    for statement in statements():
        database.connection.execute(statement)
    return database


DATABASE = seeded()
DATA = Data.read(DATABASE.rows)
POOL = Pool.of(DATA, global_ids(DATA))


def asking(client: Client) -> Callable[[str, dict[str, Any]], str]:
    """Run operations with the executor, in the form that a comparison calls."""

    def ask(query: str, variables: dict[str, Any]) -> str:
        try:
            return client.text(query, **variables)
        except ArgumentError as error:
            raise Refused(error.argument) from error
        except DatabaseError as error:
            if error.ambiguity is None:
                raise
            raise Refused("AMBIGUOUS") from error
        except RequestError as error:
            if error.code != "OPERATION_TOO_LARGE":
                raise
            raise Refused(error.code) from error

    return ask


def comparing(restrictions: Restrictions) -> Comparison:
    """Compare the executor with the reference, both for a caller with these restrictions."""
    caller = principal(Scope.READ, restrictions=restrictions)
    return Comparison(asking(Client(DATABASE, caller)), Reference(DATA, restrictions))


def assert_equals_reference(
    query: str, variables: dict[str, Any] | None = None, *, restrictions: Restrictions | None = None
) -> None:
    """Fail unless the executor answers, and answers as the reference does."""
    comparison = comparing(restrictions or Restrictions())
    comparison.check(Drawn(query, variables or {}))
    assert comparison.refused == []
