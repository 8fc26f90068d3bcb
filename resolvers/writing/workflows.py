"""Writes to workflow definitions.

Example:

    mutation { registerWorkflow(input: { name: "order", retentionDays: 30 }) { __typename } }

becomes

    INSERT INTO workflows (name,description,metadata,retention_days,track_only,created_at,…)
    VALUES (?5,?1,?2,CAST(?3 AS INTEGER),CAST(?4 AS INTEGER),…)
    ON CONFLICT (name) DO UPDATE
    SET retention_days=excluded.retention_days,updated_at=excluded.updated_at
    WHERE (workflows.retention_days) IS NOT (excluded.retention_days)
"""

from resolvers.ports.database import Statement
from resolvers.ports.sql import NOW
from resolvers.writing.inputs import RegisterWorkflow
from resolvers.writing.statements import Parameters


def register(workflow: RegisterWorkflow) -> Statement:
    """Insert the definition, or change the fields of the existing one that are set."""
    bound = Parameters()
    values = {
        "description": bound.bind(workflow.description),
        "metadata": bound.bind(workflow.metadata),
        "retention_days": bound.bind_integer(workflow.retention_days),
        "track_only": bound.bind_integer(int(workflow.track_only or False)),
    }
    changed = [column for column in values if workflow.has(column)]
    assignments = [f"{column}=excluded.{column}" for column in changed]
    conflict = "DO NOTHING"
    if changed:
        before = ",".join(f"workflows.{column}" for column in changed)
        after = ",".join(f"excluded.{column}" for column in changed)
        conflict = (
            f"DO UPDATE SET {','.join([*assignments, 'updated_at=excluded.updated_at'])}"
            f" WHERE ({before}) IS NOT ({after})"
        )
    return bound.statement(
        f"INSERT INTO workflows (name,{','.join(values)},created_at,updated_at)"
        f" VALUES ({bound.bind(workflow.name)},{','.join(values.values())},{NOW},{NOW})"
        f" ON CONFLICT (name) {conflict}"
    )


def select_track_only(name: str) -> Statement:
    """Select 1 if starts of the workflow are recorded although it is not bound, else 0."""
    return Statement("SELECT track_only FROM workflows WHERE name=?1", (name,))
