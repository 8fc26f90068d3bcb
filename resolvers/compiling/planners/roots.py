"""The root fields of Query, and the subscriptions `instance` and `reference`.

Example:

    { workflow(name: "order") { name } }

becomes

    SELECT … coalesce((SELECT body FROM (SELECT format('{"name":%s}',json_quote(t1.name)) AS body
        FROM workflows t1 WHERE t1.name=?1)),'null')…
"""

import json
from collections.abc import Callable
from typing import Any

from resolvers.base import names
from resolvers.base.json_text import decode_untrusted
from resolvers.base.limits import MAX_NODE_IDS, MAX_REFERENCE_KEYS, MAX_RUN, MAX_STEP_INDEX
from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters
from resolvers.compiling.planners.events import NO_CURSOR, cursor_text, window
from resolvers.compiling.planners.sizes import between
from resolvers.ports import sql
from resolvers.ports.sql import HEAD, integer

# The table of each node type, and the condition that finds a row by the parts of its key.
_NODES = {
    "Workflow": ("workflows", "{r}.name={key}->>1"),
    "WorkflowInstance": ("instances", "{r}.workflow={key}->>1 AND {r}.instance_id={key}->>2"),
    "WorkflowStep": (
        "steps",
        "{r}.instance=(SELECT id FROM instances WHERE workflow={key}->>1 AND instance_id={key}->>2)"
        " AND {r}.run={key}->>3 AND {r}.name={key}->>4 AND {r}.occurrence={key}->>5",
    ),
}
# The functions that validate the parts of a key.
_PARTS: dict[str, tuple[Callable[[object], str | int], ...]] = {
    "Workflow": (names.workflow_name,),
    "WorkflowInstance": (names.workflow_name, names.instance_id),
    "WorkflowStep": (
        names.workflow_name,
        names.instance_id,
        between(1, MAX_RUN),
        names.step_name,
        between(1, MAX_STEP_INDEX),
    ),
    "Reference": (names.ref_type, names.ref_id),
}
# A key of several parts is a JSON list of texts and numbers.
_KEY_DEPTH = 1


def global_id(type_name: str, *columns: str) -> str:
    """SQL of a node's global id: `Type:key`, or `Type:["key","key"]` for a key of several parts."""
    if len(columns) == 1:
        return f"json_quote('{type_name}:'||{columns[0]})"
    return f"json_quote('{type_name}:'||json_array({','.join(columns)}))"


def parse_global_id(value: object) -> list[str | int]:
    """Return the type's name and the parts of the key; ValueError if the API does not make it."""
    type_name, _, key = str(value).partition(":")
    parts = _PARTS.get(type_name, ())
    try:
        keys = [key] if len(parts) == 1 else decode_untrusted(key, max_depth=_KEY_DEPTH)
        if parts and isinstance(keys, list):
            return [type_name, *(part(key) for part, key in zip(parts, keys, strict=True))]
    except ValueError as error:
        raise ValueError(f"{_quoted(value)} is not a global id") from error
    raise ValueError(f"{_quoted(value)} is not a global id")


def workflow(field: Field) -> str:
    """`workflow(name:)`."""
    name = field.parameter("name", convert=names.workflow_name)
    alias = field.new_alias()
    where = filters.all_of([f"{alias}.name={name}", *filters.workflow_visible(field, alias)])
    return sql.row_or_null(field.body(alias), f"workflows {alias} WHERE {where}")


def instance(field: Field) -> str:
    """`instance(instanceId:, workflow:)`: the statement fails if the id is ambiguous."""
    alias = field.new_alias()
    by_id, by_workflow = _instance_key(field)
    # Outside triggers SQLite raises errors only about arguments, so the reason is an invalid path.
    reason = (
        f"json_object('ambiguous',{by_id},'path','{field.root_key}',"
        "'workflows',json_group_array(o.workflow))"
    )
    conditions = filters.identified(
        field,
        alias,
        by_id=by_id,
        by_workflow=by_workflow,
        ambiguous=f"json_extract('{{}}',{reason})",
    )
    source = f"instances {alias} WHERE {filters.all_of(conditions)}"
    return sql.row_or_null(field.body(alias), source)


def _instance_key(field: Field) -> tuple[str, str | None]:
    """The parameters that bind the id of an instance, and its workflow if that is given."""
    by_id = field.parameter("instanceId", convert=names.instance_id)
    if field.argument("workflow") is None:
        return by_id, None
    return by_id, field.parameter("workflow", convert=names.workflow_name)


def reference(field: Field) -> str:
    """`reference(refType:, refId:)`: never null, even if no instance belongs to it."""
    alias = field.new_alias()
    ref_type = field.parameter("refType", convert=names.ref_type)
    ref_id = field.parameter("refId", convert=names.ref_id)
    source = f"(SELECT {ref_type} AS ref_type,{ref_id} AS ref_id) {alias}"
    return sql.subquery(field.body(alias), source)


def live_instance(field: Field) -> str:
    """`Subscription.instance`: its current state, NULL if no event of the window is about it."""
    by_id, by_workflow = _instance_key(field)

    def about(_: str, row: str) -> str:
        named = [f"{row}.instance_id={by_id}"]
        if by_workflow is not None:
            named.append(f"{row}.workflow={by_workflow}")
        return filters.all_of([*named, *filters.visible(field, row)])

    return _live(field, instance(field), about)


def live_reference(field: Field) -> str:
    """`Subscription.reference`: likewise, for events about its instances or those that left it."""
    ref_type = field.parameter("refType", convert=names.ref_type)
    ref_id = field.parameter("refId", convert=names.ref_id)

    def about(event: str, row: str) -> str:
        here = [f"{row}.ref_type={ref_type}", f"{row}.ref_id={ref_id}"]
        left = [f"{event}.moved_from->>0={ref_type}", f"{event}.moved_from->>1={ref_id}"]
        visible = filters.all_of(here + filters.visible(field, row))
        was_visible = filters.all_of(
            left + filters.was_visible(field, row, ref_type=ref_type, ref_id=ref_id)
        )
        return f"({visible} OR {was_visible})"

    return _live(field, reference(field), about)


def references(field: Field) -> str:
    """`references(keys:)`: all of them, in the order of the keys."""
    alias, key = field.new_alias(), field.new_alias()
    keys = field.parameter("keys", convert=_reference_keys)
    source = (
        f"(SELECT {key}.value->>0 AS ref_type,{key}.value->>1 AS ref_id"
        f" FROM json_each({keys}) {key}"
        f" ORDER BY {key}.key) {alias}"
    )
    return sql.json_array(field.bodies(alias, field.reader("keys", convert=_length)), source)


def node(field: Field) -> str:
    """`node(id:)`."""
    alias = field.new_alias()
    key = field.parameter("id", convert=_node_key)
    return sql.subquery(_node(field, alias), f"(SELECT {key} AS key) {alias}")


def nodes(field: Field) -> str:
    """`nodes(ids:)`: in the order of the ids, null for each that is not found."""
    alias, key = field.new_alias(), field.new_alias()
    keys = field.parameter("ids", convert=_node_keys)
    source = f"(SELECT {key}.value AS key FROM json_each({keys}) {key} ORDER BY {key}.key) {alias}"
    with field.repeated(field.reader("ids", convert=_length)):
        return sql.json_array(_node(field, alias), source)


def _live(field: Field, body: str, about: Callable[[str, str], str]) -> str:
    """SQL of an object's JSON after a cursor, NULL if no event of the window is about it.

    `about(event, instance)` is the condition that an event is about the object. It includes the
    caller's restrictions, so that changes of other instances have no effect that it could notice.

    The cursor is for the frame that will contain the object. A caller with restrictions gets the
    cursor of the window's last event about the object, and none with the first result.
    """
    event, row, frame = field.new_alias(), field.new_alias(), field.new_alias()
    after, to = window(field)
    # CROSS makes SQLite begin with the events of the window, which are few.
    changes = (
        f"FROM events {event} CROSS JOIN instances {row}"
        f" WHERE {event}.id>{after} AND {event}.id<={to} AND {row}.id={event}.instance"
        f" AND {about(event, row)}"
    )
    initial = integer(field.supplied("initial"))
    if field.principal.is_restricted:
        last = f"(SELECT {cursor_text(f'{event}.id')} {changes} ORDER BY {event}.id DESC LIMIT 1)"
        cursor = f"iif({initial},'{NO_CURSOR}',{last})"
    else:
        now = cursor_text(f"min({to},{HEAD})")
        cursor = f"iif({initial} OR EXISTS (SELECT 1 {changes}),{now},NULL)"
    # With both LIMITs SQLite computes the cursor once, and the object only if there is a cursor.
    return (
        f"(SELECT iif({frame}.cursor IS NULL,NULL,{frame}.cursor||{body})"
        f" FROM (SELECT {cursor} AS cursor LIMIT 1) {frame} LIMIT 1)"
    )


def _node(field: Field, keys: str) -> str:
    """SQL of the body of the node whose type and key are in `keys.key`."""
    cases = []
    for type_name, (table, on) in _NODES.items():
        alias = field.new_alias()
        conditions = [on.replace("{r}", alias).replace("{key}", f"{keys}.key")]
        if table == "workflows":
            conditions += filters.workflow_visible(field, alias)
        elif table == "instances":
            conditions += filters.visible(field, alias)
        elif field.principal.is_restricted:
            instance = field.new_alias()
            of_step = [f"{instance}.id={alias}.instance", *filters.visible(field, instance)]
            conditions.append(
                f"EXISTS (SELECT 1 FROM instances {instance} WHERE {filters.all_of(of_step)})"
            )
        source = f"{table} {alias} WHERE {filters.all_of(conditions)}"
        cases.append(
            f"WHEN '{type_name}' THEN {sql.subquery(field.body(alias, type_name), source)}"
        )
    alias = field.new_alias()
    source = f"(SELECT {keys}.key->>1 AS ref_type,{keys}.key->>2 AS ref_id) {alias}"
    cases.append(f"ELSE {sql.subquery(field.body(alias, 'Reference'), source)}")
    return f"coalesce(CASE {keys}.key->>0 {' '.join(cases)} END,'null')"


def _reference_keys(keys: Any) -> str:
    if len(keys) > MAX_REFERENCE_KEYS:
        raise ValueError(f"must have at most {MAX_REFERENCE_KEYS} keys")
    return json.dumps(
        [[names.ref_type(key["refType"]), names.ref_id(key["refId"])] for key in keys],
        ensure_ascii=False,
    )


def _length(values: Any) -> int:
    return len(values)


def _node_key(value: object) -> str:
    return json.dumps(parse_global_id(value), ensure_ascii=False)


def _node_keys(values: Any) -> str:
    if len(values) > MAX_NODE_IDS:
        raise ValueError(f"must have at most {MAX_NODE_IDS} ids")
    return json.dumps([parse_global_id(value) for value in values], ensure_ascii=False)


def _quoted(value: object) -> str:
    return json.dumps(str(value)[:80])
