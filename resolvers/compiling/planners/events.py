"""Pages of the event log, oldest first.

What a filter leaves over is found by an index where it names an instance or a reference. Otherwise
the log is scanned, MAX_EVENTS_SCANNED events a page; a page that ends there has `hasMore`.

Cursors are positions in the whole log. A caller with restrictions gets those of its own events, so
that it does not learn how much else happens.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from resolvers.access.principals import Principal
from resolvers.base.limits import DEFAULT_EVENTS_PAGE_SIZE, MAX_EVENTS_PAGE_SIZE, MAX_EVENTS_SCANNED
from resolvers.base.names import instance_id
from resolvers.compiling.binding import Reader
from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters
from resolvers.compiling.planners.sizes import page_limit
from resolvers.ports import sql
from resolvers.ports.sql import HEAD

Conditions: TypeAlias = Callable[[str], list[str]]

_CURSOR = re.compile(r"[0-9]{16}")
# The last position that D1 can bind, as a float.
_LAST = 2**53 - 1
# SQL of the position that the log had come to before a write (see pokes.mjs).
MARK = "(SELECT max(marked) FROM trackers)"

# What stands in front of a subscription's result in place of a cursor.
NO_CURSOR = " " * 16


def parse_cursor(value: object) -> str:
    """An EventCursor as given; ValueError where the API never made it."""
    if not isinstance(value, str) or not _CURSOR.fullmatch(value) or int(value) > _LAST:
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
    narrow = _is_narrow(field)
    scan = not narrow and bool(_selected(field, "", narrow=False))
    instance = field.new_alias()
    seen = filters.visible(field, instance)
    return _page(
        field,
        lambda alias: _selected(field, alias, narrow=narrow),
        own_head=own_head(field.principal, instance, seen),
        scan=scan,
    )


def of_instance(field: Field) -> str:
    """`WorkflowInstance.events`."""
    latest = f"SELECT max(id) FROM events WHERE instance={field.alias}.id"
    return _page(
        field,
        lambda alias: [f"{alias}.instance={field.alias}.id"],
        own_head=f"coalesce(({latest}),0)",
        scan=False,
    )


def of_window(field: Field) -> str:
    """`Subscription.workflowEvents`: a window of the log, NULL where nothing in it is selected.

    Windows are short, so they are scanned: what one costs does not depend on the filter. The page's
    cursor stands in front of it, for the frame it goes into.
    """
    page, inner, probe = (field.new_alias() for _ in range(3))
    after, to = window(field)
    reached = f"{page}.last" if field.principal.is_restricted else f"min({to},{HEAD})"
    where = [f"{inner}.id>{after}", f"{inner}.id<={to}", *_selected(field, inner, narrow=False)]
    body, source = _assemble(
        field,
        page,
        size=lambda binding: binding.values.get("window", 1),
        rows=f"SELECT * FROM events {inner} WHERE {filters.all_of(where)} ORDER BY {inner}.id",
        reached=reached,
        more=_more(reached, probe, _selected(field, probe, narrow=False), scan=True),
    )
    return f"(SELECT {cursor_text(reached)}||{body} FROM {source} WHERE {page}.n>0)"


def window(field: Field) -> tuple[str, str]:
    """The positions of the log behind which a subscription's window begins and at which it ends.

    NULL for the beginning is where the write in whose batch this is read has found the log.
    """
    after = integer(field.supplied("after"))
    return f"coalesce({after},{MARK})", integer(field.supplied("to"))


def integer(number: str) -> str:
    """D1 binds every number as a REAL."""
    return f"CAST({number} AS INTEGER)"


def own_head(caller: Principal, instance: str, seen: Sequence[str]) -> str:
    """SQL of the position of a caller's last event; for one without restrictions, of the log.

    `seen` are the conditions that keep `instance`, a row of instances, inside them. Of workflows
    the newest part of the log is looked at; further back, it is a round number.
    """
    if not caller.is_restricted:
        return HEAD
    where = filters.all_of(seen)
    if caller.sees_few_instances:
        last = f"(SELECT max(id) FROM events WHERE instance={instance}.id)"
        return f"(SELECT coalesce(max({last}),0) FROM instances {instance} WHERE {where})"
    exists = f"EXISTS (SELECT 1 FROM instances {instance} WHERE {instance}.id=instance AND {where})"
    newest = f"SELECT id FROM events WHERE id>{HEAD}-{MAX_EVENTS_SCANNED} AND {exists}"
    return (
        f"coalesce(({newest} ORDER BY id DESC LIMIT 1),"
        f"max(0,{HEAD}/{MAX_EVENTS_SCANNED}-1)*{MAX_EVENTS_SCANNED})"
    )


def _is_narrow(field: Field) -> bool:
    """True if few instances are selected, so that an index leads from them to their events."""
    return field.principal.sees_few_instances or any(
        field.argument("filter", *names) is not None
        for names in (("instanceId",), ("reference", "refId"))
    )


def _page(field: Field, conditions: Conditions, *, own_head: str, scan: bool) -> str:
    size, limit = page_limit(
        field, "first", default=DEFAULT_EVENTS_PAGE_SIZE, most=MAX_EVENTS_PAGE_SIZE
    )
    after = integer(field.parameter("after", convert=cursor_number))
    page, inner, probe, first = (field.new_alias() for _ in range(4))
    where = [*conditions(inner), f"{inner}.id>{after}"]
    end = HEAD
    if scan:
        # From the first event there is: retention leaves gaps.
        begin = f"(SELECT min({first}.id) FROM events {first} WHERE {first}.id>{after})"
        end = f"min({HEAD},coalesce({begin},{after}+1)-1+{MAX_EVENTS_SCANNED})"
        where.append(f"{inner}.id<={end}")
    # Where a page has come to that is not full: to the end of the log, or of what it looked at.
    rest = f"coalesce({page}.last,{after if field.principal.is_restricted else HEAD})"
    if scan:
        rest = f"iif({end}<{HEAD},{end},{rest})"
    is_full = f"({page}.n={limit} AND {limit}>0)"
    body, source = _assemble(
        field,
        page,
        size=size,
        rows=f"SELECT * FROM events {inner} WHERE {filters.all_of(where)}"
        f" ORDER BY {inner}.id LIMIT {limit}",
        reached=f"CASE WHEN {is_full} THEN {page}.last WHEN {limit}=0 THEN {own_head}"
        f" ELSE {rest} END",
        more=f"iif({is_full},{_more(f'{page}.last', probe, conditions(probe), scan=scan)},"
        f"{limit}>0 AND {end}<{HEAD})",
    )
    return f"(SELECT {body} FROM {source})"


def _more(reached: str, probe: str, conditions: Sequence[str], *, scan: bool) -> str:
    """SQL that is true if the log goes on behind a position with what the conditions on `probe`
    select, or so far that it is not known."""
    where = [f"{probe}.id>{reached}", *conditions]
    if not scan:
        return f"EXISTS (SELECT 1 FROM events {probe} WHERE {filters.all_of(where)})"
    end = f"{reached}+{MAX_EVENTS_SCANNED}"
    where.append(f"{probe}.id<={end}")
    return f"({end}<{HEAD} OR EXISTS (SELECT 1 FROM events {probe} WHERE {filters.all_of(where)}))"


def _assemble(
    field: Field, page: str, *, size: Reader, rows: str, reached: str, more: str
) -> tuple[str, str]:
    """The JSON of a page: what is selected of it, and the one row `page` it is made from."""
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
    columns = f"{bodies} AS events,count(*) AS n,max({row}.id) AS last"
    return sql.json_object(members), f"(SELECT {columns} FROM ({rows}) {row}) {page}"


def _selected(field: Field, alias: str, *, narrow: bool) -> list[str]:
    """The conditions of the field's EventFilter and the principal's limits on `alias`, a row of
    events: looked up from few instances if it is `narrow`, else true or false of each event."""
    instance = field.new_alias()
    selected = [
        *filters.one_of(field, f"{alias}.status", "filter", "status"),
        *filters.one_of(field, f"{alias}.type", "filter", "type"),
    ]
    conditions = filters.visible(field, instance)
    if field.argument("filter", "instanceId") is not None:
        by_id = field.parameter("filter", "instanceId", convert=instance_id)
        if narrow:
            conditions.append(f"{instance}.instance_id={by_id}")
        else:
            # An index knows what one instance has of a window.
            selected.append(
                f"{alias}.instance=(SELECT id FROM instances WHERE instance_id={by_id})"
            )
    conditions += filters.referring(field, instance, "filter", "reference")
    conditions += filters.one_of(field, f"{instance}.workflow", "filter", "workflow")
    if narrow:
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
