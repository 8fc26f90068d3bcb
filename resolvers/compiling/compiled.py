"""Compiled statements, which are kept and bound for each request, and their cost in objects."""

from dataclasses import dataclass

from resolvers.base.errors import RequestError
from resolvers.base.limits import MAX_NODES
from resolvers.compiling.binding import Binding, Reader
from resolvers.ports.database import Statement


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement with readers of its parameters, and the sizes that its cost is computed from."""

    sql: str
    readers: tuple[Reader, ...]
    # For each object in the selection: readers of the page sizes that multiply it.
    nodes: tuple[tuple[Reader, ...], ...]
    # Readers of arguments that the statement does not use, which must be within their bounds too.
    checks: tuple[Reader, ...] = ()

    def bind(self, binding: Binding) -> Statement:
        """Make the statement for one request; ArgumentError if a value is out of bounds."""
        for check in self.checks:
            check(binding)
        return Statement(self.sql, tuple([read(binding) for read in self.readers]), opaque=True)

    def cost(self, binding: Binding) -> int:
        """Return the most objects that the result may contain; an unpaged list counts as 10."""
        total = 0
        for sizes in self.nodes:
            product = 1
            for size in sizes:
                product *= int(size(binding) or 0)
            total += product
        return total


def refuse_over_cost(cost: int) -> None:
    """Raise RequestError if the result of an operation may have more than MAX_NODES objects."""
    if cost > MAX_NODES:
        raise RequestError(
            f"The operation may return {cost} objects; the limit is {MAX_NODES} (MAX_NODES). "
            "Ask for smaller pages.",
            code="OPERATION_TOO_LARGE",
            extensions={"limit": "MAX_NODES", "cost": cost},
        )
