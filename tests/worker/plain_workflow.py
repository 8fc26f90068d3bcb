"""A plain Workflow, which imports nothing of Flowflare, beside a service that follows it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

from scripts.project import ROOT
from tests.worker.engine_history import SHOW, assert_recorded, is_over, read_history
from tests.worker.event_log import START
from tests.worker.runs import SEND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.local_server import LocalServer
    from tests.worker.api import Api

FOLDER = ROOT / "tests" / "worker" / "workflows" / "plain"
DEADLINE_S = 75.0
PROMPTLY_S = 2.0
RETRIES = [
    {"limit": 3, "delay": 100, "backoff": backoff}
    for backoff in ("constant", "linear", "exponential")
]
OUTPUTS = """query ($id: String!) { instance(instanceId: $id) {
  input output outputKind steps { name output outputKind } } }"""

Deed: TypeAlias = list[object]
"""A line of a plan: see `DEEDS` in workflows/plain/worker.mjs."""


def start(api: Api, plan: Sequence[Deed]) -> str:
    """Start an instance, and return its id."""
    instance_id = f"plain-{uuid.uuid4()}"
    given = {"workflow": "plain", "instanceId": instance_id, "input": plan}
    answer = api.data(START, input=given)["startWorkflow"]
    assert answer["__typename"] == "InstancePayload", answer
    return instance_id


def show(api: Api, instance_id: str) -> Any:
    return api.data(SHOW, id=instance_id)["instance"]


def until_status(api: Api, instance_id: str, *statuses: str, run: int = 1) -> Any:
    """Wait until the instance has one of the statuses in a run, and return it."""

    def reached(data: Any) -> bool:
        found = data["instance"]
        return found["run"] == run and found["status"] in statuses

    return api.until(SHOW, reached, seconds=DEADLINE_S, id=instance_id)["instance"]


def until_step(api: Api, instance_id: str, name: str, status: str, *, run: int = 1) -> Any:
    """Wait until a step of the instance has a status, and return the instance."""

    def reached(data: Any) -> bool:
        found = data["instance"]
        steps = [step["status"] for step in found["steps"] if step["name"] == name]
        return found["run"] == run and status in steps

    return api.until(SHOW, reached, seconds=DEADLINE_S, id=instance_id)["instance"]


def send(api: Api, instance_id: str, type_: str, payload: object = None) -> None:
    event = {"instanceId": instance_id, "type": type_, "payload": payload}
    answer = api.data(SEND, input=event)["sendWorkflowEvent"]
    assert answer["__typename"] == "InstancePayload", answer


def whole_history(server: LocalServer, instance_id: str) -> list[dict[str, Any]]:
    """The history of an instance whose run has ended, which a busy machine may read in parts."""
    for _ in range(10):
        if is_over(history := read_history(server, instance_id)):
            return history
    raise AssertionError(f"the history of {instance_id} has not ended")


def assert_followed(
    server: LocalServer, api: Api, instance_id: str, status: str = "COMPLETED"
) -> Any:
    """Wait for the end of the first run, and compare it with the engine's history."""
    instance = until_status(api, instance_id, status)
    assert_recorded(instance, whole_history(server, instance_id))
    return instance
