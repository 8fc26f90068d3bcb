"""`trackStep` and `updateWorkflowInstance` in a workflow that does all by hand, as of old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.typescript.scripts import attempts, happened, step

if TYPE_CHECKING:
    from tests.clients.typescript.scripts import Scripts

BEGIN = {"update": {"status": "Running"}}
END = {"update": {"status": "Completed", "output_result": {"ok": True}}}


@pytest.fixture(scope="module")
def instance(scripts: Scripts) -> Any:
    """A workflow whose steps retry by themselves, and in the engine's."""
    by_itself = {"step": "by itself", "index": 1, "fails": 2, "config": {"baseDelay": 20}}
    gives_up = {"step": "gives up", "index": 2, "fails": 9, "optional": True}
    gives_up["config"] = {"maxRetries": 1, "baseDelay": 20, "backoffType": "linear"}
    in_engine = {"step": "in the engine", "index": 3, "fails": 2, "inEngine": True}
    same_index = {"step": "same index", "index": 3}
    return scripts.run([BEGIN, by_itself, gives_up, in_engine, same_index, END], bare=True)


def test_a_step_retries_by_itself(instance: Any) -> None:
    assert attempts(instance, "by itself") == [
        (1, "FAILED", "declined at call 1"),
        (2, "FAILED", "declined at call 2"),
        (3, "COMPLETED", None),
    ]
    found = step(instance, "by itself")
    assert found["output"] == {"calls": 3}
    assert found["retryPolicy"] == {"limit": 3, "delay": 20, "backoff": "EXPONENTIAL"}
    first = found["attempts"][0]
    assert first["error"]["name"] == "PaymentDeclined"
    assert "    at " in first["error"]["stack"]
    assert first["retryAt"] is not None


def test_a_step_gives_up_after_its_last_retry(instance: Any) -> None:
    found = step(instance, "gives up")
    assert (found["status"], found["error"]["message"]) == ("FAILED", "declined at call 2")
    assert [number for number, _, _ in attempts(instance, "gives up")] == [1, 2]


def test_a_step_in_the_engine_is_one_step_with_the_attempts_of_the_engine(instance: Any) -> None:
    assert attempts(instance, "in the engine") == [
        (1, "FAILED", "declined at call 1"),
        (2, "FAILED", "declined at call 2"),
        (3, "COMPLETED", None),
    ]
    assert happened(instance).count("STEP_STARTED in the engine") == 1


def test_an_index_that_is_taken_does_not_lose_the_step(instance: Any) -> None:
    assert [(s["name"], s["index"]) for s in instance["steps"]] == [
        ("by itself", 1),
        ("gives up", 2),
        ("in the engine", 3),
        ("same index", 4),
    ]


def test_the_instance_has_the_fields_that_the_workflow_reported(instance: Any) -> None:
    assert (instance["status"], instance["output"]) == ("COMPLETED", {"ok": True})
    assert happened(instance)[1] == "INSTANCE_STARTED"
    assert happened(instance)[-1] == "INSTANCE_COMPLETED"


def test_a_step_runs_while_the_service_is_away(scripts: Scripts) -> None:
    actions = [BEGIN, {"step": "one"}, END]
    id_ = scripts.start(actions, bare=True, gate="broken 2")
    instance = scripts.finished(id_)
    assert attempts(instance, "one") == [(1, "COMPLETED", None)]
