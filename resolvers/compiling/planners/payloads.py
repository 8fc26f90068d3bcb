"""The payloads of mutations that are read back from D1, in the batch that wrote them."""

from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters

# The row each is about; names in braces are values that the mutation supplies.
_INSTANCE = ("instances", "{r}.instance_id={instance_id}")
_SOURCES = {
    "InstancePayload": _INSTANCE,
    "InstanceConflict": _INSTANCE,
    "StepPayload": (
        "steps",
        "{r}.instance=(SELECT id FROM instances WHERE instance_id={instance_id})"
        " AND {r}.name={name} AND {r}.status=coalesce({status},{r}.status)",
    ),
    "WorkflowPayload": ("workflows", "{r}.name={name}"),
}
_VALUES = ("instance_id", "name", "status")


def payload(field: Field, type_name: str) -> tuple[str, str]:
    """The expression and the source of the SELECT of a payload."""
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
