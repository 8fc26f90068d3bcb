"""An instance moves to another reference: subscribers to the old one are notified, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resolvers.access.principals import Principal, Restrictions, principal
from resolvers.base.vocabulary import Scope
from resolvers.subscriptions.plans import Touched
from tests.support.client import ADMIN, Client
from tests.support.subscribing import head_of, plan_of, read_window

FOLLOW = """subscription ($type: String!, $id: String!) {
  reference(refType: $type, refId: $id) { refId instances { nodes { instanceId } } }
}"""
UPDATE = """mutation ($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) { __typename }
}"""
OLD, NEW = {"refType": "order", "refId": "old"}, {"refType": "order", "refId": "new"}


def reader(**limits: Any) -> Principal:
    return principal(Scope.READ, restrictions=Restrictions(**limits))


@pytest.fixture
def client() -> Client:
    """A client of a database with an instance of the reference `old`."""
    found = Client()
    update(found, workflow="w", reference=OLD)
    return found


def update(client: Client, **changes: Any) -> None:
    client(UPDATE, input={"instanceId": "i", **changes})


def seen(client: Client, ref_id: str, caller: Principal, after: int) -> Any:
    """The value that a subscriber to the reference gets for the log after a position."""
    plan = plan_of(FOLLOW, caller=caller, type="order", id=ref_id)
    return read_window(client.database, plan, after)


def moved(client: Client) -> int:
    """Move the instance and return the head of the log before that."""
    before = head_of(client.database)
    update(client, reference=NEW)
    return before


@pytest.mark.parametrize(
    "caller",
    [
        ADMIN,
        reader(reference=("order", "old")),
        reader(workflows=("w",)),
        reader(instance_id="i"),
    ],
    ids=["everybody", "of the reference", "of the workflow", "of the instance"],
)
def test_subscribers_to_the_old_reference_are_notified(client: Client, caller: Principal) -> None:
    answer = seen(client, "old", caller, moved(client))
    assert answer == {"refId": "old", "instances": {"nodes": []}}


@pytest.mark.parametrize(
    "caller",
    [reader(reference=("order", "other")), reader(workflows=("x",)), reader(instance_id="j")],
    ids=["of another reference", "of another workflow", "of another instance"],
)
def test_subscribers_that_may_not_see_the_instance_are_not_notified(
    client: Client, caller: Principal
) -> None:
    assert seen(client, "old", caller, moved(client)) is None


def test_subscribers_to_the_new_reference_are_notified(client: Client) -> None:
    nodes = seen(client, "new", ADMIN, moved(client))["instances"]["nodes"]
    assert nodes == [{"instanceId": "i"}]


@pytest.mark.parametrize("changes", [{"reference": OLD}, {"metadata": {"a": 1}}])
def test_an_update_that_moves_nothing_records_no_old_reference(
    client: Client, changes: dict[str, Any]
) -> None:
    update(client, **changes)
    assert client.database.rows("SELECT * FROM events WHERE moved_from IS NOT NULL") == []


def test_a_first_reference_records_no_old_one(client: Client) -> None:
    client(UPDATE, input={"instanceId": "j", "workflow": "w"})
    client(UPDATE, input={"instanceId": "j", "reference": OLD})
    assert client.database.rows("SELECT * FROM events WHERE moved_from IS NOT NULL") == []


def test_removing_the_reference_notifies_its_subscribers(client: Client) -> None:
    before = head_of(client.database)
    update(client, reference=None)
    assert seen(client, "old", ADMIN, before) == {"refId": "old", "instances": {"nodes": []}}


def test_events_do_not_show_the_old_reference(client: Client) -> None:
    moved(client)
    answer = client.as_(reader(reference=("order", "new"))).text("{ events { events { data } } }")
    assert "old" not in answer


def test_a_poll_with_many_plans_finds_both_references(client: Client) -> None:
    before = moved(client)
    statement = Touched.statement(before, head_of(client.database))
    [(rows,)] = client.database.rows(statement.sql, *statement.parameters)
    assert Touched(json.loads(rows)).ref_ids == {"old", "new"}
