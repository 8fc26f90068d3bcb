"""Pages of the event log, oldest first.

If the filter names an instance or a reference, an index finds its events. Otherwise a page scans up
to MAX_EVENTS_SCANNED events of the log; a page that ends there has `hasMore`.

Cursors are positions in the whole log. A caller with restrictions gets the cursors of its own
events, so that it does not learn how many other events there are.

Example:

    { events(after: "0000000000000005") { events { type } } }

becomes

    SELECT … format('{"events":%s}',t3.events)
    FROM (SELECT format('[%s]',group_concat(…)) AS events,count(*) AS n,max(t9.id) AS last
        FROM (SELECT * FROM events t4
            WHERE t4.id>CAST(?1 AS INTEGER) ORDER BY t4.id LIMIT 100) t9) t3…
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
from resolvers.ports.sql import HEAD, integer

Conditions: TypeAlias = Callable[[str], list[str]]

_CURSOR = re.compile(r"[0-9]{16}")
# The last position that D1 can bind, as a float.
_LAST = 2**53 - 1
# SQL of the head of the log before the write of the same batch (see runtime/notifications.mjs).
HEAD_BEFORE_WRITE = "(SELECT max(marked) FROM trackers)"

# Precedes a subscription's result that has no cursor.
NO_CURSOR = " " * 16


def parse_cursor(value: object) -> str:
    """Return an EventCursor as it is; ValueError if the API cannot have made it."""
    if not isinstance(value, str) or not _CURSOR.fullmatch(value):
        raise ValueError("must be an event cursor of 16 digits")
    if int(value) > _LAST:
        raise ValueError(f"must be an event cursor, at most {_LAST:016}")
    return value


def cursor_position(value: object) -> int:
    """Return the position in the log of a coerced cursor, 0 for none."""
    return int(str(value)) if value is not None else 0


def cursor_text(position: str) -> str:
    """SQL of the cursor of a position, padded with zeros so that cursors sort like positions."""
    return f"format('%016d',{position})"


def of_log(field: Field) -> str:
    """`Query.events`: all events that `filter` and the principal's restrictions select."""
    narrow = _is_narrow(field)
    scan = not narrow and bool(_selected(field, "", narrow=False))
    instance = field.new_alias()
    visible = filters.visible(field, instance)
    return _page(
        field,
        lambda alias: _selected(field, alias, narrow=narrow),
        own_head=own_head(field.principal, instance, visible),
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
    """`Subscription.workflowEvents`: a window of the log, NULL if the filter selects none of it.

    Windows are short, so they are scanned, at a cost that does not depend on the filter. The text
    begins with the cursor for the frame that will contain the page.
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
    """SQL of the two positions of a subscription's window: after the first, up to the second.

    If the first is bound to NULL, the window begins at the head before the write of its batch.
    """
    after = integer(field.supplied("after"))
    return f"coalesce({after},{HEAD_BEFORE_WRITE})", integer(field.supplied("to"))


def own_head(caller: Principal, instance: str, visible: Sequence[str]) -> str:
    """SQL of the position of a caller's last event; without restrictions, of the head of the log.

    `visible` are the conditions for `instance`, a row of instances, to be visible. For restrictions
    to workflows only the newest MAX_EVENTS_SCANNED events are searched; if none of them is the
    caller's, the position is a round number before them.
    """
    if not caller.is_restricted:
        return HEAD
    where = filters.all_of(visible)
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
    after = integer(field.parameter("after", convert=cursor_position))
    page, inner, probe, first = (field.new_alias() for _ in range(4))
    where = [*conditions(inner), f"{inner}.id>{after}"]
    end = HEAD
    if scan:
        # Begin at the first existing event, because retention leaves gaps.
        begin = f"(SELECT min({first}.id) FROM events {first} WHERE {first}.id>{after})"
        end = f"min({HEAD},coalesce({begin},{after}+1)-1+{MAX_EVENTS_SCANNED})"
        where.append(f"{inner}.id<={end}")
    # The position that an incomplete page has reached: the end of the log, or of the scan.
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
    """SQL that is true if more events follow a position.

    `conditions` select them, on the alias `probe`. With `scan` it is also true if the log is too
    long to know.
    """
    where = [f"{probe}.id>{reached}", *conditions]
    if not scan:
        return f"EXISTS (SELECT 1 FROM events {probe} WHERE {filters.all_of(where)})"
    end = f"{reached}+{MAX_EVENTS_SCANNED}"
    where.append(f"{probe}.id<={end}")
    return f"({end}<{HEAD} OR EXISTS (SELECT 1 FROM events {probe} WHERE {filters.all_of(where)}))"


def _assemble(
    field: Field, page: str, *, size: Reader, rows: str, reached: str, more: str
) -> tuple[str, str]:
    """SQL of the JSON of a page, and of the row `page` that it is made from."""
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
    """Conditions on `alias`, a row of events, from the EventFilter and the restrictions.

    If they are `narrow`, an index leads from the selected instances to their events; otherwise each
    event is checked.
    """
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
            # An index finds the events of these instances in a window.
            selected.append(
                f"{alias}.instance IN (SELECT id FROM instances WHERE instance_id={by_id})"
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
