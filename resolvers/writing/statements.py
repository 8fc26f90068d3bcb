"""Building the statements of a write.

A statement's text depends only on which fields an update gives and which limits its caller
has: a Template holds it with names where values will be, and can be kept for its shape.
Parameters are for a statement that is not worth keeping.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from resolvers.access.principals import Principal, Restrictions, RestrictionsShape
from resolvers.access.visibility import visible
from resolvers.ports.database import Statement, Value

_LIMIT = "limit "  # in front of a limit's name, to tell it from a field's


@dataclass(frozen=True, slots=True)
class Template:
    """A statement without its values."""

    sql: str
    names: tuple[str, ...]

    def fill(self, values: Mapping[str, Value]) -> Statement:
        """The statement with the values of its names."""
        return Statement(self.sql, tuple([values[name] for name in self.names]))


class Names:
    """The numbered parameters of a template."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}

    def add(self, name: str) -> str:
        """The number under which the value of `name` is bound."""
        return self._numbers.setdefault(name, f"?{len(self._numbers) + 1}")

    def integer(self, name: str) -> str:
        """As `add`; D1 binds every number as a REAL, which STRICT columns take but text shows."""
        return f"CAST({self.add(name)} AS INTEGER)"

    def template(self, sql: str) -> Template:
        """The finished template."""
        return Template(sql, tuple(self._numbers))


class Parameters(Names):
    """The names of a template that is filled at once, for one caller."""

    def __init__(self, principal: Principal | None = None) -> None:
        super().__init__()
        limits = principal.restrictions if principal is not None else Restrictions()
        self._limits = limits.shape
        self._values = restriction_values(limits)

    def bind(self, value: Value) -> str:
        """The number under which `value` is bound."""
        name = f"value {len(self._values)}"
        self._values[name] = value
        return self.add(name)

    def bind_integer(self, value: int | None) -> str:
        """As `integer`."""
        return f"CAST({self.bind(value)} AS INTEGER)"

    def within(self, alias: str) -> str:
        """The condition that keeps a row of instances inside the caller's limits."""
        return within(self._limits, alias, self)

    def statement(self, sql: str) -> Statement:
        """The finished statement."""
        return self.template(sql).fill(self._values)


def within(shape: RestrictionsShape, alias: str, names: Names) -> str:
    """The condition that keeps a row of instances inside limits of this shape."""
    conditions = visible(shape, alias, lambda name: names.add(_LIMIT + name))
    return "".join(f" AND {condition}" for condition in conditions)


def restriction_values(limits: Restrictions) -> dict[str, Value]:
    """The values of the names that `within` uses."""
    if not any(limits.shape):
        return {}
    return {_LIMIT + name: value for name, value in limits.values.items()}
