"""Functions that build SQL whose value is JSON text.

The expressions always yield valid JSON text and never SQL NULL, so they can be joined without
further checks. Values reach SQL as parameters only; names and literals in the text come from this
code.
"""

from collections.abc import Sequence

from resolvers.base.json_text import encode
from resolvers.base.limits import D1_MAX_FUNCTION_ARGUMENTS

# UTC text with milliseconds: the API's own DateTime format.
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

# The position of the newest event. It does not go back when retention removes the newest events, so
# a cursor is never ahead of it.
HEAD = "coalesce((SELECT seq FROM sqlite_sequence WHERE name='events'),0)"

_FORMAT_VALUES = D1_MAX_FUNCTION_ARGUMENTS - 1  # format()'s first argument is the format


# The position of a history of which nothing is recorded yet (column `followed`).
UNREAD = '[0,0,"",0]'


def now_shifted(modifier: str) -> str:
    """SQL of the current time, shifted by a date modifier of SQLite given as an expression."""
    return NOW.replace("'now'", f"'now',{modifier}")


def is_followed(alias: str) -> str:
    """SQL that is true if the engine's history of an instance, a row `alias`, is recorded."""
    return f"({alias}.followed IS NOT NULL AND {alias}.behind_since IS NULL)"


def integer(parameter: str) -> str:
    """SQL of a parameter as an integer: D1 binds every number as a REAL."""
    return f"CAST({parameter} AS INTEGER)"


def literal(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def json_literal(value: object) -> str:
    """An SQL literal that contains the JSON text of a constant."""
    return literal(encode(value))


def json_object(members: Sequence[tuple[str, str]]) -> str:
    """A JSON object from names and expressions of its members.

    `format` builds it in one buffer. SQLite's `json_object` would parse nested JSON again, and
    accepts at most 16 members on D1; here chunks of 31 are joined.
    """
    if not members:
        return "'{}'"
    chunks = [members[i : i + _FORMAT_VALUES] for i in range(0, len(members), _FORMAT_VALUES)]
    parts = []
    for number, chunk in enumerate(chunks):
        text = ",".join(f'"{name}":%s' for name, _ in chunk)
        opening = "{" if number == 0 else ","
        closing = "}" if number == len(chunks) - 1 else ""
        values = ",".join(expression for _, expression in chunk)
        parts.append(f"format('{opening}{text}{closing}',{values})")
    return parts[0] if len(parts) == 1 else "(" + "||".join(parts) + ")"


def subquery(expression: str, source: str) -> str:
    """The value of `expression` on the only row of `source` (the text after FROM), or NULL.

    SQLite adds up the heights of nested expressions, and D1 allows 100 in all
    (https://sqlite.org/limits.html, SQLITE_LIMIT_EXPR_DEPTH). A subquery in FROM does not count
    towards its parent's height, so the expression is put there.
    """
    return f"(SELECT body FROM (SELECT {expression} AS body FROM {source}))"


def row_or_null(expression: str, source: str) -> str:
    """Like `subquery`, but JSON's null if there is no row."""
    return f"coalesce({subquery(expression, source)},'null')"


def joined(element: str) -> str:
    """An aggregate: the JSON array of `element` over the rows, `[]` if there are none."""
    return f"format('[%s]',group_concat({element},','))"


def json_array(element: str, source: str) -> str:
    """The JSON array of `element` over the rows of `source` (the text after FROM), in order."""
    return subquery(joined(element), source)


def word(column: str) -> str:
    """JSON text of a column that is never null and needs no escaping."""
    return f"'\"'||{column}||'\"'"


def in_list(values: Sequence[str]) -> str:
    """Constants of this code as the right side of IN."""
    return "(" + ",".join(literal(value) for value in values) + ")"
