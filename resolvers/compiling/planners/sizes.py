"""Arguments that say how many: their bounds, their defaults, and what they multiply."""

from collections.abc import Callable
from functools import lru_cache

from resolvers.compiling.binding import Reader
from resolvers.compiling.fields import Field


@lru_cache
def between(least: int, most: int) -> Callable[[object], int]:
    """A converter that raises ValueError outside the bounds; one function for each pair."""

    def convert(value: object) -> int:
        if not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}")
        return value

    return convert


def page_limit(field: Field, argument: str, *, default: int, most: int) -> tuple[Reader, str]:
    """The size of a page for the count of objects, and the SQL of its LIMIT."""
    if field.argument(argument) is None:
        return (lambda _: default), str(default)
    convert = between(0, most)
    return field.reader(argument, convert=convert), field.parameter(argument, convert=convert)
