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
_INSTANCE = """query Instance($id: String!) {
  instance(instanceId: $id) {
    workflow { name }
    reference { refType refId }
    status input output sleepUntil startedAt
    error { name message stack }
    steps {
      name index kind status output attemptCount nextRetryAt startedAt completedAt
      error { name message }
      retryPolicy { limit delay backoff }
      attempts { number status startedAt endedAt retryAt error { name message stack } }
    }
    events(first: 1000) { events { type step { name } attempt at } }
  }
}"""
SENT = "INSTANCE_UPDATED"
FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")

Log = list[tuple[str, str | None, int | None]]


def start(api: Api, workflow: str, **wishes: Any) -> str:
    """Start an instance through the API; its id."""
    instance_id = f"{workflow}-{uuid.uuid4()}"
    started = {"workflow": workflow, "instanceId": instance_id, "input": wishes or None}
    answer = api.data(_START, input=started)["startWorkflow"]
    assert answer == {"instance": {"status": "QUEUED"}}
    return instance_id


def until(api: Api, instance_id: str, *statuses: str, seconds: float = 30) -> dict[str, Any]:
    """The instance once it has one of the statuses; the terminal ones, unless given."""
    wanted = statuses or FINISHED
    found = api.until(
        _INSTANCE,
        lambda data: data["instance"] and data["instance"]["status"] in wanted,
        seconds=seconds,
        id=instance_id,
    )
    instance = found["instance"]
    assert isinstance(instance, dict)
    return instance


def log_of(instance: dict[str, Any]) -> Log:
    """The events of a workflow: type of the event, name of the step, number of the attempt.

    An event that somebody sends to the instance is in the log as well, whenever it comes; see
    `sent_to`.
    """
    return [
        (event["type"], (event["step"] or {}).get("name"), event["attempt"])
        for event in instance["events"]["events"]
        if event["type"] != SENT
    ]


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
