"""Pages of the event log, oldest first."""

import re
from collections.abc import Callable
from typing import TypeAlias

from resolvers import sql
from resolvers.limits import DEFAULT_EVENTS_PAGE_SIZE, MAX_EVENTS_PAGE_SIZE
from resolvers.planning import filters
from resolvers.planning.compiler import Field
from resolvers.planning.sizes import page_limit

Conditions: TypeAlias = Callable[[str], list[str]]

_CURSOR = re.compile(r"[0-9]{16}")


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


def _page(field: Field, conditions: Conditions) -> str:
    size, limit = page_limit(
        field, "first", default=DEFAULT_EVENTS_PAGE_SIZE, most=MAX_EVENTS_PAGE_SIZE
    )
    after = f"CAST({field.parameter('after', convert=cursor_number)} AS INTEGER)"
    row, inner, page, probe = (field.new_alias() for _ in range(4))
    bodies = "'[]'"
    more = f"iif({page}.n={limit} AND {limit}>0 AND EXISTS (SELECT 1 FROM events {probe} WHERE " + (
        filters.all_of([*conditions(probe), f"{probe}.id>{page}.last"]) + "),'true','false')"
    )
    # Where nothing is selected, everything up to the head of the log has been looked at.
    reached = f"coalesce({page}.last,max({after},coalesce((SELECT max(id) FROM events),0)))"
    members = []
    for key, part in field.subfields():
        match part.name:
            case "events":
                bodies = sql.joined(part.bodies(row, size))
                members.append((key, f"{page}.events"))
            case "cursor":
                members.append((key, sql.word(cursor_text(reached))))
            case "hasMore":
                members.append((key, more))
            case _:
                members.append((key, sql.json_literal(field.type.name)))
    where = filters.all_of([*conditions(inner), f"{inner}.id>{after}"])
    rows = f"(SELECT * FROM events {inner} WHERE {where} ORDER BY {inner}.id LIMIT {limit}) {row}"
    return (
        f"(SELECT {sql.json_object(members)} FROM (SELECT {bodies} AS events,count(*) AS n,"
        f"max({row}.id) AS last FROM {rows}) {page})"
    )


def _selected(field: Field, alias: str) -> list[str]:
    instance = field.new_alias()
    conditions = filters.visible(field, instance)
    if field.argument("filter", "instanceId") is not None:
        conditions.append(f"{instance}.instance_id={field.parameter('filter', 'instanceId')}")
    conditions += filters.referring(field, instance, "filter", "reference")
    selected = [
        *filters.one_of(field, f"{alias}.status", "filter", "status"),
        *filters.one_of(field, f"{alias}.type", "filter", "type"),
    ]
    narrow = bool(conditions)
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
