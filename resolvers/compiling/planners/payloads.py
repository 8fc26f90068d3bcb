"""The payloads of mutations, which are read from D1 in the batch of the write.

Example:

    mutation {
      updateWorkflowInstance(input: { instanceId: "i-1", workflow: "order", metadata: { a: 1 } }) {
        ... on InstancePayload { instance { status } }
      }
    }

becomes, after the statements of the write,

    SELECT … format('{"instance":%s}',format('{"status":%s}','"'||t1.status||'"')) AS body
    FROM instances t1 WHERE t1.instance_id=?1 AND t1.workflow=?2…
"""

from resolvers.compiling.fields import Field
from resolvers.compiling.planners import filters
from resolvers.ports.sql import is_followed

# The payload of an update of an instance that may be followed: the type depends on that.
REPORTED_INSTANCE = "InstancePayload or InstanceFollowed"


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
            source = f"steps {row} WHERE {_step(field, row, by_workflow=by_workflow)}"
        case "AmbiguousInstance":
            source = f"(SELECT 1) {row}"  # the list is selected by its field
        case "InstanceFollowed":
            source = f"instances {row} WHERE {_instance(field, row, by_workflow=by_workflow)}"
            source += f" AND {is_followed(row)}"
        case _:
            source = f"instances {row} WHERE {_instance(field, row, by_workflow=by_workflow)}"
    if type_name == REPORTED_INSTANCE:
        followed, other = (field.body(row, n) for n in ("InstanceFollowed", "InstancePayload"))
        return f"iif({is_followed(row)},{followed},{other})", source
    return field.body(row, type_name), source


def _instance(field: Field, row: str, *, by_workflow: bool) -> str:
    """The conditions for the instance that the mutation names."""
    by_id, workflow = _key(field, by_workflow=by_workflow)
    conditions = filters.identified(field, row, by_id=by_id, by_workflow=workflow)
    return filters.all_of(conditions)


def _key(field: Field, *, by_workflow: bool) -> tuple[str, str | None]:
    """The parameters that bind the id and the workflow of the instance."""
    by_id = field.supplied("instance_id")
    return by_id, field.supplied("workflow") if by_workflow else None


def _step(field: Field, row: str, *, by_workflow: bool) -> str:
    """Conditions for the step of a report, with the run, status and attempt that are not null.

    They select no step of an instance that is followed.
    """
    by_id, workflow = _key(field, by_workflow=by_workflow)
    # SQLite plans subqueries in half the time that it takes for a join.
    instance, run = (
        filters.identified_value(field, value, by_id=by_id, by_workflow=workflow)
        for value in (f"iif({is_followed('o')},NULL,o.id)", "o.run")
    )
    required = [
        f"{row}.{column}=coalesce({field.supplied(column)},{row}.{column})"
        for column in ("run", "status", "attempt")
    ]
    named = [f"{row}.{column}={field.supplied(column)}" for column in ("name", "occurrence")]
    return filters.all_of([f"{row}.instance={instance}", f"{row}.run={run}", *named, *required])
