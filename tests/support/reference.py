"""The same schema executed the ordinary way: field by field, over plain Python rows.

It shares no code with `resolvers.compiling` and its only SQL reads whole tables. So where it and
the compiled path agree, both are right, or both are wrong for different reasons. The schema is the
served one, printed and built again without its resolvers; its scalars parse input as the served
ones do.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    print_schema,
)

from resolvers.access.principals import Restrictions
from schema.build import core
from tests.support.reference_pages import (
    BY_NAME,
    between,
    by_instant,
    connection,
    event_page,
    prefix,
    timeline,
)
from tests.support.reference_rows import Data, Row, View, one

Resolver: TypeAlias = Callable[[View, Any, dict[str, Any]], Any]

STATUSES = [
    "QUEUED", "RUNNING", "SLEEPING", "WAITING", "WAITING_FOR_PAUSE", "PAUSED",
    "COMPLETED", "ERRORED", "TERMINATED", "UNKNOWN",
]  # fmt: skip
_FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")
_KINDS = ("Workflow", "WorkflowInstance", "WorkflowStep", "Reference")
_JSON = ("input", "output", "error", "metadata", "data")


def reference_row(ref_type: str, ref_id: str) -> Row:
    """A reference, which is not stored in a table of its own."""
    for value, limit in ((ref_type, 64), (ref_id, 256)):
        if not 1 <= len(value) <= limit:
            raise GraphQLError("out of bounds")
    return {"__typename": "Reference", "ref_type": ref_type, "ref_id": ref_id}


def selected(view: View, rows: list[Row], given: dict[str, Any] | None) -> list[Row]:
    """The instances that an InstanceFilter selects."""
    for name, value in (given or {}).items():
        if value is None:
            continue
        match name:
            case "workflow" | "status":
                if len(value) > 100:
                    raise GraphQLError("too many values")
                rows = [row for row in rows if row[name] in value]
            case "reference":
                rows = [row for row in rows if refers(row, value)]
            case "search":
                found = prefix(value)
                rows = [
                    row
                    for row in rows
                    if any(found(row[c]) for c in ("instance_id", "ref_id", "workflow"))
                ]
            case "createdAt" | "updatedAt" | "completedAt":
                column = snake(name)
                rows = [row for row in rows if between(row[column], value)]
            case "retrying":
                rows = [row for row in rows if view.retrying(row) is value]
            case "stalledFor":
                limit = ago(value)
                rows = [
                    row
                    for row in rows
                    if row["status"] not in _FINISHED and row["updated_at"] <= limit
                ]
            case _:
                raise AssertionError(name)
    return rows


def refers(row: Row, given: dict[str, Any]) -> bool:
    """True if a ReferenceFilter selects an instance."""
    return all(
        given.get(name) is None or row[column] == given[name]
        for name, column in (("refType", "ref_type"), ("refId", "ref_id"))
    )


def ago(duration_ms: int) -> str:
    """The instant this long ago; a text before all instants if that is out of range."""
    try:
        instant = datetime.now(UTC) - timedelta(milliseconds=duration_ms)
    except OverflowError:
        return ""
    return instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def snake(name: str) -> str:
    """The column of a field in camelCase."""
    return re.sub("[A-Z]", lambda match: "_" + match[0].lower(), name)


def counts(rows: Iterable[Row]) -> list[Row]:
    """StatusCounts in the order of STATUSES."""
    statuses = [row["status"] for row in rows]
    return [{"status": s, "count": statuses.count(s)} for s in STATUSES if s in statuses]


def newest(rows: list[Row]) -> Row | None:
    """The newest of some instances."""
    return max(rows, key=lambda row: (row["created_at"], row["id"]), default=None)


def milliseconds(start: str | None, end: str | None) -> int | None:
    """The time between two instants, None if one is missing."""
    if start is None or end is None:
        return None
    span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(span / timedelta(milliseconds=1))


def by_global_id(view: View, given: str) -> Row | None:
    """The row that a global id names."""
    kind, colon, key = given.partition(":")
    if not colon or not key or kind not in _KINDS:
        raise GraphQLError("not a global id")
    if kind == "Workflow":
        return one(view.workflows(), name=key)
    try:
        first, second, *rest = json.loads(key)
    except ValueError as error:
        raise GraphQLError("not a global id") from error
    if kind == "Reference":
        return {"__typename": "Reference", "ref_type": first, "ref_id": second}
    instance = one(view.instances, workflow=first, instance_id=second)
    if kind == "WorkflowInstance" or instance is None:
        return instance
    run, name, occurrence = rest
    return one(view.data.steps, instance=instance["id"], run=run, name=name, occurrence=occurrence)


def instance_with_id(view: View, args: dict[str, Any]) -> Row | None:
    """The visible instance with an id, and of a workflow if that is given."""
    found = [
        row
        for row in view.instances
        if row["instance_id"] == args["instanceId"]
        and row["workflow"] == (args.get("workflow") or row["workflow"])
    ]
    if len(found) > 1:
        raise GraphQLError("ambiguous", extensions={"code": "AMBIGUOUS"})
    return found[0] if found else None


def selected_events(view: View, given: dict[str, Any] | None) -> list[Row]:
    """The visible events that an EventFilter selects."""
    given = {name: value for name, value in (given or {}).items() if value is not None}
    instances = {row["id"]: row for row in view.instances}
    found = []
    for event in view.data.events:
        instance = instances.get(event["instance"])
        if (
            instance is not None
            and given.get("instanceId", instance["instance_id"]) == instance["instance_id"]
            and refers(instance, given.get("reference", {}))
            and instance["workflow"] in given.get("workflow", [instance["workflow"]])
            and event["status"] in given.get("status", [event["status"]])
            and event["type"] in given.get("type", [event["type"]])
        ):
            found.append(event)
    return found


def instances_page(view: View, rows: list[Row], args: dict[str, Any]) -> Row:
    """A connection of instances."""
    return connection(
        "WorkflowInstance", selected(view, rows, args.get("filter")), args, by_instant(args)
    )


def stats(view: View, args: dict[str, Any]) -> Row:
    """InstanceStats of the instances that a filter selects."""
    return {
        "filter": args.get("filter"),
        "rows": selected(view, view.instances, args.get("filter")),
    }


def percentile(rows: list[Row], percent: int) -> int | None:
    """The percentile of completed instances' durations, by nearest rank."""
    durations = sorted(
        duration
        for row in rows
        if row["status"] == "COMPLETED"
        and (duration := milliseconds(row["started_at"], row["completed_at"])) is not None
    )
    if not durations:
        return None
    return durations[-(-len(durations) * percent // 100) - 1]


def retries(view: View, rows: list[Row]) -> int:
    """The number of failed attempts that another attempt follows or will follow."""
    ids = {row["id"] for row in rows}
    steps = [step for step in view.data.steps if step["instance"] in ids]
    return sum(
        attempt["status"] == "FAILED"
        and (attempt["number"] < step["attempt"] or step["status"] == "RETRYING")
        for step in steps
        for attempt in view.data.attempts
        if attempt["step"] == step["id"]
    )


def _id(kind: str, *parts: str | int) -> str:
    return f"{kind}:" + json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _step_id(view: View, step: Row) -> str:
    instance = _instance_of(view, step) or {}
    key = (instance["workflow"], instance["instance_id"])
    return _id("WorkflowStep", *key, step["run"], step["name"], step["occurrence"])


def _instance_of(view: View, row: Row) -> Row | None:
    return one(view.data.instances, id=row["instance"])


def _allows(*statuses: str) -> Resolver:
    return lambda view, row, args: row["status"] in statuses


_UNFINISHED = [status for status in STATUSES if status not in _FINISHED]

RESOLVERS: dict[tuple[str, str], Resolver] = {
    ("Query", "node"): lambda v, _, a: by_global_id(v, a["id"]),
    ("Query", "nodes"): lambda v, _, a: [by_global_id(v, given) for given in a["ids"]],
    ("Query", "workflow"): lambda v, _, a: one(v.workflows(), name=a["name"]),
    ("Query", "workflows"): lambda v, _, a: connection(
        "Workflow",
        v.workflows()
        if a.get("search") is None
        else [row for row in v.workflows() if prefix(a["search"])(row["name"])],
        a,
        BY_NAME,
    ),
    ("Query", "instance"): lambda v, _, a: instance_with_id(v, a),
    ("Query", "instances"): lambda v, _, a: instances_page(v, v.instances, a),
    ("Query", "reference"): lambda v, _, a: reference_row(a["refType"], a["refId"]),
    ("Query", "references"): lambda v, _, a: [
        reference_row(key["refType"], key["refId"]) for key in a["keys"]
    ],
    ("Query", "stats"): lambda v, _, a: stats(v, a),
    ("Query", "events"): lambda v, _, a: event_page(
        selected_events(v, a.get("filter")), v.data.events, a, limited=any(v.restrictions.shape)
    ),
    ("Workflow", "id"): lambda v, w, a: f"Workflow:{w['name']}",
    ("Workflow", "bound"): lambda v, w, a: False,
    ("Workflow", "trackOnly"): lambda v, w, a: bool(w["track_only"]),
    ("Workflow", "latestInstance"): lambda v, w, a: newest(v.running(w)),
    ("Workflow", "statusCounts"): lambda v, w, a: counts(v.running(w)),
    ("Workflow", "instances"): lambda v, w, a: instances_page(v, v.running(w), a),
    ("Reference", "id"): lambda v, r, a: _id("Reference", r["ref_type"], r["ref_id"]),
    ("Reference", "latestInstance"): lambda v, r, a: newest(v.referring(r)),
    ("Reference", "statusCounts"): lambda v, r, a: counts(v.referring(r)),
    ("Reference", "instances"): lambda v, r, a: instances_page(v, v.referring(r), a),
    ("WorkflowInstance", "id"): lambda v, i, a: _id(
        "WorkflowInstance", i["workflow"], i["instance_id"]
    ),
    ("WorkflowInstance", "bound"): lambda v, i, a: False,
    ("WorkflowInstance", "following"): lambda v, i, a: (
        "NOT_FOLLOWED"
        if i["followed"] is None
        else "FOLLOWED"
        if i["behind_since"] is None
        else "BEHIND"
    ),
    ("WorkflowInstance", "error"): lambda v, i, a: v.error_of(i),
    ("WorkflowRun", "error"): lambda v, r, a: v.error_of(r),
    ("WorkflowStep", "error"): lambda v, s, a: v.error_of(
        s, step=s, attempts=range(s["attempt"], -1, -1)
    ),
    ("StepAttempt", "error"): lambda v, t, a: v.error_of(
        t, step=one(v.data.steps, id=t["step"]), attempts=(t["number"], 0)
    ),
    ("WorkflowInstance", "workflow"): lambda v, i, a: one(v.data.workflows, name=i["workflow"]),
    ("WorkflowInstance", "reference"): lambda v, i, a: (
        reference_row(i["ref_type"], i["ref_id"]) if i["ref_type"] is not None else None
    ),
    ("WorkflowInstance", "duration"): lambda v, i, a: milliseconds(
        i["started_at"], i["completed_at"]
    ),
    ("WorkflowInstance", "steps"): lambda v, i, a: v.steps_of(i),
    ("WorkflowInstance", "step"): lambda v, i, a: one(
        v.steps_of(i, a.get("run")), name=a["name"], occurrence=a["occurrence"]
    ),
    ("WorkflowInstance", "runs"): lambda v, i, a: [
        run for run in v.runs_of(i) if a.get("before") is None or run["run"] < a["before"]
    ][: 20 if a.get("first") is None else a["first"]],
    ("WorkflowRun", "number"): lambda v, r, a: r["run"],
    ("WorkflowRun", "duration"): lambda v, r, a: milliseconds(r["started_at"], r["completed_at"]),
    ("WorkflowRun", "steps"): lambda v, r, a: v.steps_of({"id": r["instance"]}, r["run"]),
    ("WorkflowInstance", "events"): lambda v, i, a: event_page(
        [event for event in v.data.events if event["instance"] == i["id"]],
        v.data.events,
        a,
        limited=any(v.restrictions.shape),
    ),
    ("WorkflowInstance", "canPause"): _allows("QUEUED", "RUNNING", "SLEEPING", "WAITING"),
    ("WorkflowInstance", "canResume"): _allows("PAUSED", "WAITING_FOR_PAUSE"),
    ("WorkflowInstance", "canTerminate"): _allows(*_UNFINISHED),
    ("WorkflowInstance", "canRestart"): _allows(*STATUSES[1:]),
    ("WorkflowStep", "id"): lambda v, s, a: _step_id(v, s),
    ("WorkflowStep", "instance"): lambda v, s, a: _instance_of(v, s),
    ("WorkflowStep", "index"): lambda v, s, a: s["step_index"],
    ("WorkflowStep", "attemptCount"): lambda v, s, a: s["attempt"],
    ("WorkflowStep", "retryPolicy"): lambda v, s, a: s if s["retry_limit"] is not None else None,
    ("WorkflowStep", "duration"): lambda v, s, a: milliseconds(s["started_at"], s["completed_at"]),
    ("WorkflowStep", "attempts"): lambda v, s, a: sorted(
        (row for row in v.data.attempts if row["step"] == s["id"]),
        key=lambda row: int(row["number"]),
    ),
    ("RetryPolicy", "limit"): lambda v, s, a: s["retry_limit"],
    ("RetryPolicy", "delay"): lambda v, s, a: s["retry_delay"],
    ("RetryPolicy", "backoff"): lambda v, s, a: s["retry_backoff"],
    ("WorkflowEvent", "cursor"): lambda v, e, a: f"{e['id']:016}",
    ("WorkflowEvent", "instance"): lambda v, e, a: _instance_of(v, e),
    ("WorkflowEvent", "step"): lambda v, e, a: one(
        v.data.steps,
        instance=e["instance"],
        run=e["run"],
        name=e["step"],
        occurrence=e["occurrence"],
    ),
    ("InstanceStats", "total"): lambda v, s, a: len(s["rows"]),
    ("InstanceStats", "statusCounts"): lambda v, s, a: counts(s["rows"]),
    ("InstanceStats", "durationP50"): lambda v, s, a: percentile(s["rows"], 50),
    ("InstanceStats", "durationP95"): lambda v, s, a: percentile(s["rows"], 95),
    ("InstanceStats", "retryCount"): lambda v, s, a: retries(v, s["rows"]),
    ("InstanceStats", "timeline"): lambda v, s, a: timeline(s["rows"], s["filter"], a),
}


def _resolve(source: Any, info: Any, **args: Any) -> Any:
    resolver = RESOLVERS.get((info.parent_type.name, info.field_name))
    if resolver is not None:
        return resolver(info.context, source, args)
    column = snake(info.field_name)
    value = source.get(column)
    return json.loads(value) if column in _JSON and value is not None else value


def _rebuilt() -> GraphQLSchema:
    built = build_schema(print_schema(core))
    for name in ("DateTime", "JSON", "Duration", "EventCursor"):
        served: Any = core.type_map[name]
        scalar: Any = built.type_map[name]
        scalar.parse_value = served.parse_value
        scalar.parse_literal = served.parse_literal
    return built


SCHEMA = _rebuilt()


class Reference:
    """Executes operations over data as a caller with some restrictions may see it."""

    def __init__(self, data: Data, restrictions: Restrictions | None = None) -> None:
        self._view = View(data, restrictions or Restrictions())

    def execute(self, query: str, variables: dict[str, Any] | None = None) -> ExecutionResult:
        """Execute an operation with graphql-core."""
        return execute_sync(
            SCHEMA,
            parse(query),
            variable_values=variables or {},
            context_value=self._view,
            field_resolver=_resolve,
            type_resolver=lambda value, *_: str(value["__typename"]),
        )

    def answer(self, query: str, **variables: Any) -> Any:
        """Execute an operation; `data`. Fail if there are errors."""
        result = self.execute(query, variables)
        assert result.errors is None, result.errors
        return result.data


def global_ids(data: Data) -> list[str]:
    """The ids of a sample of all nodes, and of some that do not exist."""
    view = View(data, Restrictions())
    found = [
        RESOLVERS[row["__typename"], "id"](view, row, {})
        for row in (*data.workflows, *data.instances[::5], *data.steps[::9])
    ]
    found += [
        _id("Reference", row["ref_type"], row["ref_id"])
        for row in data.instances[::9]
        if row["ref_type"]
    ]
    absent = _id("WorkflowStep", "order", "i-001", 1, "absent", 1)
    return [*found, "Workflow:absent", absent, "nonsense"]
