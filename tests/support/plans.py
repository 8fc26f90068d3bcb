"""Query plans of SQLite, with the names of tables in place of their aliases."""

import re

from resolvers.ports.database import Statement
from tests.support.d1 import SqliteD1

TABLES = "workflows|instances|steps|attempts|events|status_counts"


def steps_of(database: SqliteD1, statement: Statement) -> list[str]:
    """The steps of a statement's query plan."""
    tables = {alias: table for table, alias in re.findall(rf"({TABLES}) (t\d+)", statement.sql)}
    rows = database.rows(f"EXPLAIN QUERY PLAN {statement.sql}", *statement.parameters)
    return [re.sub(r"\bt\d+\b", lambda m: tables.get(m[0], m[0]), row[3]) for row in rows]
