"""The cost of operations: round trips, the indexes they use, and D1's limits on a statement."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type
from graphql.type import is_leaf_type, is_required_argument

from resolvers.access.principals import Restrictions, principal
from resolvers.base.errors import RequestError
from resolvers.base.limits import D1_MAX_PARAMETERS, D1_MAX_SQL_BYTES, MAX_ROOT_FIELDS
from resolvers.base.vocabulary import Scope
from schema.build import core
from tests.support.client import Client
from tests.support.engines import RecordingEngine
from tests.support.plans import TABLES, steps_of
from tests.support.seeded import DATABASE, POOL
from tests.support.writing import Writer


def batches(client: Client) -> int:
    """The number of round trips so far."""
    return len(client.database.batches)


@pytest.mark.parametrize(
    "query",
    [
        "{ instances { nodes { id steps { attempts { number } } workflow { name } } } }",
        """{ a: instances(first: 1) { totalCount } b: workflows { nodes { latestInstance { id } } }
        stats { total retryCount } events(first: 1) { cursor } node(id: "Workflow:w") { id } }""",
        "{ __typename __schema { queryType { name } } stats { total } }",
        "{ " + " ".join(f"s{n}: stats {{ total }}" for n in range(MAX_ROOT_FIELDS)) + " }",
    ],
)
def test_a_query_is_one_round_trip(query: str) -> None:
    client = Client(DATABASE)
    before = batches(client)
    client(query)
    assert batches(client) == before + 1


def test_introspection_alone_does_not_reach_the_database() -> None:
    client = Client(DATABASE)
    before = batches(client)
    assert client("{ __schema { queryType { name } } }")
    assert client('{ __type(name: "Query") { kind } }') == {"__type": {"kind": "OBJECT"}}
    assert batches(client) == before


def test_a_refused_query_does_not_reach_the_database() -> None:
    client = Client(DATABASE)
    before = batches(client)
    for query in (
        "{ instances(first: 101) { totalCount } }",
        "{ " + " ".join(f"s{n}: __typename" for n in range(MAX_ROOT_FIELDS + 1)) + " }",
        "{ instances(first: 100) { nodes { events(first: 1000) { events { type } } } } }",
    ):
        with pytest.raises(RequestError):
            client(query)
    assert batches(client) == before


def test_a_mutation_is_one_round_trip() -> None:
    writer = Writer()
    writer.create("RUNNING", "there")
    step = {"instanceId": "there", "name": "b", "status": "RUNNING"}
    writes: list[Callable[[], Any]] = [
        lambda: writer.start(instanceId="new"),
        lambda: writer.start(instanceId="new", onConflict="FAIL"),
        lambda: writer.starts(*({"workflow": "w"} for _ in range(100))),
        lambda: writer.update("created", workflow="w", status="RUNNING"),
        lambda: writer.update("there", output=1),
        lambda: writer.update("there", status="QUEUED"),
        lambda: writer.update("absent", status="QUEUED"),
        lambda: writer.step("RUNNING", "a", "there"),
        lambda: writer.track({"step": step}, {"step": {**step, "status": "COMPLETED"}}),
        lambda: writer.register("w", description="d"),
    ]
    for write in writes:
        before = batches(writer.client)
        write()
        assert batches(writer.client) == before + 1


def test_an_invalid_input_does_not_reach_the_database() -> None:
    writer = Writer()
    writer.start("")
    writer.starts({"workflow": ""}, {"workflow": "w" * 65})
    writer.step("RUNNING", instance_id="")
    assert writer.database.batches == []


def test_an_action_is_one_round_trip_before_and_one_after_the_engine() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING")
    before = batches(writer.client)
    writer.act("pause")
    assert batches(writer.client) == before + 2


def plan(query: str, **variables: Any) -> list[str]:
    """The query plan of the only statement of a query."""
    client = Client(DATABASE)
    client(query, **variables)
    [statement] = client.database.batches[-1]
    return steps_of(DATABASE, statement)


def whole_scans(steps: list[str]) -> list[str]:
    """The steps of a plan that read all of a table."""
    return [step for step in steps if re.match(rf"SCAN ({TABLES})$", step)]


_PAGE = """query ($f: InstanceFilter, $o: InstanceOrder, $a: String, $b: String, $n: Int, $l: Int) {
  instances(filter: $f, orderBy: $o, after: $a, before: $b, first: $n, last: $l) {
    nodes { id status } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
_WORKFLOWS = ["order", "billing"]
_PAGES: dict[str, tuple[dict[str, Any], str]] = {
    "first": ({"n": 20}, "instances_by_created"),
    "deep": ({"n": 20, "a": POOL.cursors["C"][30]}, "instances_by_created"),
    "oldest first": ({"n": 20, "o": {"direction": "ASC"}}, "instances_by_created"),
    "updated": ({"n": 20, "o": {"field": "UPDATED_AT"}}, "instances_by_updated"),
    "updated, deep": (
        {"n": 20, "o": {"field": "UPDATED_AT"}, "a": POOL.cursors["U"][9]},
        "instances_by_updated",
    ),
    "status": ({"f": {"status": ["RUNNING"]}}, "instances_by_status"),
    "status, deep": (
        {"f": {"status": ["RUNNING"]}, "a": POOL.cursors["C"][30]},
        "instances_by_status",
    ),
    "workflow": ({"f": {"workflow": ["order"]}}, "instances_by_workflow"),
    "workflow and status": (
        {"f": {"workflow": ["order"], "status": ["RUNNING"]}},
        "instances_by_workflow_status",
    ),
    "reference": (
        {"f": {"reference": {"refType": "order", "refId": "1"}}},
        "instances_by_reference",
    ),
    "retrying": ({"f": {"retrying": True}}, "instances_retrying"),
}


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_uses_its_index_and_sorts_nothing(name: str) -> None:
    variables, index = _PAGES[name]
    steps = plan(_PAGE, **variables)
    scans = [step for step in steps if re.search(r"\binstances\b", step)]
    assert scans, steps
    for step in scans:
        assert re.search(rf"USING (COVERING )?INDEX {index}\b", step), steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_the_last_page_uses_the_index_backwards_and_sorts_only_its_rows() -> None:
    steps = plan(_PAGE, l=20)
    assert any("USING INDEX instances_by_created" in step for step in steps), steps
    # The page, at most 100 rows, is reversed once.
    assert sum("TEMP B-TREE" in step for step in steps) <= 1, steps


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        ({"status": ["RUNNING", "QUEUED", "PAUSED"]}, "instances_by_status"),
        ({"workflow": _WORKFLOWS}, "instances_by_workflow"),
        (
            {"workflow": _WORKFLOWS, "status": ["RUNNING", "COMPLETED"]},
            "instances_by_workflow_status",
        ),
    ],
)
def test_a_page_of_several_values_is_merged_from_one_limited_scan_each(
    chosen: dict[str, Any], index: str
) -> None:
    steps = plan("query ($f: InstanceFilter) { instances(filter: $f) { nodes { id } } }", f=chosen)
    scans = [step for step in steps if "USING" in step and "INDEX" in step]
    assert any(f"INDEX {index} " in step for step in scans), steps
    assert not whole_scans(steps), steps


_LOOKUPS = {
    "instance by id": (
        '{ instance(instanceId: "i-004") { id } }',
        "sqlite_autoindex_instances_1 (instance_id=?)",
    ),
    "instance by workflow and id": (
        '{ instance(instanceId: "i-004", workflow: "order") { id } }',
        "sqlite_autoindex_instances_1 (instance_id=? AND workflow=?)",
    ),
    "steps of an instance": (
        '{ instance(instanceId: "i-004") { steps { name } } }',
        "sqlite_autoindex_steps_1 (instance=? AND run=?)",
    ),
    "a step by name": (
        '{ instance(instanceId: "i-004") { step(name: "a") { index } } }',
        "sqlite_autoindex_steps_2 (instance=? AND run=? AND name=? AND occurrence=?)",
    ),
    "events of an instance": (
        '{ instance(instanceId: "i-004") { events { events { type } } } }',
        "events_by_instance (instance=? AND id>?)",
    ),
    "the log": ("{ events { events { type } } }", "INTEGER PRIMARY KEY (rowid>?)"),
    "a workflow": ('{ workflow(name: "order") { id } }', "sqlite_autoindex_workflows_1 (name=?)"),
    "the latest of a reference": (
        '{ reference(refType: "order", refId: "1") { latestInstance { id } } }',
        "instances_by_reference (ref_type=? AND ref_id=?)",
    ),
    "the latest of a workflow": (
        '{ workflow(name: "order") { latestInstance { id } } }',
        "instances_by_workflow (workflow=?)",
    ),
}


@pytest.mark.parametrize("name", _LOOKUPS)
def test_a_lookup_uses_its_index_and_scans_no_table(name: str) -> None:
    query, search = _LOOKUPS[name]
    steps = plan(query)
    assert any(search in step for step in steps), steps
    assert not whole_scans(steps), steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_references_are_found_in_one_statement_by_the_index() -> None:
    steps = plan(
        """query ($k: [ReferenceInput!]!) { references(keys: $k) {
          latestInstance { id } instances(first: 1) { nodes { id } } } }""",
        k=[{"refType": "order", "refId": str(n)} for n in range(500)],
    )
    searches = [
        step for step in steps if "instances_by_reference (ref_type=? AND ref_id=?)" in step
    ]
    assert len(searches) == 2, steps


def test_counts_come_from_the_counters() -> None:
    for query in (
        "{ instances { totalCount } }",
        '{ instances(filter: {workflow: ["order"], status: [RUNNING]}) { totalCount } }',
        "{ stats { total statusCounts { status count } } }",
        '{ workflow(name: "order") { statusCounts { status count } } }',
    ):
        client = Client(DATABASE)
        client(query)
        [statement] = client.database.batches[-1]
        assert "status_counts" in statement.sql
        assert not re.search(r"\binstances\b", statement.sql), statement.sql


def all_fields(type_: GraphQLObjectType, below: dict[str, str]) -> str:
    """Every leaf of a type, and of its objects those that `below` selects."""
    selected = []
    for name, field in type_.fields.items():
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if is_leaf_type(get_named_type(field.type)):
            selected.append(name)
        elif name in below:
            selected.append(f"{name} {below[name]}")
    return "{ " + " ".join(selected) + " }"


def largest_instance() -> str:
    """Every field of an instance, its steps, attempts, events and parents."""
    kinds: Any = core.type_map
    error = all_fields(kinds["WorkflowError"], {})
    attempt = all_fields(kinds["StepAttempt"], {"error": error})
    policy = all_fields(kinds["RetryPolicy"], {})
    step = all_fields(
        kinds["WorkflowStep"], {"error": error, "attempts": attempt, "retryPolicy": policy}
    )
    run = all_fields(kinds["WorkflowRun"], {"error": error, "steps": step})
    counts = all_fields(kinds["StatusCount"], {})
    workflow = all_fields(kinds["Workflow"], {"statusCounts": counts})
    reference = all_fields(kinds["Reference"], {"statusCounts": counts})
    event = all_fields(kinds["WorkflowEvent"], {"step": step})
    events = all_fields(kinds["WorkflowEventPage"], {"events": event})
    instance = all_fields(
        kinds["WorkflowInstance"],
        {"error": error, "steps": step, "workflow": workflow, "reference": reference},
    )
    first = f'events(first: 2) {events} step(name: "charge") {step} runs(first: 1) {run}'
    return f"{{ {first} {instance[1:]}"


def largest_page() -> str:
    """A page with every field of its instances, twice."""
    node = largest_instance()
    info: Any = core.type_map["PageInfo"]
    page = f"edges {{ cursor node {node} }} nodes {node} totalCount pageInfo "
    return page + all_fields(info, {})


@pytest.mark.parametrize(
    "limits", [Restrictions(), Restrictions(("order", "1"), ("order",), "i-004")]
)
def test_the_largest_selections_stay_within_the_limits_of_a_statement(limits: Restrictions) -> None:
    filters: dict[str, Any] = {
        "workflow": POOL.workflows,
        "status": ["RUNNING", "COMPLETED"],
        "reference": {"refType": "order", "refId": "1"},
        "createdAt": {"from": POOL.instants[0], "to": POOL.instants[-2]},
        "updatedAt": {"from": POOL.instants[0], "to": POOL.instants[-2]},
        "completedAt": {"from": POOL.instants[0], "to": POOL.instants[-2]},
        "retrying": False,
        "stalledFor": 0,
    }
    client = Client(DATABASE, principal(Scope.READ, restrictions=limits))
    client(
        f"""query ($f: InstanceFilter, $a: String) {{
          instances(first: 10, filter: $f, after: $a) {{ {largest_page()} }} }}""",
        f=filters,
        a=POOL.cursors["C"][-1],
    )
    [statement] = client.database.batches[-1]
    # This leaves room for a document that selects some fields twice under aliases.
    assert len(statement.sql.encode()) < D1_MAX_SQL_BYTES / 2
    assert len(statement.parameters) < D1_MAX_PARAMETERS / 2


def test_a_selection_too_large_for_a_statement_is_refused_and_not_sent() -> None:
    client = Client(DATABASE)
    before = batches(client)
    # With short names, a document of the most fields stays below the limit.
    nodes = " ".join(f"{'n' * 10_000}{n}: nodes {largest_instance()}" for n in range(4))
    with pytest.raises(RequestError) as refusal:
        client(f"{{ instances(first: 1) {{ {nodes} }} }}")
    assert refusal.value.code == "OPERATION_TOO_LARGE"
    assert str(D1_MAX_SQL_BYTES) in refusal.value.message
    assert batches(client) == before
