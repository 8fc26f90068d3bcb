"""One instance of a workflow, read through the API."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.worker.event_log import START

if TYPE_CHECKING:
    from tests.worker.api import Api

SEND = """mutation Send($input: SendWorkflowEventInput!) {
  sendWorkflowEvent(input: $input) { __typename ... on Error { message } }
}"""
SHOW = """query Run($id: String!) {
  instance(instanceId: $id) {
    instanceId status input output error { name message stack } sleepUntil
    createdAt startedAt completedAt duration
    steps {
      name index kind status output error { name message } attemptCount startedAt completedAt
      nextRetryAt retryPolicy { limit delay backoff }
      attempts { number status error { name message stack } startedAt endedAt retryAt }
    }
    events(first: 1000) { events { cursor type status step { name } attempt at } }
  }
}"""
DEADLINE_S = 40.0


class Run:
    """One instance, by its id."""

    def __init__(self, api: Api, instance_id: str) -> None:
        self.api = api
        self.instance_id = instance_id

    @classmethod
    def start(cls, api: Api, workflow: str, **given: Any) -> Run:
        """Start an instance with a new id."""
        run = cls(api, f"{workflow}-{uuid.uuid4()}")
        start = {"workflow": workflow, "instanceId": run.instance_id, "input": given}
        answer = api.data(START, input=start)["startWorkflow"]
        assert answer["__typename"] == "InstancePayload", answer
        return run

    def send_event(self, type_: str, payload: object) -> str:
        """Send the instance an event and return the type name of the result."""
        event = {"instanceId": self.instance_id, "type": type_, "payload": payload}
        answer: str = self.api.data(SEND, input=event)["sendWorkflowEvent"]["__typename"]
        return answer

    def show(self) -> Any:
        """The instance, None if it is not tracked."""
        return self.api.data(SHOW, id=self.instance_id)["instance"]

    def until(self, status: str, *, seconds: float = DEADLINE_S) -> Any:
        """Wait until the instance has a status, and return it."""

        def reached(data: Any) -> bool:
            return bool(data["instance"]) and data["instance"]["status"] == status

        return self.api.until(SHOW, reached, seconds=seconds, id=self.instance_id)["instance"]

    @staticmethod
    def steps(instance: Any) -> list[tuple[str, str, str, int]]:
        """Name, kind, status and number of attempts of each step, in order."""
        return [
            (step["name"], step["kind"], step["status"], step["attemptCount"])
            for step in instance["steps"]
        ]

    @staticmethod
    def step(instance: Any, name: str) -> Any:
        """The step of that name."""
        [found] = [step for step in instance["steps"] if step["name"] == name]
        return found

    @staticmethod
    def events(instance: Any) -> list[tuple[str, str | None, int | None]]:
        """Type, step and attempt of each event, in order."""
        return [
            (event["type"], (event["step"] or {}).get("name"), event["attempt"])
            for event in instance["events"]["events"]
        ]
