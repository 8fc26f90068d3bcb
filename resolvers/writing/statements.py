"""Builds the statements of writes.

The text of a statement depends only on the fields that an update sets and on the kinds of
restrictions that its caller has. A Template contains the text with names in place of values, so it
can be cached; Parameters build a statement that is not worth caching:

    bound = Parameters()
    bound.statement(f"UPDATE instances SET status={bound.bind('PAUSED')}")

makes `UPDATE instances SET status=?1` with the parameter 'PAUSED'.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from resolvers.access.principals import Principal, Restrictions, RestrictionsShape
from resolvers.access.visibility import visible
from resolvers.ports import sql
from resolvers.ports.database import Statement, Value

_RESTRICTION = "restriction "  # precedes a restriction's name, which could be a field's too


@dataclass(frozen=True, slots=True)
class Template:
    """A statement without its values."""

    sql: str
    names: tuple[str, ...]

    def fill(self, values: Mapping[str, Value]) -> Statement:
        """Make the statement with the values of its names."""
        return Statement(self.sql, tuple([values[name] for name in self.names]))


class Names:
    """The numbered parameters of a template."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}

    def add(self, name: str) -> str:
        """Return the parameter that binds the value of `name`."""
        return self._numbers.setdefault(name, f"?{len(self._numbers) + 1}")

    def integer(self, name: str) -> str:
        """Like `add`, as an integer (see `sql.integer`)."""
        return sql.integer(self.add(name))

    def template(self, text: str) -> Template:
        """Finish the template."""
        return Template(text, tuple(self._numbers))


class Parameters(Names):
    """The parameters of a statement that is filled at once, for one caller."""

    def __init__(self, principal: Principal | None = None) -> None:
        super().__init__()
        restrictions = principal.restrictions if principal is not None else Restrictions()
        self._shape = restrictions.shape
        self._values = restriction_values(restrictions)

    def bind(self, value: Value) -> str:
        """Return a new parameter that binds `value`."""
        name = f"value {len(self._values)}"
        self._values[name] = value
        return self.add(name)

    def bind_integer(self, value: int | None) -> str:
        """Like `bind`, as an integer (see `sql.integer`)."""
        return sql.integer(self.bind(value))

    def within(self, alias: str) -> str:
        """SQL that restricts `alias`, a row of instances, to those that the caller may see."""
        return within(self._shape, alias, self)

    def statement(self, text: str) -> Statement:
        """Finish the statement."""
        return self.template(text).fill(self._values)


def within(shape: RestrictionsShape, alias: str, names: Names) -> str:
    """SQL that adds the conditions for restrictions of this shape to a WHERE clause.

    For restrictions to workflows: ` AND i.workflow IN (SELECT value FROM json_each(?1))`.
    """
    conditions = visible(shape, alias, lambda name: names.add(_RESTRICTION + name))
    return "".join(f" AND {condition}" for condition in conditions)


def restriction_values(restrictions: Restrictions) -> dict[str, Value]:
    """Return the values of the names that `within` uses."""
    if not any(restrictions.shape):
        return {}
    return {_RESTRICTION + name: value for name, value in restrictions.values.items()}
