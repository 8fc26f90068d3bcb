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
        case _:
            by_id, workflow = _key(field, by_workflow=by_workflow)
            conditions = filters.identified(field, row, by_id=by_id, by_workflow=workflow)
            source = f"instances {row} WHERE {filters.all_of(conditions)}"
    return field.body(row, type_name), source


def _key(field: Field, *, by_workflow: bool) -> tuple[str, str | None]:
    """The parameters that bind the id and the workflow of the instance."""
    by_id = field.supplied("instance_id")
    return by_id, field.supplied("workflow") if by_workflow else None


def _step(field: Field, row: str, *, by_workflow: bool) -> str:
    """Conditions for the step of a report, with the run, status and attempt that are not null."""
    by_id, workflow = _key(field, by_workflow=by_workflow)
    # SQLite plans subqueries in half the time that it takes for a join.
    instance, run = (
        filters.identified_value(field, column, by_id=by_id, by_workflow=workflow)
        for column in ("id", "run")
    )
    required = [
        f"{row}.{column}=coalesce({field.supplied(column)},{row}.{column})"
        for column in ("run", "status", "attempt")
    ]
    named = [f"{row}.{column}={field.supplied(column)}" for column in ("name", "occurrence")]
    return filters.all_of([f"{row}.instance={instance}", f"{row}.run={run}", *named, *required])
