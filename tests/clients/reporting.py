"""Instances for the tests to read, reported as workflows elsewhere would report them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.worker.api import Api

TRACK = """
  mutation ($updates: [TrackingUpdate!]!) {
    track(updates: $updates) {
      ... on TrackPayload { applied cursor }
      ... on Error { code message }
    }
  }
"""
_numbers = count(1)


def new_name(what: str) -> str:
    """A name that no other test of the session has: they share a service."""
    return f"cli-{what}-{next(_numbers)}"


def track(api: Api, *updates: dict[str, Any]) -> str:
    """Report in one transaction and return the log's cursor afterwards."""
    result = api.data(TRACK, updates=list(updates))["track"]
    assert "applied" in result, result
    return str(result["cursor"])


def instance(instance_id: str, **members: Any) -> dict[str, Any]:
    """An update of an instance."""
    return {"instance": {"instanceId": instance_id, **members}}


def step(instance_id: str, name: str, status: str, **members: Any) -> dict[str, Any]:
    """An update of a step."""
    return {"step": {"instanceId": instance_id, "name": name, "status": status, **members}}


def report_failing_run(api: Api, workflow: str, *, reference: tuple[str, str] | None = None) -> str:
    """An instance with a step that was retried and one that failed; its id."""
    name = new_name("failing")
    what = {"reference": {"refType": reference[0], "refId": reference[1]}} if reference else {}
    track(
        api,
        instance(name, workflow=workflow, status="RUNNING", input={"amount": 25}, **what),
        step(name, "send mail", "RUNNING", retryPolicy={"limit": 2, "delay": 1000}),
        step(
            name,
            "send mail",
            "RETRYING",
            error={"name": "Timeout", "message": "no answer"},
            retryAt=(datetime.now(UTC) + timedelta(seconds=1)).isoformat(),
        ),
        step(name, "send mail", "RUNNING"),
        step(name, "send mail", "COMPLETED", output={"mail": "m-17"}),
        step(name, "nap", "RUNNING", kind="SLEEP"),
        step(name, "nap", "COMPLETED"),
        step(name, "charge", "RUNNING"),
        step(
            name,
            "charge",
            "FAILED",
            error={"name": "Declined", "message": "no\n\x1b[31mmoney", "stack": "at line 1"},
        ),
        instance(name, status="ERRORED", error={"name": "Declined", "message": "no money"}),
    )
    return name
