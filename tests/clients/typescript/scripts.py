"""Runs workflows of the Worker in `workflows/`, and reads what Flowflare has of them."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.local_server import LocalServer
    from tests.worker.api import Api

WORKER = "tracked-workflows"
WORKFLOW = "js-script"
START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename ... on Error { code message } }
}"""
STATE = """query State($id: String!, $workflow: String!) {
  instance(instanceId: $id, workflow: $workflow) {
    run status workflow { name } reference { refType refId } input output outputKind metadata
    sleepUntil
    error { name message stack } startedAt completedAt
    steps {
      name occurrence index kind status output outputKind error { name message stack }
      startedAt completedAt
      retryPolicy { limit delay backoff } nextRetryAt
      attempts { number status error { name message stack } startedAt endedAt retryAt }
    }
    runs { number status output steps { name occurrence status } }
    events(first: 1000) { events { type at run status step { name } attempt data } }
  }
}"""
ACT = """mutation Act($id: String!, $workflow: String!) {
  ACTION(input: {instanceId: $id, workflow: $workflow}) {
    ... on InstancePayload { instance { status } } ... on Error { code message }
  }
}"""
SEND = """mutation Send($input: SendWorkflowEventInput!) {
  sendWorkflowEvent(input: $input) { __typename ... on Error { code message } }
}"""
DEADLINE_S = 30
FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")


class Scripts:
    """Starts workflows whose input is a list of actions (see workflows/worker.ts)."""

    def __init__(self, server: LocalServer, api: Api) -> None:
        self.server = server
        self.api = api

    def start(
        self,
        actions: Sequence[object],
        *,
        workflow: str = WORKFLOW,
        id_: str | None = None,
        **more: object,
    ) -> str:
        """Start a workflow through the API and return its instance's id."""
        id_ = id_ or f"script-{secrets.token_hex(6)}"
        input_ = {"actions": list(actions), **more}
        answer = self.api.data(
            START, input={"workflow": workflow, "instanceId": id_, "input": input_}
        )
        assert answer["startWorkflow"]["__typename"] == "InstancePayload", answer
        return id_

    def create(self, actions: Sequence[object]) -> str:
        """Start a workflow at the engine, so that Flowflare does not know of it."""
        id_ = f"script-{secrets.token_hex(6)}"
        self.tell("create", id_, {"actions": list(actions)})
        return id_

    def run(self, actions: Sequence[object], **more: Any) -> Any:
        """Start a workflow, wait for its end and return the instance."""
        return self.finished(self.start(actions, **more))

    def finished(self, id_: str, *, workflow: str = WORKFLOW) -> Any:
        """The instance once Flowflare has it as finished."""
        return self.until(id_, lambda found: found["status"] in FINISHED, workflow=workflow)

    def until(self, id_: str, done: Callable[[Any], bool], *, workflow: str = WORKFLOW) -> Any:
        """The instance once `done` says that it is as wanted."""

        def found(data: Any) -> bool:
            return data["instance"] is not None and done(data["instance"])

        return self.api.until(STATE, found, id=id_, workflow=workflow)["instance"]

    def reaches(self, id_: str, step: str, status: str = "RUNNING") -> Any:
        """The instance once a step of it has a status."""
        return self.until(id_, lambda found: statuses(found).get(step) == status)

    def act(self, action: str, id_: str) -> Any:
        """Pause, resume, terminate or restart an instance through the API; return its status."""
        data = self.api.data(ACT.replace("ACTION", action), id=id_, workflow=WORKFLOW)
        return data[action]["instance"]["status"]

    def send(self, id_: str, type_: str) -> None:
        """Send an event to an instance through the API."""
        event = {
            "instanceId": id_,
            "workflow": WORKFLOW,
            "type": type_,
            "payload": {"by": "test"},
        }
        answer = self.api.data(SEND, input=event)
        assert answer["sendWorkflowEvent"]["__typename"] == "InstancePayload", answer

    def tell(self, what: str, id_: str, body: object = None) -> Any:
        """Ask the Worker for something: `calls`, `status`, `wake`, `pause`, `open`, …"""
        text = None if body is None else json.dumps(body)
        method = "GET" if text is None else "POST"
        reply = self.server.fetch(WORKER, f"/{what}/{id_}", method=method, body=text)
        assert reply.status == 200, reply.text
        return reply.json() if reply.text.startswith(("{", "[")) else reply.text

    def calls(self, id_: str) -> list[Any]:
        """The calls to the service that the Worker made for an instance."""
        calls: list[Any] = self.tell("calls", id_)
        return calls

    def engine(self, id_: str) -> Any:
        """The engine's own status of an instance."""
        return self.tell("status", id_)

    def end(self, id_: str) -> Any:
        """The engine's `status` and `error` of an instance, once that has ended."""
        ended = ("complete", "errored", "terminated")
        return wait(lambda: self.tell("end", id_), lambda found: found["status"] in ended)

    def until_engine(self, id_: str, status: str) -> Any:
        """The engine's word once it has this status."""
        return wait(lambda: self.engine(id_), lambda found: found["status"] == status)

    def until_engine_steps(self, id_: str, count: int) -> None:
        """Wait until the engine has the results of so many steps."""
        wait(
            lambda: self.engine(id_),
            lambda found: len(found["__LOCAL_DEV_STEP_OUTPUTS"]) >= count,
        )

    def until_calls(self, id_: str, count: int) -> list[Any]:
        """The calls of an instance, once there are so many."""
        calls: list[Any] = wait(lambda: self.calls(id_), lambda found: len(found) >= count)
        return calls


def wait(look: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """Call `look` until `done` accepts its result; fails with the last result."""
    deadline = time.monotonic() + DEADLINE_S
    while not done(found := look()):
        assert time.monotonic() < deadline, f"still: {found}"
        time.sleep(0.05)
    return found


def statuses(instance: Any) -> dict[str, str]:
    """The statuses of its steps by their names."""
    return {step["name"]: step["status"] for step in instance["steps"]}


def steps(instance: Any) -> list[tuple[str, int, str]]:
    """Name, occurrence and status of each of its steps."""
    return [(step["name"], step["occurrence"], step["status"]) for step in instance["steps"]]


def step(instance: Any, name: str) -> Any:
    """One of its steps."""
    [found] = [step for step in instance["steps"] if step["name"] == name]
    return found


def attempts(instance: Any, name: str) -> list[tuple[int, str, str | None]]:
    """The attempts at a step: number, status, message of the error."""
    return [
        (a["number"], a["status"], a["error"] and a["error"]["message"])
        for a in step(instance, name)["attempts"]
    ]


def happened(instance: Any) -> list[str]:
    """Its events in order: `STEP_STARTED one`, `ATTEMPT_FAILED one 1`."""
    return [
        " ".join(
            str(part)
            for part in (event["type"], event["step"] and event["step"]["name"], event["attempt"])
            if part
        )
        for event in instance["events"]["events"]
    ]
