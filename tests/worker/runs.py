"""A run of a workflow as the API shows it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.worker.api import Api

START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename ... on Error { message } }
}"""
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
        """Start an instance with an id of its own."""
        run = cls(api, f"{workflow}-{uuid.uuid4()}")
        wish = {"workflow": workflow, "instanceId": run.instance_id, "input": given}
        answer = api.data(START, input=wish)["startWorkflow"]
        assert answer["__typename"] == "InstancePayload", answer
        return run

    def send_event(self, type_: str, payload: object) -> str:
        """Send the instance an event; the type of the answer."""
        wish = {"instanceId": self.instance_id, "type": type_, "payload": payload}
        answer: str = self.api.data(SEND, input=wish)["sendWorkflowEvent"]["__typename"]
        return answer

    def show(self) -> Any:
        """The instance as it is, None where it is not tracked."""
        return self.api.data(SHOW, id=self.instance_id)["instance"]

    def until(self, status: str, *, seconds: float = DEADLINE_S) -> Any:
        """The instance, once it has a status."""

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
