"""Relay connections as keyset pages (relay.dev/graphql/connections.htm).

A page is one ordered, limited scan of an index, at any depth. An EXISTS that reads one row finds
out if there are more rows on either side. A cursor is the key of its row, after a letter for the
order that it belongs to: `C<created_at>,<row>`, `U<updated_at>,<row>`, `N<name>`.

Example:

    { workflows(first: 2, after: "Norder") { nodes { name } } }

becomes

    SELECT … format('{"nodes":%s}',t1.c0)
    FROM (SELECT format('[%s]',group_concat(format('{"name":%s}',json_quote(t2.name)),',')) AS c0
        FROM (SELECT t3.* FROM workflows t3
            WHERE (t3.name)>(?2) ORDER BY t3.name LIMIT ?1) t2) t1…
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
    """The order of a list: columns that together are unique, and their direction."""

    letter: str
    columns: tuple[str, ...]
    descending: bool

    def by(self, alias: str, *, reverse: bool = False) -> str:
        """SQL of the terms of ORDER BY."""
        direction = " DESC" if self.descending != reverse else ""
        return ",".join(f"{alias}.{column}{direction}" for column in self.columns)

    def beyond(
        self, alias: str, key: str, *, reverse: bool = False, inclusive: bool = False
    ) -> str:
        """The condition that a row follows `key` in this order (precedes it, with `reverse`)."""
        operator = "<" if self.descending != reverse else ">"
        row = ",".join(f"{alias}.{column}" for column in self.columns)
        return f"({row}){operator}{'=' if inclusive else ''}({key})"

    def cursor(self, alias: str) -> str:
        """SQL of a row's cursor."""
        return f"'{self.letter}'||" + "||','||".join(f"{alias}.{column}" for column in self.columns)

    def key_of(self, cursor: str) -> str:
        """SQL of the key in a cursor that this statement has made."""
        if len(self.columns) == 1:
            return f"substr({cursor},2)"
        return f"substr({cursor},2,24),CAST(substr({cursor},27) AS INTEGER)"

    def part(self, number: int, cursor: object) -> Value:
        """Return one part of the key in a caller's cursor; ValueError if the cursor is invalid."""
        if isinstance(cursor, str) and cursor[:1] == self.letter:
            if len(self.columns) == 1:
                return workflow_name(cursor[1:])
            if match := _INSTANT_CURSOR.fullmatch(cursor):
                return int(match[3]) if number else match[2]
        raise ValueError("must be a cursor of this list in this order")


WORKFLOWS_BY_NAME = Order("N", ("name",), descending=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows that a connection pages through.

    `conditions(alias)` selects rows of `table`. `loops` are pairs of a column and a parameter with
    a list of its values, for the leading columns of an index: the page is merged from one ordered
    scan for each value, because a single scan with IN would have to sort all rows that match.
    `total` returns the SELECT of the number of rows, if counters have it.
    """

    table: str
    order: Order
    conditions: Callable[[str], list[str]]
    loops: tuple[tuple[str, str], ...] = ()
    total: Callable[[], str] | None = None

    def where(self, alias: str, *bounds: str) -> str:
        """SQL of all conditions, including those of the loops and the bounds of cursors."""
        looped = [
            f"{alias}.{column} IN (SELECT value FROM json_each({values}))"
            for column, values in self.loops
        ]
        return filters.all_of([*looped, *self.bounded(alias, bounds)])

    def bounded(self, alias: str, bounds: Sequence[str]) -> list[str]:
        """The conditions, and the bounds of cursors.

        SQLite uses one bound on each side to seek in an index. If the filter and a cursor both
        bound the order's column on the same side, a `+` disables the filter's bound for that.
        Otherwise SQLite might seek by it, and read all rows up to the cursor.
        """
        column = f"{alias}.{self.order.columns[0]}"
        sides = [side for side in "<>" if any(f"){side}" in bound for bound in bounds)]
        disabled = tuple(f"{column}{side}" for side in sides)
        conditions = self.conditions(alias)
        return [*(f"+{c}" if c.startswith(disabled) else c for c in conditions), *bounds]


def connection(field: Field, listing: Listing) -> str:
    """SQL of a connection's JSON: edges, nodes, pageInfo and totalCount, each only if selected."""
    backward = field.argument("last") is not None and field.argument("first") is None
    sized_by = "last" if backward else "first"
    if field.argument("first") is not None and field.argument("last") is not None:
        field.refuse("Give `first` or `last`, not both.", "last")
    size, limit = page_limit(field, sized_by, default=DEFAULT_PAGE_SIZE, most=MAX_PAGE_SIZE)
    page = _Page(field, listing, limit, size, backward=backward)
    for cursor in ("after", "before"):
        if field.argument(cursor) is not None:
            page.key(cursor)  # validates the cursor, even if the selection does not need it
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
    """The SELECT of the number of rows on all pages."""
    if listing.total is not None:
        return listing.total()
    alias = field.new_alias()
    return f"SELECT count(*) FROM {listing.table} {alias} WHERE {listing.where(alias)}"


class _Page:
    """The rows of one page, aggregated once into the columns that the selection needs."""

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
        """SQL of the list of `element` over the page's rows."""
        return self._column(sql.joined(element))

    def edges(self, part: Field) -> str:
        """SQL of the edges: each has a node and its cursor."""
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
        """SQL of PageInfo; `hasNextPage` and `hasPreviousPage` read one row each."""
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
            # In the direction of paging: a page that is not full is the last one.
            end = f"({self._cursors()}->>'$[{'#-1' if forward else '0'}]')"
            beyond = order.beyond(alias, order.key_of(end), reverse=not forward)
            full = f"{self._column('count(*)')}={self._limit} AND {self._limit}>0 AND "
        else:
            # In the other direction: there are rows only on the other side of a cursor.
            cursor = "before" if forward else "after"
            if self._field.argument(cursor) is None:
                return "'false'"
            beyond = order.beyond(alias, self.key(cursor), reverse=not forward, inclusive=True)
            full = ""
        where = self._listing.where(alias, beyond)
        exists = f"EXISTS (SELECT 1 FROM {self._listing.table} {alias} WHERE {where})"
        return f"iif({full}{exists},'true','false')"

    def key(self, argument: str) -> str:
        """SQL of the key in the cursor of an argument."""
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
        """The SELECT of the columns, aggregated over the page's rows."""
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


# One function for each order and column, so that equal parameters are recognised.
_PARTS: dict[Order, list[Callable[[object], Value]]] = {}


def instance_order(field: Field) -> Order:
    """The Order of the field's `orderBy: InstanceOrder`; newest first if it is absent."""
    order_by = field.argument("orderBy") or {}
    by_update = order_by.get("field") == InstanceOrderField.UPDATED_AT
    return Order(
        "U" if by_update else "C",
        ("updated_at" if by_update else "created_at", "id"),
        descending=order_by.get("direction") != OrderDirection.ASC,
    )


def instances(field: Field, owner: Callable[[str], list[str]] | None = None) -> str:
    """The connection of instances with `filter` and `orderBy`, of one owner or of all."""
    order = instance_order(field)
    loops: list[tuple[str, str]] = []
    instance_filter = field.argument("filter") or {}
    if order.letter == "C" and instance_filter.get("search") is None:
        for name in ("workflow", "status"):
            values = instance_filter.get(name)
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
    """The SELECT of (status, count) from the counters; None if the filter needs the instances."""
    instance_filter = field.argument("filter") or {}
    counted = ("workflow", "status")
    if field.principal.is_restricted or any(
        value is not None for name, value in instance_filter.items() if name not in counted
    ):
        return None
    where = filters.all_of(
        ["count>0", *(c for name in counted for c in filters.one_of(field, name, "filter", name))]
    )
    return f"SELECT status,sum(count) AS count FROM status_counts WHERE {where} GROUP BY status"


def owned_instances(on: str) -> Expression:
    """The connection of the instances for which `on` holds (`{r}` an instance, `{t}` its owner)."""

    def expression(field: Field) -> str:
        return instances(
            field, lambda alias: [on.replace("{t}", field.alias).replace("{r}", alias)]
        )

    return expression


def workflows(field: Field) -> str:
    """The connection of all workflows by name, or of those whose name begins with `search`."""

    def conditions(alias: str) -> list[str]:
        found = filters.workflow_visible(field, alias)
        if field.argument("search") is not None:
            low = field.parameter("search", convert=filters.prefix_start)
            high = field.parameter("search", convert=filters.prefix_end)
            found += [f"{alias}.name>={low}", f"{alias}.name<{high}"]
        return found

    return connection(field, Listing("workflows", WORKFLOWS_BY_NAME, conditions))
