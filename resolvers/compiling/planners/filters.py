"""Conditions on instances, from filters and from the principal's restrictions.

Example:

    { instances(filter: { status: [RUNNING], retrying: true }) { totalCount } }

becomes

    SELECT … (SELECT count(*) FROM instances t3 WHERE t3.status=?1 AND t3.retrying_steps>0)…
"""

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

from resolvers.access import visibility
from resolvers.base import names
from resolvers.base.limits import MAX_FILTER_VALUES, MAX_SEARCH
from resolvers.compiling.fields import Field
from resolvers.ports.sql import now_shifted

# The greatest code point. A text begins with a prefix if it is at least the prefix, and less than
# the prefix with this character.
_LAST = "\U0010ffff"

_RANGES = (
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
    ("completedAt", "completed_at"),
)


def visible(field: Field, alias: str) -> list[str]:
    """Conditions for `alias`, a row of instances, to be visible to the principal."""
    return visibility.visible(field.principal.restrictions.shape, alias, field.restriction)


def identified(
    field: Field, alias: str, *, by_id: str, by_workflow: str | None, ambiguous: str = "NULL"
) -> list[str]:
    """Conditions for `alias` to be the visible instance with an id (see visibility.py)."""
    return visibility.identified(
        field.principal.restrictions.shape,
        alias,
        field.restriction,
        by_id=by_id,
        by_workflow=by_workflow,
        ambiguous=ambiguous,
    )


def identified_value(field: Field, value: str, *, by_id: str, by_workflow: str | None) -> str:
    """SQL of a value of the visible instance with an id (see visibility.py)."""
    return visibility.identified_value(
        field.principal.restrictions.shape,
        value,
        field.restriction,
        by_id=by_id,
        by_workflow=by_workflow,
    )


def was_visible(field: Field, alias: str, *, ref_type: str, ref_id: str) -> list[str]:
    """Like `visible`, for an instance while it belonged to the reference of these parameters."""
    by_reference, workflows, instance = field.principal.restrictions.shape
    conditions = visibility.visible((False, workflows, instance), alias, field.restriction)
    if by_reference:
        conditions.append(f"{ref_type}={field.restriction('ref_type')}")
        conditions.append(f"{ref_id}={field.restriction('ref_id')}")
    return conditions


def workflow_visible(field: Field, alias: str) -> list[str]:
    """Conditions for `alias`, a row of workflows, to be visible to the principal.

    A caller that is restricted to a reference or an instance sees the workflows of its instances.
    """
    restrictions = field.principal.restrictions
    if restrictions.reference is None and restrictions.instance_id is None:
        if restrictions.workflows is None:
            return []
        return [f"{alias}.name IN (SELECT value FROM json_each({field.restriction('workflows')}))"]
    instance = field.new_alias()
    conditions = [f"{instance}.workflow={alias}.name", *visible(field, instance)]
    return [f"EXISTS (SELECT 1 FROM instances {instance} WHERE {all_of(conditions)})"]


def all_of(conditions: Iterable[str]) -> str:
    """SQL that is true if all conditions are, or if there are none."""
    return " AND ".join(conditions) or "1"


def values_text(values: Any) -> str:
    """Return a list of enum values or workflow names as JSON text, for json_each."""
    if len(values) > MAX_FILTER_VALUES:
        raise ValueError(f"must have at most {MAX_FILTER_VALUES} values")
    return json.dumps([_value(value) for value in values], ensure_ascii=False)


def one_value(values: Any) -> str:
    """Return the only element of a list argument."""
    return _value(values[0])


def _value(value: object) -> str:
    return str(value) if isinstance(value, Enum) else names.workflow_name(value)


def one_of(field: Field, column: str, *argument: str) -> list[str]:
    """The condition that `column` is among the values of a list argument; none if it is absent."""
    values = field.argument(*argument)
    if values is None:
        return []
    if len(values) == 1:
        return [f"{column}={field.parameter(*argument, convert=one_value)}"]
    text = field.parameter(*argument, convert=values_text)
    return [f"{column} IN (SELECT value FROM json_each({text}))"]


def selected(field: Field, alias: str, *, skip: tuple[str, ...] = ()) -> list[str]:
    """Conditions on `alias`, a row of instances, from `filter: InstanceFilter` and restrictions.

    `skip` names list members for which the caller loops over their values instead.
    """
    conditions = visible(field, alias)
    instance_filter = field.argument("filter")
    if not instance_filter:
        return conditions
    for name, column in (("workflow", "workflow"), ("status", "status")):
        if name not in skip:
            conditions += one_of(field, f"{alias}.{column}", "filter", name)
    conditions += referring(field, alias, "filter", "reference")
    if instance_filter.get("search") is not None:
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
    retrying = instance_filter.get("retrying")
    if retrying is not None:
        conditions.append(f"{alias}.retrying_steps" + (">0" if retrying else "=0"))
    if instance_filter.get("stalledFor") is not None:
        # SQLite uses the partial index on unfinished instances because of `completed_at IS NULL`.
        ago = field.parameter("filter", "stalledFor", convert=seconds_ago)
        conditions.append(f"{alias}.completed_at IS NULL")
        conditions.append(f"{alias}.updated_at<={now_shifted(ago)}")
    return conditions


def referring(field: Field, alias: str, *argument: str) -> list[str]:
    """Conditions on `alias`, a row of instances, from a ReferenceFilter argument."""
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
    """Return the start of the range of texts with a prefix; ValueError for a bad length."""
    if not 1 <= len(search) <= MAX_SEARCH:
        raise ValueError(f"must have 1 to {MAX_SEARCH} characters")
    return search


def prefix_end(search: str) -> str:
    """Return the end of the range of texts with a prefix."""
    return search + _LAST


def seconds_ago(duration_ms: int) -> str:
    """Return SQLite's date modifier for a duration before now."""
    return f"-{duration_ms / 1000:.3f} seconds"
