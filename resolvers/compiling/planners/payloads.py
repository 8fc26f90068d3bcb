"""The payloads of mutations, which are read from D1 in the batch of the write.

Example:

    mutation {
      updateWorkflowInstance(input: { instanceId: "i-1", workflow: "order", status: PAUSED }) {
        ... on InstancePayload { instance { status } }
      }
    }

becomes, after the statements of the write,

    SELECT … format('{"instance":%s}',format('{"status":%s}','"'||t1.status||'"')) AS body
    FROM instances t1 WHERE t1.instance_id=?1 AND t1.workflow=?2…
"""

from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters
from resolvers.ports.sql import integer


def payload(field: Field, type_name: str, *, by_workflow: bool) -> tuple[str, str]:
    """SQL of a payload's JSON, and the source that it is selected from (the text after FROM).

    The mutation supplies the values that name the row. `by_workflow` is true if one of them is an
    instance's workflow.
    """
    row = field.new_alias()
    match type_name:
        case "WorkflowPayload":
            source = f"workflows {row} WHERE {row}.name={field.supplied('name')}"
        case "StepPayload":
            source = _step(field, row, by_workflow=by_workflow)
        case "AmbiguousInstance":
            source = f"(SELECT 1) {row}"  # the list is selected by its field
        case _:
            source = f"instances {row} WHERE {_instance(field, row, by_workflow=by_workflow)}"
    return field.body(row, type_name), source


def _instance(field: Field, row: str, *, by_workflow: bool) -> str:
    by_id = field.supplied("instance_id")
    workflow = field.supplied("workflow") if by_workflow else None
    return filters.all_of(filters.identified(field, row, by_id=by_id, by_workflow=workflow))


def _step(field: Field, row: str, *, by_workflow: bool) -> str:
    """The step of a report, in the run and with the status and attempt that are not null."""
    instance = field.new_alias()
    run, status = integer(field.supplied("run")), field.supplied("status")
    attempt, occurrence = (integer(field.supplied(name)) for name in ("attempt", "occurrence"))
    # CROSS makes SQLite begin with the instance.
    return (
        f"instances {instance} CROSS JOIN steps {row}"
        f" WHERE {_instance(field, instance, by_workflow=by_workflow)}"
        f" AND {row}.instance={instance}.id AND {row}.run={instance}.run"
        f" AND {row}.name={field.supplied('name')} AND {row}.occurrence={occurrence}"
        f" AND {row}.run=coalesce({run},{row}.run) AND {row}.status=coalesce({status},{row}.status)"
        f" AND {row}.attempt=coalesce({attempt},{row}.attempt)"
    )
