"""The cost of operations in D1 at 100,000 instances: rows read and round trips, as billed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.limits import MAX_EVENTS_SCANNED, RECONCILE_PAGE, RETENTION_BATCH
from resolvers.engine import repairs
from resolvers.writing.retention import EXPIRED
from scripts.local_server import LocalServer
from tests.worker.api import Api, cost

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTANCES = 100_000
FLOWS = 20
REFERENCES = 5_000
STEPS = 10
PAGE = 20
# The page, the row after it, and the rows that SQLite counts for a search in an index.
PAGE_ROWS = 25

# One instance a second, a twentieth of them unfinished, a hundredth of a percent retrying.
SEED = f"""INSERT INTO instances (instance_id, workflow, ref_type, ref_id, status, input,
  created_at, started_at, updated_at, completed_at, retrying_steps)
WITH RECURSIVE n(i) AS (
  SELECT CAST(?1 AS INTEGER) UNION ALL SELECT i+1 FROM n WHERE i < CAST(?2 AS INTEGER)-1)
SELECT printf('cost-%06d', i), 'flow-'||(i % {FLOWS}), 'order', ''||(i % {REFERENCES}),
  CASE WHEN i%100 < 90 THEN 'COMPLETED' WHEN i%100 < 95 THEN 'ERRORED'
    WHEN i%100 < 98 THEN 'RUNNING' ELSE 'QUEUED' END,
  '{{"n":'||i||'}}',
  strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-01', '+'||i||' seconds'),
  strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-01', '+'||i||' seconds'),
  strftime('%Y-%m-%dT%H:%M:%fZ', '2026-02-01', '+'||(i*7919 % 100003)||' seconds'),
  CASE WHEN i%100 < 95
    THEN strftime('%Y-%m-%dT%H:%M:%fZ', '2026-02-01', '+'||(i*7919 % 100003)||' seconds') END,
  i%100 >= 95 AND i%1000 < 100
FROM n"""
SEED_STEPS = f"""INSERT INTO steps (instance, run, step_index, name, occurrence, kind, status,
  output, output_kind, attempt, started_at, completed_at, updated_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < {STEPS})
SELECT x.id, x.run, i, 'step '||i, 1, 'TASK', 'COMPLETED', '{{"ok":true}}', 'JSON', 1,
  x.created_at, x.created_at, x.updated_at
FROM instances x, n WHERE x.id > {INSTANCES - REFERENCES} AND CAST(x.ref_id AS INTEGER) < 20"""

LIST = """query($filter: InstanceFilter, $orderBy: InstanceOrder,
  $first: Int, $after: String, $last: Int, $before: String) {
  instances(filter: $filter, orderBy: $orderBy,
    first: $first, after: $after, last: $last, before: $before) {
    nodes { id instanceId status createdAt startedAt updatedAt completedAt sleepUntil duration }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
DAY = {"from": "2026-01-01T02:00:00.000Z", "to": "2026-01-01T22:00:00.000Z"}
FILTERS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "all": (None, "CREATED_AT"),
    "all by update": (None, "UPDATED_AT"),
    "one status": ({"status": ["COMPLETED"]}, "CREATED_AT"),
    "a rare status": ({"status": ["QUEUED"]}, "CREATED_AT"),
    "one workflow": ({"workflow": ["flow-3"]}, "CREATED_AT"),
    "workflow and status": ({"workflow": ["flow-4"], "status": ["COMPLETED"]}, "CREATED_AT"),
    "created in a span": ({"createdAt": DAY}, "CREATED_AT"),
    "status created in a span": ({"createdAt": DAY, "status": ["ERRORED"]}, "CREATED_AT"),
    "workflow created in a span": ({"createdAt": DAY, "workflow": ["flow-7"]}, "CREATED_AT"),
    "updated in a span": (
        {"updatedAt": {"from": "2026-02-01T02:00:00Z", "to": "2026-02-02T02:00:00Z"}},
        "UPDATED_AT",
    ),
    "kind of reference": ({"reference": {"refType": "order"}}, "CREATED_AT"),
    "retrying": ({"retrying": True}, "CREATED_AT"),
    "stalled": ({"stalledFor": 1_000}, "UPDATED_AT"),
}


@pytest.fixture(scope="module")
def large(prepared: None) -> Iterator[LocalServer]:
    """A server with 100,000 instances, inserted by SQL; the triggers count and log them."""
    with LocalServer() as running:
        for start in range(0, INSTANCES, 25_000):
            running.query(SEED, [start, start + 25_000])
        running.query(SEED_STEPS)
        assert running.query("SELECT sum(count) AS n FROM status_counts") == [{"n": INSTANCES}]
        yield running


@pytest.fixture
def caller(large: LocalServer) -> Iterator[Api]:
    """A caller of the large server."""
    with Api(large) as api:
        yield api


def measured(caller: Api, query: str, **variables: Any) -> tuple[Any, int]:
    """`data` and the rows read; fail unless there was one round trip."""
    response = caller.ask(query, **variables)
    body = response.json()
    assert "errors" not in body, response.text[:1000]
    trips, read, _ = cost(response)
    assert trips == 1
    return body["data"], read


@pytest.mark.parametrize("direction", ["DESC", "ASC"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_page_reads_as_many_rows_as_it_returns_at_any_depth(
    caller: Api, large: LocalServer, name: str, direction: str
) -> None:
    filter_, field = FILTERS[name]
    column = "updated_at" if field == "UPDATED_AT" else "created_at"
    order = {"field": field, "direction": direction}
    first, read = measured(caller, LIST, filter=filter_, orderBy=order)
    assert len(first["instances"]["nodes"]) == PAGE
    assert read <= PAGE_ROWS
    [middle] = large.query("SELECT * FROM instances WHERE instance_id='cost-040003'")
    cursor = f"{field[0]}{middle[column]},{middle['id']}"
    deep, read = measured(caller, LIST, filter=filter_, orderBy=order, after=cursor)
    nodes = deep["instances"]["nodes"]
    assert len(nodes) == PAGE
    assert read <= PAGE_ROWS
    times = [node["updatedAt" if field == "UPDATED_AT" else "createdAt"] for node in nodes]
    assert times == sorted(times, reverse=direction == "DESC")
    assert (times[0] < middle[column]) is (direction == "DESC")


@pytest.mark.parametrize("name", FILTERS)
def test_a_backward_page_reads_each_row_once_more_to_reverse_them(
    caller: Api, large: LocalServer, name: str
) -> None:
    filter_, field = FILTERS[name]
    column = "updated_at" if field == "UPDATED_AT" else "created_at"
    [middle] = large.query("SELECT * FROM instances WHERE instance_id='cost-060003'")
    cursor = f"{field[0]}{middle[column]},{middle['id']}"
    page, read = measured(
        caller, LIST, filter=filter_, orderBy={"field": field}, before=cursor, last=PAGE
    )
    assert len(page["instances"]["nodes"]) == PAGE
    assert read <= PAGE + PAGE_ROWS


def test_a_page_of_several_statuses_reads_a_page_of_each(caller: Api) -> None:
    statuses = ["ERRORED", "RUNNING", "QUEUED"]
    page, read = measured(caller, LIST, filter={"status": statuses})
    nodes = page["instances"]["nodes"]
    assert len(nodes) == PAGE
    times = [node["createdAt"] for node in nodes]
    assert times == sorted(times, reverse=True)
    # Each candidate is read from the index, from the table and for sorting.
    assert read <= 5 * PAGE * len(statuses)


def test_a_reference_reads_its_own_instances(caller: Api) -> None:
    query = """{ reference(refType: "order", refId: "4321") {
      instances(first: 20) { nodes { instanceId status } }
    } }"""
    found, read = measured(caller, query)
    assert len(found["reference"]["instances"]["nodes"]) == INSTANCES // REFERENCES
    assert read <= PAGE_ROWS
    found, read = measured(
        caller, LIST, filter={"reference": {"refType": "order", "refId": "4321"}}
    )
    assert len(found["instances"]["nodes"]) == PAGE
    assert read <= PAGE_ROWS


def test_20_references_with_10_steps_each_read_their_rows_and_index_entries(
    caller: Api,
) -> None:
    keys = [{"refType": "order", "refId": str(number)} for number in range(20)]
    query = """query($keys: [ReferenceInput!]!) { references(keys: $keys) {
      refId latestInstance { instanceId status createdAt steps { name status output startedAt } }
    } }"""
    found, read = measured(caller, query, keys=keys)
    latest = [reference["latestInstance"] for reference in found["references"]]
    assert [len(instance["steps"]) for instance in latest] == [STEPS] * 20
    rows = 20 + 20 * STEPS
    # For each reference: its key, its index entry, and the search in the index of steps.
    assert rows <= read <= rows + 3 * 20


def test_one_instance_reads_two_rows(caller: Api) -> None:
    query = """query($id: String!, $workflow: String) {
      instance(instanceId: $id, workflow: $workflow) {
        instanceId status input output error { message } createdAt
      }
    }"""
    # The index entry and the row; without a workflow, the entry that would show another instance.
    for workflow, most in (("flow-0", 2), (None, 3)):
        found, read = measured(caller, query, id="cost-050000", workflow=workflow)
        assert found["instance"]["input"] == {"n": 50_000}
        assert read <= most
        found, read = measured(caller, query, id="none", workflow=workflow)
        assert found["instance"] is None
        assert read <= most - 2


@pytest.mark.parametrize(
    ("id_", "most"),
    [
        ('WorkflowInstance:["flow-3","cost-095003"]', 2),
        # The index entry and the row of the instance and of the step.
        ('WorkflowStep:["flow-3","cost-095003",1,"step 4",1]', 4),
    ],
)
def test_a_node_reads_its_own_rows(caller: Api, id_: str, most: int) -> None:
    query = "query($id: ID!) { node(id: $id) { __typename ... on WorkflowStep { output } } }"
    found, read = measured(caller, query, id=id_)
    assert found["node"]["__typename"] == id_.partition(":")[0]
    assert read <= most


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("{ instances { totalCount } }", 100),
        ('{ instances(filter: {status: [RUNNING], workflow: ["flow-16"]}) { totalCount } }', 10),
        ("{ stats { total statusCounts { status count } } }", 200),
        ('{ workflow(name: "flow-3") { statusCounts { status count } } }', 20),
        ('{ workflow(name: "flow-3") { latestInstance { instanceId } } }', 10),
    ],
)
def test_counts_read_counters_and_not_instances(caller: Api, query: str, rows: int) -> None:
    _, read = measured(caller, query)
    assert read <= rows


def test_a_page_of_the_log_reads_its_events(caller: Api) -> None:
    query = """query($after: EventCursor) {
      events(first: 100, after: $after) { hasMore events { type at status data } }
    }"""
    for after in (None, "0000000000050000"):
        page, read = measured(caller, query, after=after)
        assert len(page["events"]["events"]) == 100
        assert read <= 2 * 100 + 5


def test_an_instances_log_reads_its_events(caller: Api) -> None:
    query = '{ instance(instanceId: "cost-099999") { events { events { type } } } }'
    page, read = measured(caller, query)
    events = page["instance"]["events"]["events"]
    assert events
    assert read <= 2 * len(events) + 10


@pytest.mark.parametrize(
    "query",
    [
        "{ "
        + " ".join(f"a{n}: instances(first: 1) {{ nodes {{ id }} }}" for n in range(50))
        + " }",
        "{ instances { nodes { workflow { name } steps { attempts { number } }"
        " events { events { type step { name } } } reference { statusCounts { count } } } }"
        " stats { total } workflows { nodes { latestInstance { id } } } }",
        'mutation { startWorkflow(input: {workflow: "flow-1", trackOnly: true})'
        " { ... on InstancePayload { instance { id steps { name }"
        " events { events { type } } } } } }",
        'mutation { updateWorkflowInstance(input: {instanceId: "cost-000099", metadata: {a: 1}})'
        " { ... on InstancePayload { instance { metadata workflow { name } } } } }",
        'mutation { updateWorkflowStep(input: {instanceId: "cost-000099", name: "s",'
        " status: RUNNING}) { ... on StepPayload { step { attempts { number } } } } }",
        'mutation { track(updates: [{instance: {instanceId: "cost-000199", status: RUNNING}},'
        ' {step: {instanceId: "cost-000199", name: "s", status: RUNNING}}])'
        " { ... on TrackPayload { applied } } }",
        'mutation { registerWorkflow(input: {name: "flow-1", description: "x"})'
        " { ... on WorkflowPayload { workflow { latestInstance { id } } } } }",
        'mutation { startWorkflows(inputs: [{workflow: "a", trackOnly: true},'
        ' {workflow: "b", trackOnly: true}])'
        " { ... on InstancePayload { instance { id } } } }",
    ],
)
def test_every_operation_is_one_round_trip(caller: Api, query: str) -> None:
    _, read = measured(caller, query)
    assert read < 3_000


@pytest.mark.parametrize(
    ("mutation", "read_most", "written_most"),
    [
        ('startWorkflow(input: {workflow: "flow-1", trackOnly: true, input: {a: 1}})', 20, 20),
        ('updateWorkflowInstance(input: {instanceId: "cost-000299", status: RUNNING})', 20, 20),
        (
            'updateWorkflowStep(input: {instanceId: "cost-000299", name: "t", status: RUNNING})',
            40,
            20,
        ),
        (
            'updateWorkflowInstance(input: {instanceId: "cost-000399", workflow: "flow-19",'
            " run: 1, status: RUNNING})",
            20,
            20,
        ),
        (
            'updateWorkflowStep(input: {instanceId: "cost-000399", workflow: "flow-19", run: 1,'
            ' name: "t", occurrence: 7, status: RUNNING})',
            40,
            20,
        ),
    ],
)
def test_a_write_costs_the_same_at_any_size(
    caller: Api, mutation: str, read_most: int, written_most: int
) -> None:
    response = caller.ask(f"mutation {{ {mutation} {{ __typename }} }}")
    assert "Payload" in response.text
    trips, read, written = cost(response)
    assert trips == 1
    assert read <= read_most
    assert 0 < written <= written_most


@pytest.mark.parametrize("place", [repairs.START, '["2026-01-01T12:00:00.000Z",40000]'])
@pytest.mark.parametrize("lane", repairs.LANES)
def test_a_page_to_reconcile_reads_a_page_of_each_workflow_and_status(
    large: LocalServer, lane: str, place: str
) -> None:
    flows = [f"flow-{number}" for number in range(FLOWS)]
    page = repairs.page(lane, flows)
    large.query(repairs.store_position(lane, place).sql, [lane, place])
    [row] = large.query(page.sql, page.parameters)
    [text] = row.values()
    found = json.loads(text)
    assert len(found) == RECONCILE_PAGE
    assert [row[:2] for row in found] == sorted(row[:2] for row in found)
    assert found[0][:2] > json.loads(place)
    # Few workflows have unfinished instances; each other one costs a search for each status.
    assert large.rows_read(page.sql, page.parameters) <= 500


def test_retention_reads_few_rows_besides_those_it_removes(large: LocalServer) -> None:
    large.query("UPDATE workflows SET retention_days=1 WHERE name IN ('flow-3','flow-4')")
    [row] = large.query(f"SELECT count(*) AS found FROM ({EXPIRED})")
    read = large.rows_read(f"SELECT count(*) FROM ({EXPIRED})")
    large.query("UPDATE workflows SET retention_days=NULL")
    assert row["found"] == RETENTION_BATCH
    assert read <= 5 * RETENTION_BATCH
    assert large.rows_read(f"SELECT count(*) FROM ({EXPIRED})") <= 5


@pytest.mark.parametrize(
    "filter_",
    [{"type": ["INSTANCE_TERMINATED"]}, {"workflow": ["unknown"]}, {"status": ["PAUSED"]}],
    ids=str,
)
def test_a_page_of_events_reads_a_bounded_part_of_the_log(
    caller: Api, filter_: dict[str, Any]
) -> None:
    query = "query ($f: EventFilter) { events(filter: $f) { cursor hasMore events { type } } }"
    response = caller.ask(query, f=filter_)
    page = response.json()["data"]["events"]
    assert (page["events"], page["hasMore"]) == ([], True)
    trips, read, _ = cost(response)
    # Each event, its instance where the filter needs it, and the searches for the ends.
    assert (trips, read <= 2 * MAX_EVENTS_SCANNED + 50) == (1, True), read
