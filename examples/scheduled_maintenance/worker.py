"""Scheduled maintenance: every night a cron trigger starts a workflow that removes old sessions.

The instance's id contains the date, so a trigger that fires twice starts one instance.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from workers import Response, WorkflowEntrypoint

from flowflare import Flowflare

_START = """mutation ($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename ... on Error { message } }
}"""
_BATCH = 100
_REMOVE = """DELETE FROM sessions WHERE session_id IN
  (SELECT session_id FROM sessions WHERE expires_at < ? LIMIT ?) RETURNING session_id"""
_COUNT = "SELECT count(*) AS sessions FROM sessions"


class ScheduledMaintenance(WorkflowEntrypoint):
    """Remove all expired sessions, one batch per step, and then count the others."""

    async def run(self, event: Any, step: Any) -> Any:
        """Remove sessions that expired before `payload.before`, an RFC 3339 time in UTC."""
        before = event["payload"]["before"]
        sessions = self.env.SESSIONS

        async def remove() -> int:
            done = await sessions.prepare(_REMOVE).bind(before, _BATCH).all()
            return len(done.results)

        @step.do("count what is left")
        async def count() -> int:
            return int((await sessions.prepare(_COUNT).first()).sessions)

        removed, batches = 0, 0
        while removed == batches * _BATCH:
            batches += 1
            removed += await step.do(f"remove batch {batches}")(remove)()
        return {"removed": removed, "left": await count()}


async def on_scheduled(controller: Any, env: Any, ctx: Any) -> None:
    """Start tonight's instance through Flowflare; the cron trigger calls this."""
    at = datetime.fromtimestamp(controller.scheduledTime / 1000, UTC)
    start = {
        "workflow": "scheduled-maintenance",
        "instanceId": f"maintenance-{at:%Y-%m-%d}",
        "reference": {"refType": "database", "refId": "sessions"},
        "input": {"before": f"{at:%Y-%m-%dT%H:%M:%SZ}"},
    }
    answer = (await Flowflare.from_env(env).execute(_START, {"input": start}))["startWorkflow"]
    if answer["__typename"] != "InstancePayload":
        raise RuntimeError(f"The maintenance did not start: {answer['message']}")


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Explain when the workflow starts; the Worker has no other HTTP interface."""
    return Response("The workflow scheduled-maintenance starts every night at three.\n")
