"""Workflows of the tests' Workers as the API shows them: start one, wait for it, read its log."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.worker.api import Api

_START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) {
    ... on InstancePayload { instance { status } }
    ... on Error { code message }
  }
}"""
_INSTANCE = """query Instance($id: String!, $workflow: String) {
  instance(instanceId: $id, workflow: $workflow) {
    workflow { name }
    run
    reference { refType refId }
    status input output outputKind sleepUntil startedAt
    error { name message stack }
    steps {
      name occurrence index kind status output outputKind attemptCount nextRetryAt
      startedAt completedAt
      error { name message }
      retryPolicy { limit delay backoff }
      attempts { number status startedAt endedAt retryAt error { name message stack } }
    }
    runs { number status output error { message } steps { name status output } }
    events(first: 1000) { events { type step { name occurrence } attempt at } }
  }
}"""
SENT = "INSTANCE_UPDATED"
FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")

Log = list[tuple[str, str | None, int | None]]


def start(api: Api, workflow: str, *, instance_id: str = "", **wishes: Any) -> str:
    """Start an instance through the API; its id, a new one unless given."""
    instance_id = instance_id or f"{workflow}-{uuid.uuid4()}"
    return _start(api, {"workflow": workflow, "instanceId": instance_id, "input": wishes or None})


def start_elsewhere(api: Api, workflow: str, *, instance_id: str = "") -> str:
    """Record the start of an instance that no engine runs; its id, a new one unless given."""
    instance_id = instance_id or f"{workflow}-{uuid.uuid4()}"
    return _start(api, {"workflow": workflow, "instanceId": instance_id, "trackOnly": True})


def _start(api: Api, started: dict[str, Any]) -> str:
    answer = api.data(_START, input=started)["startWorkflow"]
    assert answer == {"instance": {"status": "QUEUED"}}
    return str(started["instanceId"])


def until(
    api: Api,
    instance_id: str,
    *statuses: str,
    workflow: str | None = None,
    seconds: float = 30,
) -> dict[str, Any]:
    """The instance once it has one of the statuses; the terminal ones, unless given."""
    wanted = statuses or FINISHED
    found = api.until(
        _INSTANCE,
        lambda data: data["instance"] and data["instance"]["status"] in wanted,
        seconds=seconds,
        id=instance_id,
        workflow=workflow,
    )
    instance = found["instance"]
    assert isinstance(instance, dict)
    return instance


def log_of(instance: dict[str, Any]) -> Log:
    """The events of a workflow: type of the event, name of the step, number of the attempt.

    The second `load` is shown as `load #2`. An event that somebody sends to the instance is in the
    log as well, whenever it comes; see `sent_to`.
    """
    return [
        (event["type"], shown(event["step"]), event["attempt"])
        for event in instance["events"]["events"]
        if event["type"] != SENT
    ]


def shown(step: dict[str, Any] | None) -> str | None:
    """The name of a step, with its occurrence unless that is 1."""
    if step is None:
        return None
    name, occurrence = step["name"], step["occurrence"]
    return str(name) if occurrence == 1 else f"{name} #{occurrence}"


def sent_to(instance: dict[str, Any]) -> int:
    """The number of entries in the log for events that were sent to the instance."""
    return sum(event["type"] == SENT for event in instance["events"]["events"])


def act(api: Api, action: str, instance_id: str, **more: Any) -> None:
    """Have the engine act on an instance."""
    kind = "SendWorkflowEventInput" if action == "sendWorkflowEvent" else "InstanceActionInput"
    query = f"""mutation($input: {kind}!) {{ answer: {action}(input: $input) {{
      ... on InstancePayload {{ instance {{ instanceId }} }}
      ... on Error {{ code message }}
    }} }}"""
    answer = api.data(query, input={"instanceId": instance_id, **more})["answer"]
    assert answer == {"instance": {"instanceId": instance_id}}, answer
