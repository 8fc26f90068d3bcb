"""SQL text whose value is JSON text: the few shapes that plans are made of.

Expressions here always yield valid JSON text and never SQL NULL, so they can be joined
without looking at them again. Values reach SQL as parameters only; what is put into the
text are names and literals from this code.
"""

from collections.abc import Sequence

from resolvers.base.json_text import encode
from resolvers.base.limits import D1_MAX_FUNCTION_ARGUMENTS

# UTC text with milliseconds: the API's own DateTime format.
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

# The position that the log has come to. It stays when retention removes the newest events, so no
# cursor that was given out is ever ahead of it.
HEAD = "coalesce((SELECT seq FROM sqlite_sequence WHERE name='events'),0)"

_FORMAT_VALUES = D1_MAX_FUNCTION_ARGUMENTS - 1  # format()'s first argument is the format


def now_shifted(modifier: str) -> str:
    """The present moved by an SQLite date modifier, given as an expression."""
    return NOW.replace("'now'", f"'now',{modifier}")


def literal(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def json_literal(value: object) -> str:
    """A constant as an SQL literal that holds its JSON text."""
    return literal(encode(value))


def json_object(members: Sequence[tuple[str, str]]) -> str:
    """An object of named expressions.

    `format` builds it in one buffer. `json_object` would parse nested JSON once more, and
    takes 16 members at most on D1; this joins chunks of 31.
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
    """The value of `expression` on the only row of `source` (what follows FROM), or NULL.

    SQLite adds up the heights of the expressions that a scalar subquery stands inside, and
    D1 allows 100 in all (https://sqlite.org/limits.html, SQLITE_LIMIT_EXPR_DEPTH). Only what
    stands in FROM is left out of its parent's height: there the expression goes.
    """
    return f"(SELECT body FROM (SELECT {expression} AS body FROM {source}))"


def row_or_null(expression: str, source: str) -> str:
    """As `subquery`, JSON's null where there is no row."""
    return f"coalesce({subquery(expression, source)},'null')"


def joined(element: str) -> str:
    """An aggregate: the array of `element` over the rows. `%s` of NULL, of no row, is empty."""
    return f"format('[%s]',group_concat({element},','))"


def json_array(element: str, source: str) -> str:
    """An array of `element` over the rows of `source` (what follows FROM), in its order."""
    return subquery(joined(element), source)


def word(column: str) -> str:
    """JSON text of a column that is never null and needs no escaping."""
    return f"'\"'||{column}||'\"'"


def in_list(values: Sequence[str]) -> str:
    """Constants of this code as the right side of IN."""
    return "(" + ",".join(literal(value) for value in values) + ")"
