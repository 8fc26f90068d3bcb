"""The varied database of `seed` in SQLite, for tests that only read."""

from collections.abc import Callable
from typing import Any

from resolvers.access.principals import Restrictions, principal
from resolvers.base.errors import ArgumentError, RequestError
from resolvers.base.vocabulary import Scope
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.operations import Comparison, Refused
from tests.support.reference import Reference, global_ids
from tests.support.reference_rows import Data
from tests.support.seed import statements
from tests.support.values import Pool


def seeded() -> SqliteD1:
    """A database of its own."""
    database = SqliteD1()
    for statement in statements():
        database.connection.execute(statement)
    return database


DATABASE = seeded()
DATA = Data.read(DATABASE.rows)
POOL = Pool.of(DATA, global_ids(DATA))


def asking(client: Client) -> Callable[[str, dict[str, Any]], str]:
    """How a comparison asks the executor."""

    def ask(query: str, variables: dict[str, Any]) -> str:
        try:
            return client.text(query, **variables)
        except ArgumentError as error:
            raise Refused(error.argument) from error
        except RequestError as error:
            if error.code != "OPERATION_TOO_LARGE":
                raise
            raise Refused(error.code) from error

    return ask


def comparing(limits: Restrictions) -> Comparison:
    """The executor against the reference, both for a caller with these limits."""
    caller = principal(Scope.READ, restrictions=limits)
    return Comparison(asking(Client(DATABASE, caller)), Reference(DATA, limits))
