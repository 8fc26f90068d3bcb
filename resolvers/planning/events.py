"""Pages of the event log, oldest first."""

import re
from collections.abc import Callable
from typing import TypeAlias

from resolvers import sql
from resolvers.limits import DEFAULT_EVENTS_PAGE_SIZE, MAX_EVENTS_PAGE_SIZE
from resolvers.planning import filters
from resolvers.planning.compiler import Field, Reader
from resolvers.planning.sizes import page_limit

Conditions: TypeAlias = Callable[[str], list[str]]

_CURSOR = re.compile(r"[0-9]{16}")
# SQL of the position that the log had come to before a write (see pokes.mjs).
MARK = "(SELECT max(marked) FROM trackers)"
# SQL of the position that the log has come to. It stays when retention removes the newest events,
# so no cursor that was given out is ever ahead of it.
HEAD = "coalesce((SELECT seq FROM sqlite_sequence WHERE name='events'),0)"


def parse_cursor(value: object) -> str:
    """An EventCursor as given; ValueError where the API never made it."""
    if not isinstance(value, str) or not _CURSOR.fullmatch(value):
        raise ValueError("not an event cursor")
    return value


def cursor_number(value: object) -> int:
    """The log position in a coerced cursor; 0 for none."""
    return int(str(value)) if value is not None else 0


def cursor_text(number: str) -> str:
    """SQL of the cursor of a log position: as wide as positions get, so text sorts like them."""
    return f"format('%016d',{number})"


def of_log(field: Field) -> str:
    """`Query.events`: all events that `filter` and the principal's limits select."""
    return _page(field, lambda alias: _selected(field, alias))


def of_instance(field: Field) -> str:
    """`WorkflowInstance.events`."""
    return _page(field, lambda alias: [f"{alias}.instance={field.alias}.id"])


def of_window(field: Field) -> str:
    """`Subscription.workflowEvents`: a window of the log, NULL where nothing in it is selected.

    Windows are short, so they are scanned: what one costs does not depend on the filter.
    """
    page, inner, probe = (field.new_alias() for _ in range(3))
    after, to = window(field)
    reached = f"min({to},{HEAD})"
    where = [f"{inner}.id>{after}", f"{inner}.id<={to}", *_selected(field, inner, scan=True)]
    more = [f"{probe}.id>{reached}", *_selected(field, probe, scan=True)]
    return _assemble(
        field,
        page,
        size=lambda binding: binding.values.get("window", 1),
        rows=f"SELECT * FROM events {inner} WHERE {filters.all_of(where)} ORDER BY {inner}.id",
        reached=reached,
        more=f"EXISTS (SELECT 1 FROM events {probe} WHERE {filters.all_of(more)})",
        where=f" WHERE {page}.n>0",
    )


def window(field: Field) -> tuple[str, str]:
    """The positions of the log behind which a subscription's window begins and at which it ends.

    NULL for the beginning is where the write in whose batch this is read has found the log.
    """
    after = integer(field.of_request("after"))
    return f"coalesce({after},{MARK})", integer(field.of_request("to"))


def integer(number: str) -> str:
    """D1 binds every number as a REAL."""
    return f"CAST({number} AS INTEGER)"


def _page(field: Field, conditions: Conditions) -> str:
    size, limit = page_limit(
        field, "first", default=DEFAULT_EVENTS_PAGE_SIZE, most=MAX_EVENTS_PAGE_SIZE
    )
    after = integer(field.parameter("after", convert=cursor_number))
    page, inner, probe = (field.new_alias() for _ in range(3))
    where = filters.all_of([*conditions(inner), f"{inner}.id>{after}"])
    beyond = filters.all_of([*conditions(probe), f"{probe}.id>{page}.last"])
    return _assemble(
        field,
        page,
        size=size,
        rows=f"SELECT * FROM events {inner} WHERE {where} ORDER BY {inner}.id LIMIT {limit}",
        # Where nothing is selected, everything up to the head of the log has been looked at.
        reached=f"coalesce({page}.last,max({after},{HEAD}))",
        more=f"{page}.n={limit} AND {limit}>0"
        f" AND EXISTS (SELECT 1 FROM events {probe} WHERE {beyond})",
    )


def _assemble(
    field: Field, page: str, *, size: Reader, rows: str, reached: str, more: str, where: str = ""
) -> str:
    """The JSON of a page: what is selected of it, on the one row `page` that `rows` come to."""
    row = field.new_alias()
    bodies = "'[]'"
    members = []
    for key, part in field.subfields():
        match part.name:
            case "events":
                bodies = sql.joined(part.bodies(row, size))
                members.append((key, f"{page}.events"))
            case "cursor":
                members.append((key, sql.word(cursor_text(reached))))
            case "hasMore":
                members.append((key, f"iif({more},'true','false')"))
            case _:
                members.append((key, sql.json_literal(field.type.name)))
    return (
        f"(SELECT {sql.json_object(members)} FROM (SELECT {bodies} AS events,count(*) AS n,"
        f"max({row}.id) AS last FROM ({rows}) {row}) {page}{where})"
    )


def _selected(field: Field, alias: str, *, scan: bool = False) -> list[str]:
    """What the field's EventFilter and the principal's limits ask of `alias`, a row of events.

    With `scan` the rows are few by other conditions, and each is looked at.
    """
    instance = field.new_alias()
    selected = [
        *filters.one_of(field, f"{alias}.status", "filter", "status"),
        *filters.one_of(field, f"{alias}.type", "filter", "type"),
    ]
    conditions = filters.visible(field, instance)
    if field.argument("filter", "instanceId") is not None:
        by_id = field.parameter("filter", "instanceId")
        if scan:
            # An index knows what one instance has of a window.
            selected.append(
                f"{alias}.instance=(SELECT id FROM instances WHERE instance_id={by_id})"
            )
        else:
            conditions.append(f"{instance}.instance_id={by_id}")
    conditions += filters.referring(field, instance, "filter", "reference")
    narrow = bool(conditions) and not scan
    conditions += filters.one_of(field, f"{instance}.workflow", "filter", "workflow")
    if narrow:
        # Few instances: go from them to their events.
        selected.append(
            f"{alias}.instance IN (SELECT {instance}.id FROM instances {instance}"
            f" WHERE {filters.all_of(conditions)})"
        )
    elif conditions:
        selected.append(
            f"EXISTS (SELECT 1 FROM instances {instance}"
            f" WHERE {instance}.id={alias}.instance AND {filters.all_of(conditions)})"
        )
    return selected
