"""Arguments for the size of a page or list: their bounds and defaults.

Example:

    { workflows(first: 2) { nodes { name } } }

becomes

    SELECT … ORDER BY t3.name LIMIT ?1…
"""

from collections.abc import Callable
from functools import lru_cache

from resolvers.compiling.binding import Reader
from resolvers.compiling.fields import Field


@lru_cache
def between(least: int, most: int) -> Callable[[object], int]:
    """Make a converter that raises ValueError outside the bounds; one function for each pair."""

    def convert(value: object) -> int:
        if type(value) is not int or not least <= value <= most:  # true is an int, too
            raise ValueError(f"must be from {least} to {most}")
        return value

    return convert


def page_limit(field: Field, argument: str, *, default: int, most: int) -> tuple[Reader, str]:
    """Return the reader of a page's size, to count its objects, and the SQL of its LIMIT."""
    if field.argument(argument) is None:
        return (lambda _: default), str(default)
    convert = between(0, most)
    return field.reader(argument, convert=convert), field.parameter(argument, convert=convert)
