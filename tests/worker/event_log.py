"""Reads and writes of the event log that do not use subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.worker.inbox import events_in

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.api import Api

START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename ... on Error { message } }
}"""
UPDATE = """mutation Update($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename ... on Error { message } }
}"""
STEP = """mutation Step($input: UpdateWorkflowStepInput!) {
  updateWorkflowStep(input: $input) { __typename ... on Error { message } }
}"""
TRACK = """mutation Track($updates: [TrackingUpdate!]!) {
  track(updates: $updates) { __typename ... on Error { message } }
}"""
WORKFLOW_EVENTS = """subscription Events($filter: EventFilter, $after: EventCursor) {
  workflowEvents(filter: $filter, after: $after) { events { cursor type status } }
}"""
EVENTS = """query Events($filter: EventFilter, $after: EventCursor) {
  events(filter: $filter, after: $after, first: 1000) {
    events { cursor type status } page: cursor more: hasMore
  }
}"""
_PAGES = 400


def head(api: Api) -> str:
    """The cursor of the head of the log."""
    cursor = api.data("{ events(first: 0) { cursor } }")["events"]["cursor"]
    assert isinstance(cursor, str)
    return cursor


def events_after(
    api: Api,
    after: str,
    *,
    query: str = EVENTS,
    filter_: dict[str, Any] | None = None,
    **variables: Any,
) -> list[Any]:
    """All events after a cursor that a filter selects; the query aliases `page` and `more`."""
    found: list[Any] = []
    for _ in range(_PAGES):
        data = api.data(query, filter=filter_, after=after, **variables)
        found += events_in({"data": data})
        [page] = data.values()
        if not page["more"]:
            return found
        after = page["page"]
    raise AssertionError(f"the log has more than {_PAGES} pages")


def cursors_of(api: Api, workflow: str, after: str) -> list[str]:
    """The cursors of a workflow's events in the log after a cursor."""
    found = events_after(api, after, filter_={"workflow": [workflow]})
    return [event["cursor"] for event in found]


def touch(api: Api, instance_id: str, note: str) -> None:
    """Write one event of an instance."""
    api.data(UPDATE, input={"instanceId": instance_id, "metadata": {"note": note}})


def write_without_notifying(server: LocalServer, instance_id: str, note: str) -> None:
    """Change an instance by SQL: its event is in the log, and no shard is notified."""
    server.query(
        "UPDATE instances SET metadata=json_object('note',?2),"
        " updated_at=strftime('%Y-%m-%dT%H:%M:%fZ','now') WHERE instance_id=?1",
        [instance_id, note],
    )


def seed_events(server: LocalServer, instance_id: str, count: int) -> None:
    """Append events of an instance to the log without notifying a shard."""
    server.query(
        "INSERT INTO events (at,type,instance,run,status)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?2)"
        " SELECT '2026-01-01T00:00:00.000Z','INSTANCE_UPDATED',instances.id,run,status"
        " FROM n CROSS JOIN instances WHERE instance_id=?1",
        [instance_id, count],
    )
