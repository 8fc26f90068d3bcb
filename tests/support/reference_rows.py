"""The tables as plain Python rows, and the part of them that one caller may see."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from resolvers.access.principals import Restrictions

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Callable[[str], Iterable[Sequence[Any]]]

_COLUMNS = {
    "workflows": "name description metadata retention_days track_only created_at updated_at",
    "instances": "id instance_id workflow run ref_type ref_id status input output output_kind"
    " error metadata created_at started_at updated_at completed_at sleep_until followed"
    " behind_since",
    "runs": "instance run status output output_kind error started_at completed_at",
    "steps": "id instance run step_index name occurrence kind status output output_kind error"
    " retry_limit retry_delay retry_backoff attempt next_retry_at started_at completed_at",
    "attempts": "step number status error started_at ended_at retry_at",
    "events": "id at type instance run status step occurrence attempt data",
    "stacks": "instance run step occurrence attempt message stack",
}
_TYPES = {
    "workflows": "Workflow",
    "instances": "WorkflowInstance",
    "runs": "WorkflowRun",
    "steps": "WorkflowStep",
    "attempts": "StepAttempt",
    "events": "WorkflowEvent",
    "stacks": "",
}


@dataclass(frozen=True, slots=True)
class Data:
    """Whole tables as lists of rows."""

    workflows: list[Row]
    instances: list[Row]
    runs: list[Row]
    steps: list[Row]
    attempts: list[Row]
    events: list[Row]
    stacks: list[Row]

    @classmethod
    def read(cls, rows: Rows) -> "Data":
        """Read every table through `rows(sql)`."""
        tables = {}
        for table, text in _COLUMNS.items():
            columns = text.split()
            tables[table] = [
                {"__typename": _TYPES[table], **dict(zip(columns, row, strict=True))}
                for row in rows(f"SELECT {','.join(columns)} FROM {table}")
            ]
        return cls(**tables)


class View:
    """The data as one caller may see it."""

    def __init__(self, data: Data, restrictions: Restrictions) -> None:
        self.data = data
        self.restrictions = restrictions
        self.instances = [row for row in data.instances if self._sees(row)]
        self.instance_rows = {row["id"] for row in self.instances}

    def _sees(self, instance: Row) -> bool:
        return self.restrictions.allow(
            instance_id=instance["instance_id"],
            workflow=instance["workflow"],
            reference=(instance["ref_type"], instance["ref_id"]),
        )

    def workflows(self) -> list[Row]:
        """The workflows that the restrictions name, or those of the visible instances."""
        allowed = self.restrictions
        if allowed.reference is None and allowed.instance_id is None:
            return [
                row
                for row in self.data.workflows
                if allowed.workflows is None or row["name"] in allowed.workflows
            ]
        seen = {row["workflow"] for row in self.instances}
        return [row for row in self.data.workflows if row["name"] in seen]

    def steps_of(self, instance: Row, run: int | None = None) -> list[Row]:
        """The steps of an instance's run in order, of the current one by default."""
        key = (instance["id"], instance["run"] if run is None else run)
        found = [row for row in self.data.steps if (row["instance"], row["run"]) == key]
        return sorted(found, key=lambda row: int(row["step_index"]))

    def runs_of(self, instance: Row) -> list[Row]:
        """The runs of an instance, newest first."""
        current = {"__typename": "WorkflowRun", **instance, "instance": instance["id"]}
        earlier = [row for row in self.data.runs if row["instance"] == instance["id"]]
        return [current, *sorted(earlier, key=lambda row: -int(row["run"]))]

    def error_of(self, row: Row, *, step: Row | None = None, attempts: Iterable[int] = (0,)) -> Any:
        """The error of a row, with the stack that was reported for it if it has none.

        `step` is the step that it belongs to, and `attempts` are the numbers that the report may
        have, the best first.
        """
        if row["error"] is None:
            return None
        error = json.loads(row["error"])
        for attempt in attempts if error["stack"] is None else ():
            found = one(
                self.data.stacks,
                instance=row["id"]
                if row["__typename"] == "WorkflowInstance"
                else (step or row)["instance"],
                run=(step or row)["run"],
                step=step["name"] if step else "",
                occurrence=step["occurrence"] if step else 0,
                attempt=attempt,
            )
            if found and found["message"] in error["message"]:
                return {**error, "stack": found["stack"]}
        return error

    def referring(self, reference: Row) -> list[Row]:
        """The visible instances with a reference."""
        key = (reference["ref_type"], reference["ref_id"])
        return [row for row in self.instances if (row["ref_type"], row["ref_id"]) == key]

    def running(self, workflow: Row) -> list[Row]:
        """The visible instances of a workflow."""
        return [row for row in self.instances if row["workflow"] == workflow["name"]]

    def retrying(self, instance: Row) -> bool:
        """True if a step waits for its next attempt."""
        return any(step["status"] == "RETRYING" for step in self.steps_of(instance))


def one(rows: Iterable[Row], **columns: Any) -> Row | None:
    """The only row with these values, None if there is none."""
    found = [row for row in rows if all(row[name] == value for name, value in columns.items())]
    assert len(found) <= 1
    return found[0] if found else None
