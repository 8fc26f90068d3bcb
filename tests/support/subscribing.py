"""Subscription plans, and the results that they render from a window of the log."""

import json
from typing import Any

from resolvers.access.principals import Principal
from resolvers.executing.executor import Request
from resolvers.ports.database import Statement
from resolvers.ports.sql import HEAD
from resolvers.subscriptions.plans import SubscriptionPlan
from tests.support.client import ADMIN, EXECUTOR, finished
from tests.support.d1 import SqliteD1

# Every member of a page, with what distinguishes events.
EVENTS = "subscription ($f: EventFilter) { workflowEvents(filter: $f) { %s } }"
PAGE = "events { cursor type status attempt data instance { instanceId } step { name } }"
INSTANCE = """subscription ($id: String!, $workflow: String) {
  instance(instanceId: $id, workflow: $workflow) { instanceId status output } }"""
REFERENCE = """subscription ($t: String!, $id: String!) { reference(refType: $t, refId: $id) {
  refType refId statusCounts { status count }
  instances { nodes { instanceId status output } } } }"""


def plan_of(
    query: str, *, caller: Principal = ADMIN, after: object = None, **variables: Any
) -> SubscriptionPlan:
    """The plan of a subscription."""
    request = Request(query, variables, after=after)
    return EXECUTOR.subscription_plan(EXECUTOR.operation(request), request, caller)


def events_plan(caller: Principal = ADMIN, **members: Any) -> SubscriptionPlan:
    """The plan of all events that a filter with these members selects."""
    query = EVENTS % f"{PAGE} cursor hasMore"
    return plan_of(query, caller=caller, f=members)


def run(database: SqliteD1, statement: Statement) -> Any:
    """The value of a statement, None if it gives none. Of a plan's statement, which is opaque, the
    cursor in front is left out."""
    [outcome] = finished(database.batch([statement]))
    text = outcome.text
    return None if text is None else json.loads(text[16:] if statement.opaque else text)


def read_window(
    database: SqliteD1,
    plan: SubscriptionPlan,
    after: int,
    to: int = 2**53 - 1,
    *,
    initial: bool = False,
) -> Any:
    """The plan's result from the window after one position up to another."""
    return run(database, plan.statement(after, to, initial=initial))


def head_of(database: SqliteD1) -> int:
    """The position of the last event that was written, even if it is not kept any more."""
    [(head,)] = database.rows(f"SELECT {HEAD}")
    return int(head)
