"""Pages, ranges and slices of time for the reference, over whole lists in memory."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from graphql import GraphQLError

Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Ordering:
    """The order of a list, with the form of its cursors."""

    letter: str
    key: Callable[[Row], Key]
    descending: bool

    def cursor(self, row: Row) -> str:
        """The cursor of a row."""
        return self.letter + ",".join(str(part) for part in self.key(row))

    def parse(self, cursor: str) -> Key:
        """The key in a cursor; GraphQLError if it is not one of this list and order."""
        if self.letter == "N" and cursor.startswith("N"):
            return (cursor[1:],)
        instant = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        match = re.fullmatch(rf"{self.letter}({instant}),(\d{{1,15}})", cursor)
        if self.letter == "N" or match is None:
            raise GraphQLError("must be a cursor of this list in this order")
        return (match[1], int(match[2]))

    def before(self, first: Key, second: Key) -> bool:
        """True if `first` comes strictly before `second`."""
        return first > second if self.descending else first < second


BY_NAME = Ordering("N", lambda row: (row["name"],), descending=False)


def by_instant(args: dict[str, Any]) -> Ordering:
    """The order of `orderBy`."""
    given = args.get("orderBy") or {}
    column = "updated_at" if given.get("field") == "UPDATED_AT" else "created_at"
    return Ordering(
        column[0].upper(),
        lambda row: (row[column], row["id"]),
        descending=given.get("direction") != "ASC",
    )


def size_of(value: int | None, default: int, limit: int) -> int:
    """A page size; GraphQLError if it is out of bounds."""
    if value is None:
        return default
    if not 0 <= value <= limit:
        raise GraphQLError("page size")
    return value


def connection(kind: str, rows: list[Row], args: dict[str, Any], order: Ordering) -> Row:
    """A page of a list, by Relay's connection specification."""
    first, last = args.get("first"), args.get("last")
    if first is not None and last is not None:
        raise GraphQLError("both first and last")
    backward = last is not None
    size = size_of(last if backward else first, 20, 100)
    after = order.parse(args["after"]) if args.get("after") is not None else None
    before = order.parse(args["before"]) if args.get("before") is not None else None
    keyed = sorted(((order.key(row), row) for row in rows), key=lambda pair: pair[0])
    if order.descending:
        keyed.reverse()
    inside = [
        pair
        for pair in keyed
        if (after is None or order.before(after, pair[0]))
        and (before is None or order.before(pair[0], before))
    ]
    page = inside[max(0, len(inside) - size) :] if backward else inside[:size]
    # In the direction of paging, rows may follow a full page; on the other side, rows exist only
    # behind a given cursor.
    full = size > 0 and len(page) == size
    if backward:
        previous = full and any(order.before(key, page[0][0]) for key, _ in keyed)
        following = before is not None and any(not order.before(key, before) for key, _ in keyed)
    else:
        previous = after is not None and any(not order.before(after, key) for key, _ in keyed)
        following = full and any(order.before(page[-1][0], key) for key, _ in keyed)
    cursors = [order.cursor(row) for _, row in page]
    return {
        "edges": [
            {"node": row, "cursor": cursor} for (_, row), cursor in zip(page, cursors, strict=True)
        ],
        "nodes": [row for _, row in page],
        "page_info": {
            "has_next_page": following,
            "has_previous_page": previous,
            "start_cursor": cursors[0] if cursors else None,
            "end_cursor": cursors[-1] if cursors else None,
        },
        "total_count": len(rows),
        "__typename": f"{kind}Connection",
    }


def event_page(events: list[Row], log: list[Row], args: dict[str, Any], *, limited: bool) -> Row:
    """A page of the log. The cursor of an empty one is the head of the log, which a caller with
    restrictions does not get."""
    size = size_of(args.get("first"), 100, 1000)
    after = int(args.get("after") or 0)
    ahead = sorted((row for row in events if row["id"] > after), key=lambda row: int(row["id"]))
    page = ahead[:size]
    head = max((row["id"] for row in log), default=0)
    if page:
        reached = page[-1]["id"]
    elif not limited:
        reached = head
    else:
        reached = after if size else max((row["id"] for row in events), default=0)
    return {
        "events": page,
        "cursor": f"{reached:016}",
        "has_more": size > 0 and len(ahead) > size,
    }


def prefix(search: str) -> Callable[[str | None], bool]:
    """A function that is true of values that start with `search`."""
    if not 1 <= len(search) <= 256:
        raise GraphQLError("search")
    return lambda value: value is not None and value.startswith(search)


def between(value: str | None, given: dict[str, Any]) -> bool:
    """True if an instant is in a DateTimeRange."""
    low, high = given.get("from"), given.get("to")
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value < high)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(instant: str) -> int:
    """Milliseconds since 1970."""
    return round((datetime.fromisoformat(instant) - _EPOCH) / timedelta(milliseconds=1))


def instant_of(milliseconds: int) -> str:
    """An instant as the API writes it."""
    text = (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def timeline(rows: list[Row], given: dict[str, Any] | None, args: dict[str, Any]) -> list[Row]:
    """Equal slices of filter.createdAt, by default of the last 24 hours."""
    slices = args.get("slices")
    slices = 24 if slices is None else slices
    if not 1 <= slices <= 1000:
        raise GraphQLError("slices")
    span = (given or {}).get("createdAt") or {}
    now = round((datetime.now(UTC) - _EPOCH) / timedelta(milliseconds=1))
    low = epoch_ms(span["from"]) if span.get("from") is not None else now - 86_400_000
    high = epoch_ms(span["to"]) if span.get("to") is not None else now
    high = max(high, low + 1)
    moments = {
        "started": [row["started_at"] for row in rows],
        "completed": [row["completed_at"] for row in rows if row["status"] == "COMPLETED"],
        "errored": [row["completed_at"] for row in rows if row["status"] == "ERRORED"],
    }
    found = []
    for number in range(slices):
        start = low + (high - low) * number // slices
        end = low + (high - low) * (number + 1) // slices
        found.append(
            {
                "from": instant_of(start),
                "to": instant_of(end),
                **{
                    kind: sum(start <= epoch_ms(m) < end for m in instants if m is not None)
                    for kind, instants in moments.items()
                },
            }
        )
    return found
