"""Conditions on instances: what a filter selects and what a principal may see."""

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

from resolvers.access import visibility
from resolvers.base import names
from resolvers.base.limits import MAX_FILTER_VALUES, MAX_SEARCH
from resolvers.compiling.fields import Field
from resolvers.ports.sql import now_shifted

# The greatest code point: a prefix's range ends below prefix + this.
_LAST = "\U0010ffff"

_RANGES = (
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
    ("completedAt", "completed_at"),
)


def visible(field: Field, alias: str) -> list[str]:
    """What keeps `alias`, a row of instances, inside the principal's limits."""
    return visibility.visible(field.principal.restrictions.shape, alias, field.restriction)


def visible_of(field: Field, alias: str, ref_type: str, ref_id: str) -> list[str]:
    """As `visible`, for when the instance belonged to the reference that these parameters name."""
    limited, workflows, instance = field.principal.restrictions.shape
    conditions = visibility.visible((False, workflows, instance), alias, field.restriction)
    if limited:
        conditions.append(f"{ref_type}={field.restriction('ref_type')}")
        conditions.append(f"{ref_id}={field.restriction('ref_id')}")
    return conditions


def workflow_visible(field: Field, alias: str) -> list[str]:
    """What keeps `alias`, a row of workflows, inside the principal's limits.

    A limit to a reference or an instance shows the workflows of what it shows.
    """
    limits = field.principal.restrictions
    if limits.reference is None and limits.instance_id is None:
        if limits.workflows is None:
            return []
        return [f"{alias}.name IN (SELECT value FROM json_each({field.restriction('workflows')}))"]
    instance = field.new_alias()
    conditions = [f"{instance}.workflow={alias}.name", *visible(field, instance)]
    return [f"EXISTS (SELECT 1 FROM instances {instance} WHERE {all_of(conditions)})"]


def all_of(conditions: Iterable[str]) -> str:
    """The conjunction; true where there is nothing to hold."""
    return " AND ".join(conditions) or "1"


def values_text(values: Any) -> str:
    """A list argument as the JSON text that json_each reads; of names those of workflows."""
    if len(values) > MAX_FILTER_VALUES:
        raise ValueError(f"at most {MAX_FILTER_VALUES} values")
    return json.dumps([_value(value) for value in values], ensure_ascii=False)


def one_value(values: Any) -> str:
    """The only element of a list argument."""
    return _value(values[0])


def _value(value: object) -> str:
    return str(value) if isinstance(value, Enum) else names.workflow_name(value)


def one_of(field: Field, column: str, *argument: str) -> list[str]:
    """`column` is among the values of a list argument; nothing where it is absent."""
    values = field.argument(*argument)
    if values is None:
        return []
    if len(values) == 1:
        return [f"{column}={field.parameter(*argument, convert=one_value)}"]
    text = field.parameter(*argument, convert=values_text)
    return [f"{column} IN (SELECT value FROM json_each({text}))"]


def selected(field: Field, alias: str, *, skip: tuple[str, ...] = ()) -> list[str]:
    """The conditions of the field's `filter: InstanceFilter` on `alias`, and visibility.

    `skip` leaves out list members that the caller turns into a loop over their values.
    """
    conditions = visible(field, alias)
    given = field.argument("filter")
    if not given:
        return conditions
    for name, column in (("workflow", "workflow"), ("status", "status")):
        if name not in skip:
            conditions += one_of(field, f"{alias}.{column}", "filter", name)
    conditions += referring(field, alias, "filter", "reference")
    if given.get("search") is not None:
        low = field.parameter("filter", "search", convert=prefix_start)
        high = field.parameter("filter", "search", convert=prefix_end)
        found = field.new_alias()
        conditions.append(
            f"{alias}.id IN ("
            + " UNION ALL ".join(
                f"SELECT {found}.id FROM instances {found}"
                f" WHERE {found}.{column}>={low} AND {found}.{column}<{high}"
                for column in ("instance_id", "ref_id", "workflow")
            )
            + ")"
        )
    for name, column in _RANGES:
        if field.argument("filter", name) is None:
            continue
        for bound, operator in (("from", ">="), ("to", "<")):
            if field.argument("filter", name, bound) is not None:
                value = field.parameter("filter", name, bound)
                conditions.append(f"{alias}.{column}{operator}{value}")
    retrying = given.get("retrying")
    if retrying is not None:
        conditions.append(f"{alias}.retrying_steps" + (">0" if retrying else "=0"))
    if given.get("stalledFor") is not None:
        # `completed_at IS NULL` is what makes the partial index on unfinished ones apply.
        ago = field.parameter("filter", "stalledFor", convert=seconds_ago)
        conditions.append(f"{alias}.completed_at IS NULL")
        conditions.append(f"{alias}.updated_at<={now_shifted(ago)}")
    return conditions


def referring(field: Field, alias: str, *argument: str) -> list[str]:
    """The conditions of a ReferenceFilter argument."""
    if field.argument(*argument) is None:
        return []
    return [
        f"{alias}.{column}={field.parameter(*argument, name, convert=convert)}"
        for name, column, convert in (
            ("refType", "ref_type", names.ref_type),
            ("refId", "ref_id", names.ref_id),
        )
        if field.argument(*argument, name) is not None
    ]


def prefix_start(search: str) -> str:
    """Where the range of a prefix starts."""
    if not 1 <= len(search) <= MAX_SEARCH:
        raise ValueError(f"must have 1 to {MAX_SEARCH} characters")
    return search


def prefix_end(search: str) -> str:
    """Where the range of a prefix ends."""
    return search + _LAST


def seconds_ago(duration_ms: int) -> str:
    """SQLite's date modifier for a duration before now."""
    return f"-{duration_ms / 1000:.3f} seconds"
