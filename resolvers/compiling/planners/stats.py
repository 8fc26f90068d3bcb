"""Statistics of the instances that a filter selects. Only the selected members are computed.

Example:

    { stats(filter: { workflow: ["order"] }) { total } }

becomes

    SELECT … format('{"total":%s}',(SELECT coalesce(sum(count),0)
        FROM (SELECT status,sum(count) AS count
            FROM status_counts WHERE count>0 AND workflow=?1 GROUP BY status)))…
"""

from resolvers.base.limits import MAX_TIMELINE_SLICES
from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters
from resolvers.compiling.planners.expressions import counted_list, milliseconds
from resolvers.compiling.planners.pages import counted_by_status
from resolvers.compiling.planners.sizes import between
from resolvers.ports import sql
from resolvers.ports.sql import NOW, integer, now_shifted

_KINDS = ("started", "completed", "errored")


def of_filter(field: Field) -> str:
    """`Query.stats`."""
    members = []
    for key, part in field.subfields():
        match part.name:
            case "total":
                counts = _counts(field)
                members.append((key, f"(SELECT coalesce(sum(count),0) FROM ({counts}))"))
            case "statusCounts":
                members.append((key, counted_list(part, _counts(field))))
            case "durationP50":
                members.append((key, _percentile(field, 50)))
            case "durationP95":
                members.append((key, _percentile(field, 95)))
            case "retryCount":
                members.append((key, _retries(field)))
            case "timeline":
                members.append((key, _timeline(field, part)))
            case _:
                members.append((key, sql.json_literal(field.type.name)))
    return sql.json_object(members)


def _counts(field: Field) -> str:
    if (counters := counted_by_status(field)) is not None:
        return counters
    alias = field.new_alias()
    return (
        f"SELECT {alias}.status AS status,count(*) AS count FROM instances {alias}"
        f" WHERE {filters.all_of(filters.selected(field, alias))} GROUP BY 1"
    )


def _percentile(field: Field, percent: int) -> str:
    """SQL of a percentile of the duration of completed instances, by nearest rank."""
    alias = field.new_alias()
    duration = milliseconds(alias, start="started_at", end="completed_at")
    where = filters.all_of(
        [
            *filters.selected(field, alias),
            f"{alias}.status='COMPLETED'",
            f"{alias}.started_at IS NOT NULL",
        ]
    )
    ranked = (
        f"SELECT {duration} AS d,row_number() OVER (ORDER BY {duration}) AS r,count(*) OVER () AS n"
        f" FROM instances {alias} WHERE {where}"
    )
    return f"coalesce((SELECT d FROM ({ranked}) WHERE r=(n*{percent}+99)/100),'null')"


def _retries(field: Field) -> str:
    """SQL of the number of failed attempts that another attempt followed or will follow."""
    alias, step, attempt = (field.new_alias() for _ in range(3))
    where = filters.all_of(filters.selected(field, alias))
    return (
        f"(SELECT count(*) FROM instances {alias} JOIN steps {step} ON {step}.instance={alias}.id"
        f" JOIN attempts {attempt} ON {attempt}.step={step}.id AND {attempt}.status='FAILED'"
        f" AND ({attempt}.number<{step}.attempt OR {step}.status='RETRYING') WHERE {where})"
    )


def _timeline(field: Field, part: Field) -> str:
    """SQL of equal slices from createdAt.from (a day ago) to createdAt.to (now), one scan a kind.

    Times are integers, milliseconds since 1970. Slice i of n starts at low + span * i / n rounded
    down; `slot` is the inverse of that.
    """
    slices = between(1, MAX_TIMELINE_SLICES)
    size = part.reader("slices", convert=slices)
    n = integer(part.parameter("slices", convert=slices))
    start, end = (_bound(field, name) for name in ("from", "to"))
    row, alias = field.new_alias(), field.new_alias()
    where = filters.all_of(filters.selected(field, alias))
    moments = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind,{_epoch(f'{alias}.{column}')} AS moment"
        f" FROM instances {alias} WHERE {where} AND {condition}"
        for kind, column, condition in (
            ("started", "started_at", f"{alias}.started_at IS NOT NULL"),
            ("completed", "completed_at", f"{alias}.status='COMPLETED'"),
            ("errored", "completed_at", f"{alias}.status='ERRORED'"),
        )
    )
    tallies = ",".join(f"sum(kind='{kind}') AS {kind}" for kind in _KINDS)
    columns = ",".join(f"coalesce({kind},0) AS {kind}" for kind in _KINDS)
    return (
        "(WITH RECURSIVE bounds(low,high) AS MATERIALIZED"
        f" (SELECT {_epoch(start)},max({_epoch(end)},{_epoch(start)}+1)),"
        f" pieces(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM pieces WHERE i+1<{n}),"
        f" moments AS ({moments}),"
        f" tally AS (SELECT ((moment-low)*{n}+{n}-1)/(high-low) AS slot,{tallies}"
        " FROM moments,bounds WHERE moment>=low AND moment<high GROUP BY 1)"
        f" SELECT {sql.joined(part.bodies(row, size))} FROM (SELECT"
        f" {_text(f'low+(high-low)*i/{n}')} AS slice_from,"
        f"{_text(f'low+(high-low)*(i+1)/{n}')} AS slice_to,{columns}"
        f" FROM bounds,pieces LEFT JOIN tally ON slot=i ORDER BY i) {row})"
    )


def _bound(field: Field, name: str) -> str:
    if field.argument("filter", "createdAt", name) is not None:
        return field.parameter("filter", "createdAt", name)
    return NOW if name == "to" else now_shifted("'-1 day'")


def _epoch(instant: str) -> str:
    return f"CAST(round((julianday({instant})-2440587.5)*86400000) AS INTEGER)"


def _text(epoch_ms: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ',2440587.5+({epoch_ms})/86400000.0)"
