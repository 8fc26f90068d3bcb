"""Relay connections as keyset pages.

A page is one ordered, limited scan of an index, whatever its depth; whether there is more
beyond it is asked with an EXISTS that reads one row. A cursor is the key of its row, with a
letter for the order it belongs to: `C<created_at>,<row>`, `U<updated_at>,<row>`, `N<name>`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from resolvers.base.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from resolvers.base.names import workflow_name
from resolvers.base.vocabulary import InstanceOrderField, OrderDirection
from resolvers.compiling.binding import Reader
from resolvers.compiling.fields import Expression, Field
from resolvers.compiling.planners import filters
from resolvers.compiling.planners.sizes import page_limit
from resolvers.ports import sql
from resolvers.ports.database import Value

_INSTANT_CURSOR = re.compile(r"([CU])(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z),(\d{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is ordered by: columns that together are unique, and their direction."""

    letter: str
    columns: tuple[str, ...]
    descending: bool

    def by(self, alias: str, *, reverse: bool = False) -> str:
        """ORDER BY's terms."""
        direction = " DESC" if self.descending != reverse else ""
        return ",".join(f"{alias}.{column}{direction}" for column in self.columns)

    def beyond(
        self, alias: str, key: str, *, reverse: bool = False, inclusive: bool = False
    ) -> str:
        """Rows that come after `key` in this order (before it, with `reverse`)."""
        operator = "<" if self.descending != reverse else ">"
        row = ",".join(f"{alias}.{column}" for column in self.columns)
        return f"({row}){operator}{'=' if inclusive else ''}({key})"

    def cursor(self, alias: str) -> str:
        """SQL of a row's cursor."""
        return f"'{self.letter}'||" + "||','||".join(f"{alias}.{column}" for column in self.columns)

    def key_of(self, cursor: str) -> str:
        """SQL of the key inside a cursor that SQL itself made."""
        if len(self.columns) == 1:
            return f"substr({cursor},2)"
        return f"substr({cursor},2,24),CAST(substr({cursor},27) AS INTEGER)"

    def part(self, number: int, cursor: object) -> Value:
        """A part of the key inside a cursor that a caller gave; ValueError for a bad one."""
        if isinstance(cursor, str) and cursor[:1] == self.letter:
            if len(self.columns) == 1:
                return workflow_name(cursor[1:])
            if match := _INSTANT_CURSOR.fullmatch(cursor):
                return int(match[3]) if number else match[2]
        raise ValueError("not a cursor of this list and order")


WORKFLOWS_BY_NAME = Order("N", ("name",), descending=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a connection pages through.

    `conditions(alias)` selects rows of `table`. `loops` are lists of values that make the
    leading columns of an index: the page is merged from one ordered scan a value, since
    a single scan with IN would have to sort everything that matches.
    """

    table: str
    order: Order
    conditions: Callable[[str], list[str]]
    loops: tuple[tuple[str, str], ...] = ()
    total: Callable[[], str] | None = None

    def where(self, alias: str, *bounds: str) -> str:
        """All conditions, the loops' values and the bounds of cursors included."""
        looped = [
            f"{alias}.{column} IN (SELECT value FROM json_each({values}))"
            for column, values in self.loops
        ]
        return filters.all_of([*looped, *self.bounded(alias, bounds)])

    def bounded(self, alias: str, bounds: Sequence[str]) -> list[str]:
        """The conditions and the bounds of cursors.

        One bound a side is what SQLite scans an index by. The filter's own bound on the order's
        column is kept from that (by its +) where a cursor stands on the same side: a page deep
        inside a span of time would be reached by reading all before it.
        """
        column = f"{alias}.{self.order.columns[0]}"
        sides = [side for side in "<>" if any(f"){side}" in bound for bound in bounds)]
        yields = tuple(f"{column}{side}" for side in sides)
        conditions = self.conditions(alias)
        return [*(f"+{c}" if c.startswith(yields) else c for c in conditions), *bounds]


def connection(field: Field, listing: Listing) -> str:
    """A connection's JSON: edges, nodes, pageInfo and totalCount, each only if selected."""
    backward = field.argument("last") is not None and field.argument("first") is None
    sized_by = "last" if backward else "first"
    if field.argument("first") is not None and field.argument("last") is not None:
        field.refuse("Give `first` or `last`, not both.", "last")
    size, limit = page_limit(field, sized_by, default=DEFAULT_PAGE_SIZE, most=MAX_PAGE_SIZE)
    page = _Page(field, listing, limit, size, backward=backward)
    for cursor in ("after", "before"):
        if field.argument(cursor) is not None:
            page.key(cursor)  # looked at, even if nothing that is selected needs it
    members = []
    for key, part in field.subfields():
        match part.name:
            case "edges":
                members.append((key, page.edges(part)))
            case "nodes":
                members.append((key, page.rows(part.bodies(page.row, size))))
            case "pageInfo":
                members.append((key, page.info(part)))
            case "totalCount":
                members.append((key, f"({total_count(listing, field)})"))
            case _:
                members.append((key, sql.json_literal(field.type.name)))
    body = sql.json_object(members)
    if not page.columns:
        return f"({'SELECT ' + body})"
    return f"(SELECT {body} FROM ({page.select()}) {page.alias})"


def total_count(listing: Listing, field: Field) -> str:
    """How many rows the listing selects on all its pages."""
    if listing.total is not None:
        return listing.total()
    alias = field.new_alias()
    return f"SELECT count(*) FROM {listing.table} {alias} WHERE {listing.where(alias)}"


class _Page:
    """The rows of one page, aggregated once into whatever columns the selection needs."""

    def __init__(
        self, field: Field, listing: Listing, limit: str, size: Reader, *, backward: bool
    ) -> None:
        self._field = field
        self._listing = listing
        self._limit = limit
        self._size = size
        self._backward = backward
        self.alias = field.new_alias()
        self.row = field.new_alias()
        self.columns: list[str] = []

    def _column(self, expression: str) -> str:
        if expression not in self.columns:
            self.columns.append(expression)
        return f"{self.alias}.c{self.columns.index(expression)}"

    def rows(self, element: str) -> str:
        """A list of `element` over the page's rows."""
        return self._column(sql.joined(element))

    def edges(self, part: Field) -> str:
        """The edges: each a node and its cursor."""
        members = []
        with part.repeated(self._size):
            for key, edge in part.subfields():
                match edge.name:
                    case "node":
                        members.append((key, edge.body(self.row)))
                    case "cursor":
                        members.append((key, f"json_quote({self._listing.order.cursor(self.row)})"))
                    case _:
                        members.append((key, sql.json_literal(part.type.name)))
        return self.rows(sql.json_object(members))

    def info(self, part: Field) -> str:
        """PageInfo; what lies beyond the page costs one row read a side."""
        members = []
        for key, item in part.subfields():
            match item.name:
                case "startCursor":
                    members.append((key, f"coalesce({self._cursors()}->'$[0]','null')"))
                case "endCursor":
                    members.append((key, f"coalesce({self._cursors()}->'$[#-1]','null')"))
                case "hasNextPage":
                    members.append((key, self._more(forward=True)))
                case "hasPreviousPage":
                    members.append((key, self._more(forward=False)))
                case _:
                    members.append((key, sql.json_literal("PageInfo")))
        return sql.json_object(members)

    def _cursors(self) -> str:
        return self._column(f"json_group_array({self._listing.order.cursor(self.row)})")

    def _more(self, *, forward: bool) -> str:
        order = self._listing.order
        alias = self._field.new_alias()
        if forward != self._backward:
            # In the direction of paging: a short page is the last; else look past its end.
            end = f"({self._cursors()}->>'$[{'#-1' if forward else '0'}]')"
            beyond = order.beyond(alias, order.key_of(end), reverse=not forward)
            full = f"{self._column('count(*)')}={self._limit} AND {self._limit}>0 AND "
        else:
            # Against it: only a given cursor can have rows on its other side.
            given = "before" if forward else "after"
            if self._field.argument(given) is None:
                return "'false'"
            beyond = order.beyond(alias, self.key(given), reverse=not forward, inclusive=True)
            full = ""
        where = self._listing.where(alias, beyond)
        exists = f"EXISTS (SELECT 1 FROM {self._listing.table} {alias} WHERE {where})"
        return f"iif({full}{exists},'true','false')"

    def key(self, argument: str) -> str:
        """SQL of the key in a given cursor."""
        order = self._listing.order
        return ",".join(
            self._field.parameter(argument, convert=convert) for convert in _parts(order)
        )

    def _bounds(self, alias: str) -> list[str]:
        order = self._listing.order
        bounds = []
        if self._field.argument("after") is not None:
            bounds.append(order.beyond(alias, self.key("after")))
        if self._field.argument("before") is not None:
            bounds.append(order.beyond(alias, self.key("before"), reverse=True))
        return bounds

    def select(self) -> str:
        """The aggregate over the page's rows."""
        columns = ",".join(f"{column} AS c{i}" for i, column in enumerate(self.columns))
        return f"SELECT {columns} FROM {self._source()} {self.row}"

    def _source(self) -> str:
        listing, order, limit = self._listing, self._listing.order, self._limit
        alias = self._field.new_alias()
        source = f"{listing.table} {alias}"
        where = listing.bounded(alias, self._bounds(alias))
        if listing.loops:
            candidate = self._field.new_alias()
            tables, looped = [], []
            for column, values in listing.loops:
                value = self._field.new_alias()
                tables.append(f"(SELECT DISTINCT value FROM json_each({values})) {value}")
                looped.append(f"{candidate}.{column}={value}.value")
            inner = filters.all_of([*looped, *listing.bounded(candidate, self._bounds(candidate))])
            source = " CROSS JOIN ".join([*tables, source])
            where = [
                f"{alias}.id IN (SELECT {candidate}.id FROM {listing.table} {candidate}"
                f" WHERE {inner} ORDER BY {order.by(candidate, reverse=self._backward)}"
                f" LIMIT {limit})"
            ]
        rows = (
            f"(SELECT {alias}.* FROM {source} WHERE {filters.all_of(where)}"
            f" ORDER BY {order.by(alias, reverse=self._backward)} LIMIT {limit})"
        )
        if not self._backward:
            return rows
        alias = self._field.new_alias()
        return f"(SELECT * FROM {rows} {alias} ORDER BY {order.by(alias)})"


def _parts(order: Order) -> list[Callable[[object], Value]]:
    found = _PARTS.get(order)
    if found is None:
        found = _PARTS[order] = [partial(order.part, n) for n in range(len(order.columns))]
    return found


# One function an order and column, so that equal parameters are recognised as such.
_PARTS: dict[Order, list[Callable[[object], Value]]] = {}


def instance_order(field: Field) -> Order:
    """The field's `orderBy: InstanceOrder`, newest first where absent."""
    given = field.argument("orderBy") or {}
    by_update = given.get("field") == InstanceOrderField.UPDATED_AT
    return Order(
        "U" if by_update else "C",
        ("updated_at" if by_update else "created_at", "id"),
        descending=given.get("direction") != OrderDirection.ASC,
    )


def instances(field: Field, owner: Callable[[str], list[str]] | None = None) -> str:
    """A connection of instances with `filter` and `orderBy`, of one owner or of all."""
    order = instance_order(field)
    loops: list[tuple[str, str]] = []
    given = field.argument("filter") or {}
    if order.letter == "C" and given.get("search") is None:
        for name in ("workflow", "status"):
            values = given.get(name)
            if values is not None and len(values) > 1:
                text = field.parameter("filter", name, convert=filters.values_text)
                loops.append((name, text))

    def conditions(alias: str) -> list[str]:
        of_owner = owner(alias) if owner is not None else []
        looped = tuple(column for column, _ in loops)
        return of_owner + filters.selected(field, alias, skip=looped)

    listing = Listing("instances", order, conditions, tuple(loops), _counted(field, owner))
    return connection(field, listing)


def _counted(field: Field, owner: object) -> Callable[[], str] | None:
    counters = counted_by_status(field) if owner is None else None
    if counters is None:
        return None
    return lambda: f"SELECT coalesce(sum(count),0) FROM ({counters})"


def counted_by_status(field: Field) -> str | None:
    """Rows of (status, count) from the counters, where they can answer the field's filter."""
    given = field.argument("filter") or {}
    kept = ("workflow", "status")
    if field.principal.is_restricted or any(
        value is not None for name, value in given.items() if name not in kept
    ):
        return None
    where = filters.all_of(
        ["count>0", *(c for name in kept for c in filters.one_of(field, name, "filter", name))]
    )
    return f"SELECT status,sum(count) AS count FROM status_counts WHERE {where} GROUP BY status"


def owned_instances(on: str) -> Expression:
    """The connection of the instances for which `on` holds (`{r}` of them, `{t}` the owner)."""

    def expression(field: Field) -> str:
        return instances(
            field, lambda alias: [on.replace("{t}", field.alias).replace("{r}", alias)]
        )

    return expression


def workflows(field: Field) -> str:
    """The connection of all workflows, by name, `search` being a prefix of it."""

    def conditions(alias: str) -> list[str]:
        found = filters.workflow_visible(field, alias)
        if field.argument("search") is not None:
            low = field.parameter("search", convert=filters.prefix_start)
            high = field.parameter("search", convert=filters.prefix_end)
            found += [f"{alias}.name>={low}", f"{alias}.name<{high}"]
        return found

    return connection(field, Listing("workflows", WORKFLOWS_BY_NAME, conditions))
