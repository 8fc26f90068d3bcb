"""Mutations as method calls, and the state of the tables after them."""

from typing import Any

from resolvers.ports.engine import Engine
from resolvers.ports.sql import HEAD
from tests.support.client import Client

INSTANCE = """id instanceId run status following input output error { name message stack } metadata
  createdAt startedAt updatedAt completedAt sleepUntil workflow { name }
  reference { refType refId }"""
STEP = """run name occurrence index kind status output error { name message stack } attemptCount
  nextRetryAt
  retryPolicy { limit delay backoff } startedAt completedAt
  attempts { number status error { message } startedAt endedAt retryAt }"""
_FAILURES = """__typename ... on InvalidInput { code message path } ... on NotFound { code message }
  ... on AmbiguousInstance { code message instances { instanceId workflow { name } } }
  ... on RunMismatch { code message run }
  ... on IllegalTransition { code message from to stepFrom stepTo }"""
_FOLLOWED = f"... on InstanceFollowed {{ code message instance {{ {INSTANCE} }} }}"
_STARTED = f"""__typename ... on InstancePayload {{ instance {{ {INSTANCE} }} }}
  ... on InvalidInput {{ code message path }} ... on EngineUnavailable {{ code message }}
  ... on UnboundWorkflow {{ code message suggestions }}
  ... on InstanceConflict {{ code message existing {{ {INSTANCE} }} }}"""
_ACTED = f"""__typename ... on InstancePayload {{ instance {{ {INSTANCE} }} }}
  ... on NotFound {{ code }} ... on IllegalTransition {{ code from to }}
  ... on AmbiguousInstance {{ code instances {{ instanceId workflow {{ name }} }} }}
  ... on EngineUnavailable {{ code message }}"""

START = f"mutation ($v: StartWorkflowInput!) {{ r: startWorkflow(input: $v) {{ {_STARTED} }} }}"
STARTS = (
    f"mutation ($v: [StartWorkflowInput!]!) {{ r: startWorkflows(inputs: $v) {{ {_STARTED} }} }}"
)
FOLLOW = f"""mutation ($v: FollowWorkflowInput!) {{ r: followWorkflow(input: $v) {{ __typename
  ... on InstancePayload {{ instance {{ {INSTANCE} }} }}
  ... on InvalidInput {{ code message path }} ... on NotFound {{ code message }}
  ... on UnboundWorkflow {{ code message suggestions }}
  ... on EngineUnavailable {{ code message }} }} }}"""
UPDATE = f"""mutation ($v: UpdateWorkflowInstanceInput!) {{ r: updateWorkflowInstance(input: $v) {{
  {_FAILURES} {_FOLLOWED} ... on InstancePayload {{ instance {{ {INSTANCE} }} }} }} }}"""
UPDATE_STEP = f"""mutation ($v: UpdateWorkflowStepInput!) {{ r: updateWorkflowStep(input: $v) {{
  {_FAILURES} {_FOLLOWED} ... on StepPayload {{ step {{ {STEP} }} }} }} }}"""
TRACK = f"""mutation ($v: [TrackingUpdate!]!) {{ r: track(updates: $v) {{
  {_FAILURES} ... on TrackPayload {{ applied followed cursor }} }} }}"""
REGISTER = """mutation ($v: RegisterWorkflowInput!) { r: registerWorkflow(input: $v) { __typename
  ... on InvalidInput { code path } ... on WorkflowPayload { workflow {
  name description metadata retentionDays trackOnly createdAt updatedAt } } } }"""
ACT = f"""mutation ($v: InstanceActionInput!) {{ r: %s(input: $v) {{ {_ACTED} }} }}"""

# Everything that a caller can change, without the instants of the changes.
_STATE = {
    "workflows": "SELECT name,description,metadata,retention_days,track_only FROM workflows"
    " ORDER BY name",
    "instances": "SELECT instance_id,workflow,run,ref_type,ref_id,status,input,output,output_kind,"
    "error,metadata,sleep_until,retrying_steps,started_at IS NULL,completed_at IS NULL"
    " FROM instances ORDER BY id",
    "runs": "SELECT instance,run,status,output,output_kind,error FROM runs ORDER BY instance,run",
    "steps": "SELECT instance,run,name,occurrence,step_index,kind,status,output,output_kind,error,"
    "attempt,"
    "next_retry_at,retry_limit,retry_delay,retry_backoff FROM steps ORDER BY id",
    "attempts": "SELECT step,number,status,error,retry_at FROM attempts ORDER BY step,number",
}


class Writer:
    """Calls mutations with a client; each method returns the member of the result union."""

    def __init__(self, client: Client | None = None, engine: Engine | None = None) -> None:
        self.client = client or Client()
        self.database = self.client.database
        if engine is not None:
            self.client.services.engine = engine

    def _call(self, query: str, value: Any) -> Any:
        return self.client(query, v=value)["r"]

    def start(self, workflow: str = "w", **given: Any) -> Any:
        """startWorkflow; a workflow that is not bound is only tracked."""
        is_bound = workflow in self.client.services.engine.workflows
        return self._call(START, {"workflow": workflow, "trackOnly": not is_bound, **given})

    def starts(self, *inputs: dict[str, Any]) -> Any:
        """startWorkflows; workflows that are not bound are only tracked."""
        bound = self.client.services.engine.workflows
        given = [{"trackOnly": start.get("workflow") not in bound, **start} for start in inputs]
        return self._call(STARTS, given)

    def follow(self, instance_id: str = "i", workflow: str = "w", **given: Any) -> Any:
        """followWorkflow."""
        return self._call(FOLLOW, {"instanceId": instance_id, "workflow": workflow, **given})

    def update(self, instance_id: str = "i", **given: Any) -> Any:
        """updateWorkflowInstance."""
        return self._call(UPDATE, {"instanceId": instance_id, **given})

    def create(self, status: str | None = None, instance_id: str = "i", **given: Any) -> Any:
        """Create an instance in any status."""
        result = self.update(instance_id, workflow="w", status=status, **given)
        assert result["__typename"] == "InstancePayload", result
        return result["instance"]

    def step(self, status: str, name: str = "s", instance_id: str = "i", **given: Any) -> Any:
        """updateWorkflowStep."""
        return self._call(
            UPDATE_STEP, {"instanceId": instance_id, "name": name, "status": status, **given}
        )

    def track(self, *updates: dict[str, Any]) -> Any:
        """track."""
        return self._call(TRACK, list(updates))

    def register(self, name: str = "w", **given: Any) -> Any:
        """registerWorkflow."""
        return self._call(REGISTER, {"name": name, **given})

    def act(self, action: str, instance_id: str = "i", **given: Any) -> Any:
        """An action such as pauseWorkflow."""
        return self._call(ACT % f"{action}Workflow", {"instanceId": instance_id, **given})

    def events(self, after: int = 0) -> list[tuple[Any, ...]]:
        """The events after a position: type, status, step, attempt."""
        return self.database.rows(
            "SELECT type,status,step,attempt FROM events WHERE id>?1 ORDER BY id", after
        )

    def types(self, after: int = 0) -> list[str]:
        """The types of the events after a position."""
        return [row[0] for row in self.events(after)]

    def head(self) -> int:
        """The position of the last event, even if that was removed."""
        [(head,)] = self.database.rows(f"SELECT {HEAD}")
        return int(head)

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that a caller can change."""
        return {table: self.database.rows(sql) for table, sql in _STATE.items()}

    def read(self, instance_id: str = "i", workflow: str | None = None) -> Any:
        """The instance."""
        query = f"""query ($id: String!, $w: String) {{
          instance(instanceId: $id, workflow: $w) {{ {INSTANCE} }} }}"""
        return self.client(query, id=instance_id, w=workflow)["instance"]


def failure(result: Any) -> tuple[Any, ...]:
    """The code and the path of an InvalidInput."""
    assert result["__typename"] == "InvalidInput", result
    return (result["code"], ".".join(result["path"]))
