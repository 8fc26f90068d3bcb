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
from resolvers.access.visibility import identified, visible
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

    def restriction(self, name: str) -> str:
        """Return the parameter that binds one of the caller's restrictions."""
        return self.add(_RESTRICTION + name)

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

    def instance(self, alias: str, instance_id: str, workflow: str | None) -> str:
        """SQL that selects the instance with an id (see `visibility.identified`)."""
        by_id = self.bind(instance_id)
        by_workflow = None if workflow is None else self.bind(workflow)
        return instance(self._shape, alias, self, by_id=by_id, by_workflow=by_workflow)

    def statement(self, text: str) -> Statement:
        """Finish the statement."""
        return self.template(text).fill(self._values)


def within(shape: RestrictionsShape, alias: str, names: Names) -> str:
    """SQL that adds the conditions for restrictions of this shape to a WHERE clause.

    For restrictions to workflows: ` AND i.workflow IN (SELECT value FROM json_each(?1))`.
    """
    conditions = visible(shape, alias, names.restriction)
    return "".join(f" AND {condition}" for condition in conditions)


def instance(
    shape: RestrictionsShape, alias: str, names: Names, *, by_id: str, by_workflow: str | None
) -> str:
    """SQL of a WHERE clause that selects the instance with an id (see `visibility.identified`)."""
    conditions = identified(shape, alias, names.restriction, by_id=by_id, by_workflow=by_workflow)
    return " AND ".join(conditions)


def several(shape: RestrictionsShape, names: Names, *, by_id: str, named: bool) -> str:
    """SQL that is true if no workflow is `named` and several visible instances have the id."""
    if named:
        return "0"
    others = f"o.instance_id={by_id}{within(shape, 'o', names)}"
    return f"(SELECT count(*)>1 FROM instances o WHERE {others})"


def restriction_values(restrictions: Restrictions) -> dict[str, Value]:
    """Return the values of the names that `within` uses."""
    if not any(restrictions.shape):
        return {}
    return {_RESTRICTION + name: value for name, value in restrictions.values.items()}
