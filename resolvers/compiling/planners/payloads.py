"""The payloads of mutations, which are read from D1 in the batch of the write.

Example:

    mutation {
      updateWorkflowInstance(input: { instanceId: "i-1", status: PAUSED }) {
        ... on InstancePayload { instance { status } }
      }
    }

becomes, after the statements of the write,

    SELECT … format('{"instance":%s}',format('{"status":%s}','"'||t1.status||'"')) AS body
    FROM instances t1 WHERE t1.instance_id=?1…
"""

from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters

# The table and the condition of each payload's row; names in braces are values of the mutation.
_INSTANCE = ("instances", "{r}.instance_id={instance_id}")
_SOURCES = {
    "InstancePayload": _INSTANCE,
    "InstanceConflict": _INSTANCE,
    "StepPayload": (
        "steps",
        "{r}.instance=(SELECT id FROM instances WHERE instance_id={instance_id})"
        " AND {r}.name={name} AND {r}.status=coalesce({status},{r}.status)"
        " AND {r}.attempt=coalesce({attempt},{r}.attempt)",
    ),
    "WorkflowPayload": ("workflows", "{r}.name={name}"),
}
_VALUES = ("instance_id", "name", "status", "attempt")


def payload(field: Field, type_name: str) -> tuple[str, str]:
    """SQL of a payload's JSON, and the source that it is selected from (the text after FROM)."""
    table, on = _SOURCES[type_name]
    alias = field.new_alias()
    condition = on.replace("{r}", alias)
    for name in _VALUES:
        if f"{{{name}}}" in condition:
            condition = condition.replace(f"{{{name}}}", field.supplied(name))
    conditions = [condition]
    if table == "instances":
        conditions += filters.visible(field, alias)
    where = filters.all_of(conditions)
    return field.body(alias, type_name), f"{table} {alias} WHERE {where}"
