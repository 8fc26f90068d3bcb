"""Building the statements of a write."""

from resolvers.access import Limits, Principal
from resolvers.database import Statement, Value


class Parameters:
    """The numbered parameters of one statement."""

    def __init__(self) -> None:
        self._values: list[Value] = []

    def add(self, value: Value) -> str:
        """The number under which `value` is bound; equal text is bound once."""
        for position, known in enumerate(self._values, 1):
            if known == value and type(known) is type(value):
                return f"?{position}"
        self._values.append(value)
        return f"?{len(self._values)}"

    def integer(self, value: int | None) -> str:
        """As `add`; D1 binds every number as a REAL, which STRICT columns take but text shows."""
        return f"CAST({self.add(value)} AS INTEGER)"

    def statement(self, sql: str) -> Statement:
        """The finished statement."""
        return Statement(sql, tuple(self._values))


def within(principal: Principal, alias: str, parameters: Parameters) -> str:
    """The condition that keeps a row of instances inside the principal's limits."""
    limits: Limits = principal.limits
    conditions = []
    if limits.reference is not None:
        ref_type, ref_id = limits.reference
        conditions.append(f"{alias}.ref_type={parameters.add(ref_type)}")
        conditions.append(f"{alias}.ref_id={parameters.add(ref_id)}")
    if limits.workflows is not None:
        names = parameters.add(principal.parameter("workflows"))
        conditions.append(f"{alias}.workflow IN (SELECT value FROM json_each({names}))")
    if limits.instance_id is not None:
        conditions.append(f"{alias}.instance_id={parameters.add(limits.instance_id)}")
    return "".join(f" AND {condition}" for condition in conditions)
