"""The Expressions that fields are declared with: columns, related rows, lists of rows.

In templates `{t}` is replaced by the alias of the parent row, `{r}` by that of the related row.

Example:

    { instance(instanceId: "i-1", workflow: "order") { status step(name: "pay") { kind } } }

becomes

    SELECT … format('{"status":%s,"step":%s}','"'||t1.status||'"',
        coalesce((SELECT body FROM (SELECT format('{"kind":%s}','"'||t2.kind||'"') AS body
            FROM steps t2 WHERE t2.instance=t1.id AND t2.run=t1.run AND t2.name=?3
            AND t2.occurrence=CAST(?4 AS INTEGER))),'null')) AS body
    FROM instances t1 WHERE t1.instance_id=?1 AND t1.workflow=?2…
"""

from resolvers.base.limits import DEFAULT_RUNS, MAX_RUN, MAX_RUNS, MAX_SAME_ID, MAX_STEP_INDEX
from resolvers.base.names import step_name
from resolvers.base.vocabulary import InstanceStatus
from resolvers.compiling.binding import Binding
from resolvers.compiling.fields import Expression, Field
from resolvers.compiling.planners import filters
from resolvers.compiling.planners.sizes import between, page_limit
from resolvers.ports import sql
from resolvers.ports.database import Value

# The size that a list without `first` counts as towards MAX_NODES.
_UNPAGED = 10


def unpaged(_: Binding) -> Value:
    """The assumed size of a list that takes no `first`."""
    return _UNPAGED


def text(column: str) -> Expression:
    """A text column, null included."""
    return lambda field: f"json_quote({field.alias}.{column})"


def word(column: str) -> Expression:
    """A column that is never null and needs no escaping: an enum's name, an instant."""
    return lambda field: sql.word(f"{field.alias}.{column}")


def number(column: str) -> Expression:
    """An integer column, null included."""
    return lambda field: f"coalesce({field.alias}.{column},'null')"


def json(column: str) -> Expression:
    """A column that contains JSON text, null included."""
    return number(column)


def member(column: str, name: str) -> Expression:
    """A member of a column that contains a JSON object."""
    return lambda field: f"coalesce({field.alias}.{column}->'$.{name}','null')"


def boolean(column: str) -> Expression:
    """A column of 0 or 1, as a boolean."""
    return lambda field: f"iif({field.alias}.{column},'true','false')"


def bound(column: str) -> Expression:
    """True if a Workflow is bound for the workflow whose name the column contains."""
    return lambda field: f"iif({field.alias}.{column} IN {field.bound_workflows()},'true','false')"


def following() -> Expression:
    """The state of the recording of an instance's history."""
    return lambda field: (
        f"iif({sql.is_followed(field.alias)},'\"FOLLOWED\"',"
        f"iif({field.alias}.followed IS NULL,'\"NOT_FOLLOWED\"','\"BEHIND\"'))"
    )


def supplied(name: str) -> Expression:
    """A value that the mutation supplies."""
    return lambda field: f"json_quote({field.supplied(name)})"


def duration(start: str, end: str) -> Expression:
    """Milliseconds between two instants, null until both are known."""
    return lambda field: f"coalesce({milliseconds(field.alias, start=start, end=end)},'null')"


def milliseconds(alias: str, *, start: str, end: str) -> str:
    """SQL of the integer number of milliseconds between two columns."""
    return f"CAST(round((julianday({alias}.{end})-julianday({alias}.{start}))*86400000) AS INTEGER)"


def status_in(statuses: frozenset[InstanceStatus]) -> Expression:
    """True if the row's status is one of these."""
    listed = sql.in_list(sorted(statuses))
    return lambda field: f"iif({field.alias}.status IN {listed},'true','false')"


# The errors in `stacks` that may be a row's own, with `{t}` for the alias of the row.
_OF_RUN = "k.step='' AND k.run={t}.run AND k.instance="
_STACKS = {
    "instances": "stacks k WHERE " + _OF_RUN + "{t}.id",
    "runs": "stacks k WHERE " + _OF_RUN + "{t}.instance",
    "steps": (
        "stacks k WHERE k.instance={t}.instance AND k.run={t}.run AND k.step={t}.name"
        " AND k.occurrence={t}.occurrence AND k.attempt<={t}.attempt"
    ),
    "attempts": (
        "steps s JOIN stacks k ON k.instance=s.instance AND k.run=s.run AND k.step=s.name"
        " AND k.occurrence=s.occurrence AND k.attempt IN (0,{t}.number) WHERE s.id={t}.step"
    ),
}


def error(table: str) -> Expression:
    """The error of a row of `table`, null if it has none.

    An error without a stack gets the one that was reported for it. The engine's message contains
    the reported one: it may begin with the name of the error.
    """

    def expression(field: Field) -> str:
        row, alias = field.alias, field.new_alias()
        if all(part.name != "stack" for _, part in field.subfields()):
            return same_row("error")(field)
        reported = (
            f"SELECT k.stack FROM {_STACKS[table].replace('{t}', row)}"
            f" AND instr({row}.error->>'$.message',k.message)>0"
            " ORDER BY k.attempt DESC LIMIT 1"
        )
        # The LIMIT has SQLite make the text once for all members.
        source = (
            f"SELECT iif({row}.error->>'$.stack' IS NULL,"
            f"json_set({row}.error,'$.stack',({reported})),{row}.error) AS error LIMIT 1"
        )
        body = sql.subquery(field.body(alias), f"({source}) {alias}")
        return f"iif({row}.error IS NULL,'null',{body})"

    return expression


def same_row(null_unless: str | None = None) -> Expression:
    """An object made from the parent's own row; null if the column `null_unless` is null."""

    def expression(field: Field) -> str:
        body = field.body(field.alias)
        if null_unless is None:
            return body
        return f"iif({field.alias}.{null_unless} IS NULL,'null',{body})"

    return expression


def row_of(table: str, on: str) -> Expression:
    """The one row of `table` for which `on` holds (`{r}` its alias), null if there is none."""

    def expression(field: Field) -> str:
        alias = field.new_alias()
        where = on.replace("{t}", field.alias).replace("{r}", alias)
        return sql.row_or_null(field.body(alias), f"{table} {alias} WHERE {where}")

    return expression


def workflow_of_instance(field: Field) -> str:
    """An instance's workflow; its name alone is read from the instance's row."""
    alias = field.new_alias()
    if {part.name for _, part in field.subfields()} <= {"id", "name", "bound", "__typename"}:
        return f"(SELECT {field.body(alias)} FROM (SELECT {field.alias}.workflow AS name) {alias})"
    return row_of("workflows", "{r}.name={t}.workflow")(field)


def rows_of(table: str, on: str, *, order_by: str) -> Expression:
    """All rows of `table` for which `on` holds, ordered by a column."""

    def expression(field: Field) -> str:
        inner, alias = field.new_alias(), field.new_alias()
        where = on.replace("{t}", field.alias).replace("{r}", inner)
        rows = f"SELECT * FROM {table} {inner} WHERE {where} ORDER BY {inner}.{order_by}"
        return sql.json_array(field.bodies(alias, unpaged), f"({rows}) {alias}")

    return expression


def named_step(field: Field) -> str:
    """`step(name:, occurrence:, run:)`: one step of the instance."""
    alias, name = field.new_alias(), field.parameter("name", convert=step_name)
    run = f"{field.alias}.run"
    if field.argument("run") is not None:
        run = sql.integer(field.parameter("run", convert=between(1, MAX_RUN)))
    occurrence = sql.integer(field.parameter("occurrence", convert=between(1, MAX_STEP_INDEX)))
    return sql.row_or_null(
        field.body(alias),
        f"steps {alias} WHERE {alias}.instance={field.alias}.id AND {alias}.run={run}"
        f" AND {alias}.name={name} AND {alias}.occurrence={occurrence}",
    )


def runs(field: Field) -> str:
    """`runs(first:, before:)`: the instance's runs, newest first."""
    size, limit = page_limit(field, "first", default=DEFAULT_RUNS, most=MAX_RUNS)
    owner, alias = field.alias, field.new_alias()
    columns = ("run", "status", "output", "output_kind", "error", "started_at", "completed_at")
    current = ",".join(f"{owner}.{column} AS {column}" for column in columns)
    rows = (
        f"SELECT {owner}.id AS instance,{current}"
        f" UNION ALL SELECT instance,{','.join(columns)} FROM runs WHERE instance={owner}.id"
    )
    where = "1"
    if field.argument("before") is not None:
        where = f"run<{field.parameter('before', convert=between(1, MAX_RUN + 1))}"
    newest = f"SELECT * FROM ({rows}) WHERE {where} ORDER BY run DESC LIMIT {limit}"
    return sql.json_array(field.bodies(alias, size), f"({newest}) {alias}")


def instances_with_id(field: Field) -> str:
    """`AmbiguousInstance.instances`: visible instances with the id that the mutation supplies."""
    inner, alias = field.new_alias(), field.new_alias()
    named = f"coalesce({field.supplied('workflows')},json_array({inner}.workflow))"
    where = filters.all_of(
        [
            f"{inner}.instance_id={field.supplied('instance_id')}",
            f"{inner}.workflow IN (SELECT value FROM json_each({named}))",
            *filters.visible(field, inner),
        ]
    )
    rows = f"SELECT * FROM instances {inner} WHERE {where} ORDER BY {inner}.workflow"
    return sql.json_array(field.bodies(alias, unpaged), f"({rows} LIMIT {MAX_SAME_ID}) {alias}")


def latest_instance(on: str) -> Expression:
    """The newest visible instance for which `on` holds."""

    def expression(field: Field) -> str:
        alias = field.new_alias()
        where = filters.all_of([_join(on, field, alias), *filters.visible(field, alias)])
        return sql.row_or_null(
            field.body(alias),
            f"instances {alias} WHERE {where}"
            f" ORDER BY {alias}.created_at DESC,{alias}.id DESC LIMIT 1",
        )

    return expression


def status_counts(on: str) -> Expression:
    """Visible instances for which `on` holds, counted by status in the order of their life."""

    def expression(field: Field) -> str:
        alias = field.new_alias()
        where = filters.all_of([_join(on, field, alias), *filters.visible(field, alias)])
        return counted_list(
            field,
            f"SELECT {alias}.status,count(*) AS count FROM instances {alias}"
            f" WHERE {where} GROUP BY {alias}.status",
        )

    return expression


def workflow_status_counts(field: Field) -> str:
    """A workflow's instances by status, from the counters unless the caller has restrictions."""
    if field.principal.is_restricted:
        return status_counts("{r}.workflow={t}.name")(field)
    alias = field.new_alias()
    return counted_list(
        field,
        f"SELECT {alias}.status,{alias}.count FROM status_counts {alias}"
        f" WHERE {alias}.workflow={field.alias}.name AND {alias}.count>0",
    )


def counted_list(field: Field, counts: str) -> str:
    """The list of StatusCount over rows of (status, count), in the order of an instance's life."""
    alias = field.new_alias()
    order = "CASE status " + " ".join(
        f"WHEN '{status}' THEN {position}" for position, status in enumerate(InstanceStatus)
    )
    source = f"(SELECT * FROM ({counts}) ORDER BY {order} END) {alias}"
    return sql.json_array(field.bodies(alias, unpaged), source)


def _join(on: str, field: Field, alias: str) -> str:
    return on.replace("{t}", field.alias).replace("{r}", alias)


def assembled(field: Field) -> str:
    """A member of a page or of statistics: the Expression of the parent compiles it."""
    raise AssertionError(f"{field.name} is compiled by its parent")
