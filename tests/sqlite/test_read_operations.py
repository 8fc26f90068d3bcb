"""Operations written by hand, compared with the reference: every root, filter, page and shape."""

from collections.abc import Iterator
from typing import Any

import pytest

from resolvers.access.principals import Restrictions
from resolvers.base.errors import ArgumentError
from resolvers.compiling.documents import InvalidDocument
from tests.support.client import Client
from tests.support.operations import Drawn
from tests.support.reference import STATUSES
from tests.support.seeded import DATA, DATABASE, POOL, assert_equals_reference, comparing

_INSTANCE = "id instanceId status createdAt startedAt updatedAt completedAt sleepUntil duration"
_STEP = """id name index kind status output error { name message stack }
  retryPolicy { limit delay backoff } attemptCount nextRetryAt startedAt completedAt duration
  attempts { number status error { name message stack } startedAt endedAt retryAt }"""
_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount"

_ROOTS = {
    "node": """{
      a: node(id: "Workflow:order") { __typename id ... on Workflow { name metadata } }
      b: node(id: "WorkflowInstance:[\\"order\\",\\"i-001\\"]") {
        id ... on WorkflowInstance { instanceId } }
      c: node(id: "Reference:[\\"user\\",\\"1\\"]") { ... on Reference { refType refId id } }
      d: node(id: "WorkflowStep:[\\"order-refund\\",\\"i-006\\",1,\\"wait\\",1]") {
        ... on WorkflowStep { name index } }
      e: node(id: "WorkflowInstance:[\\"order\\",\\"absent\\"]") { id } }""",
    "nodes": """{ nodes(ids: ["WorkflowInstance:[\\"order\\",\\"i-001\\"]", "Workflow:absent",
      "Workflow:billing", "WorkflowInstance:[\\"order\\",\\"i-001\\"]",
      "Reference:[\\"never\\",\\"seen\\"]"]) {
        __typename ... on Node { id } ... on Reference { latestInstance { id } } } }""",
    "workflow": """{ workflow(name: "order") { id name description metadata retentionDays createdAt
      updatedAt latestInstance { id } statusCounts { status count } instances(first: 2) {
        nodes { id } } } absent: workflow(name: "absent") { id } }""",
    "workflows": f"{{ workflows {{ nodes {{ name }} edges {{ cursor node {{ id }} }} {_INFO} }}"
    f' p: workflows(search: "order") {{ nodes {{ name }} {_INFO} }} }}',
    "instance": f"""{{ instance(instanceId: "i-005") {{ {_INSTANCE} input output metadata
      error {{ name message stack }} workflow {{ name }} reference {{ id refType refId }}
      steps {{ {_STEP} }} step(name: "charge") {{ {_STEP} }} events {{ cursor hasMore
      events {{ cursor type at status attempt data step {{ name }} instance {{ id }} }} }}
      canPause canResume canTerminate canRestart }}
      absent: instance(instanceId: "x") {{ id }} }}""",
    "instances": f"{{ instances {{ nodes {{ {_INSTANCE} steps {{ {_STEP} }} }} {_INFO} }} }}",
    "reference": """{ reference(refType: "order", refId: "1") { id refType refId
      latestInstance { instanceId } statusCounts { status count }
      instances(first: 3, orderBy: {direction: ASC}) { nodes { id } totalCount } }
      never: reference(refType: "never", refId: "seen") { id latestInstance { id }
      statusCounts { count } instances { totalCount nodes { id } } } }""",
    "references": """{ references(keys: [{refType: "order", refId: "10"},
      {refType: "never", refId: "☃"}, {refType: "order", refId: "10"}]) {
        id latestInstance { id } statusCounts { status count } }
      none: references(keys: []) { id } }""",
    "stats": """{ stats { total statusCounts { status count } durationP50 durationP95 retryCount }
      s: stats(filter: {workflow: ["order", "billing"],
      createdAt: {from: "2001-01-01T00:00:00Z", to: "2025-06-01T00:00:00+02:00"}}) {
      total durationP50 durationP95 retryCount statusCounts { status count }
      timeline(slices: 7) { from to started completed errored } } }""",
    "events": """{ events { cursor hasMore events { cursor type at status attempt data
      instance { id } step { name } } } some: events(first: 3) { hasMore cursor events { type } }
      none: events(first: 0) { hasMore cursor events { type } } }""",
    "__typename": "{ __typename a: __typename }",
}


@pytest.mark.parametrize("name", _ROOTS)
def test_every_root_field_is_answered_as_by_the_reference(name: str) -> None:
    assert_equals_reference(_ROOTS[name])


_FILTERS: list[dict[str, Any]] = [
    {},
    {"workflow": ["order"]},
    {"workflow": ["order", "billing", "order"]},
    {"workflow": []},
    {"status": ["COMPLETED"]},
    {"status": ["RUNNING", "ERRORED", "UNKNOWN"]},
    {"status": []},
    {"status": STATUSES, "workflow": ["order", "billing", "zz-last"]},
    {"reference": {"refType": "order"}},
    {"reference": {"refId": "1"}},
    {"reference": {"refType": "user", "refId": 'ü-"x"'}},
    {"reference": {}},
    {"search": "i-00"},
    {"search": "order"},
    {"search": "ïd-"},
    {"search": "%"},
    {"createdAt": {"from": POOL.instants[3]}},
    {"createdAt": {"to": POOL.instants[3]}},
    {"updatedAt": {"from": POOL.instants[2], "to": POOL.instants[9]}},
    {"completedAt": {"from": POOL.instants[2]}},
    {"completedAt": {"from": None}},
    {"retrying": True},
    {"retrying": False},
    {"stalledFor": 10 * 365 * 24 * 3600 * 1000},
    {"stalledFor": 2**53 - 1},
    {"workflow": None, "status": None, "search": None, "retrying": None, "stalledFor": None},
    {"workflow": ["order"], "status": ["RUNNING", "COMPLETED"], "retrying": False},
    {"search": "i-0", "status": ["RUNNING", "COMPLETED"], "reference": {"refType": "order"}},
]
_FILTERED = f"""query ($filter: InstanceFilter, $order: InstanceOrder) {{
  instances(filter: $filter, orderBy: $order, first: 4) {{
    edges {{ cursor node {{ id }} }} {_INFO} }}
  last: instances(filter: $filter, orderBy: $order, last: 4) {{ nodes {{ id }} {_INFO} }}
  stats(filter: $filter) {{ total statusCounts {{ status count }} durationP95 retryCount }}
  workflow(name: "order") {{ instances(filter: $filter) {{ nodes {{ id }} totalCount }} }}
}}"""
_ORDERS = [
    None,
    {"direction": "ASC"},
    {"field": "UPDATED_AT"},
    {"field": "UPDATED_AT", "direction": "ASC"},
]


@pytest.mark.parametrize("given", _FILTERS, ids=str)
def test_every_filter_selects_what_the_reference_selects_in_every_order(
    given: dict[str, Any],
) -> None:
    for order in _ORDERS:
        for restrictions in (
            Restrictions(),
            Restrictions(reference=("order", "1")),
            Restrictions(workflows=("order",)),
        ):
            variables = {"filter": given, "order": order}
            assert_equals_reference(_FILTERED, variables, restrictions=restrictions)


_EVENT_FILTERS: list[dict[str, Any]] = [
    {},
    {"instanceId": "i-005"},
    {"instanceId": "absent"},
    {"reference": {"refType": "order"}},
    {"reference": {"refType": "order", "refId": "1"}},
    {"workflow": ["billing"]},
    {"workflow": ["billing", "order"]},
    {"workflow": []},
    {"status": ["RUNNING", "COMPLETED"]},
    {"type": ["STEP_STARTED", "ATTEMPT_FAILED"]},
    {"type": []},
    {"instanceId": None, "status": None},
    {"workflow": ["order"], "type": ["INSTANCE_STARTED"], "reference": {"refId": "1"}},
]


@pytest.mark.parametrize("given", _EVENT_FILTERS, ids=str)
def test_every_event_filter_selects_what_the_reference_selects(given: dict[str, Any]) -> None:
    query = """query ($filter: EventFilter, $after: EventCursor) {
      events(filter: $filter, after: $after, first: 5) {
        cursor hasMore events { cursor type instance { id } step { id } } } }"""
    for restrictions in (
        Restrictions(),
        Restrictions(reference=("order", "1")),
        Restrictions(instance_id="i-005"),
    ):
        for after in (None, POOL.event_cursors[5], POOL.event_cursors[-1]):
            variables = {"filter": given, "after": after}
            assert_equals_reference(query, variables, restrictions=restrictions)


@pytest.mark.parametrize(
    ("query", "argument", "longest"),
    [
        ("query ($v: String!) { instance(instanceId: $v) { id } }", "instanceId", 100),
        ("query ($v: String!) { workflow(name: $v) { id } }", "name", 64),
        ('query ($v: String!) { reference(refType: $v, refId: "1") { id } }', "refType", 64),
        ('query ($v: String!) { reference(refType: "t", refId: $v) { id } }', "refId", 256),
        ('query ($v: String!) { references(keys: {refType: "t", refId: $v}) { id } }', "keys", 256),
        (
            "query ($v: String!) { stats(filter: {workflow: [$v]}) { total } }",
            "filter.workflow",
            64,
        ),
        (
            "query ($v: String!) { stats(filter: {reference: {refType: $v}}) { total } }",
            "filter.reference.refType",
            64,
        ),
        (
            "query ($v: String!) { events(filter: {reference: {refId: $v}}) { cursor } }",
            "filter.reference.refId",
            256,
        ),
        (
            "query ($v: String!) { events(filter: {instanceId: $v}) { cursor } }",
            "filter.instanceId",
            100,
        ),
    ],
)
def test_names_have_the_same_limits_in_reads_as_in_writes(
    query: str, argument: str, longest: int
) -> None:
    client = Client(DATABASE)
    client(query, v="x" * longest)
    for value in ("", "x" * (longest + 1), "x" * 100_000, "a\x00b", "a\nb"):
        with pytest.raises(ArgumentError) as refusal:
            client(query, v=value)
        assert refusal.value.argument == argument


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Workflow",
        "Workflow:",
        "Nothing:x",
        f"Workflow:{'x' * 65}",
        "WorkflowInstance:i",
        f'WorkflowInstance:["w","{"x" * 101}"]',
        'WorkflowInstance:["w","a\\u0000"]',
        'WorkflowInstance:["w","i",1]',
        "WorkflowStep:i",
        "WorkflowStep:[]",
        'WorkflowStep:["w","i",1,"s"]',
        'WorkflowStep:["w","i",1,"s",1,1]',
        'WorkflowStep:["w","i",0,"s",1]',
        'WorkflowStep:["w","i",1,"s",0]',
        'WorkflowStep:["w","i",1,2,1]',
        'WorkflowStep:["w","i","1","s",1]',
        'WorkflowStep:{"i":1,"s":2}',
        'WorkflowStep:[["w","i",1,"s",1]]',
        'Reference:["",""]',
        f'Reference:["{"x" * 65}","1"]',
        "WorkflowStep:" + "[" * 8_000,
        "Reference:" + "[" * 8_000 + "]" * 8_000,
        'Reference:{"a":' + '{"a":' * 8_000,
    ],
)
def test_an_invalid_global_id_is_refused(value: str) -> None:
    for query, argument in (
        ("query ($v: ID!) { node(id: $v) { id } }", "id"),
        ("query ($v: ID!) { nodes(ids: [$v]) { id } }", "ids"),
    ):
        with pytest.raises(ArgumentError) as refusal:
            Client(DATABASE)(query, v=value)
        assert refusal.value.argument == argument
        assert len(refusal.value.message) < 200


def test_a_cursor_after_the_head_of_the_log_returns_the_head() -> None:
    query = "query ($v: EventCursor) { events(after: $v) { cursor hasMore events { type } } }"
    page = Client(DATABASE)(query, v=f"{2**53 - 1}")["events"]
    assert page == {
        "cursor": f"{DATA.events[-1]['id']:016}",
        "hasMore": False,
        "events": [],
    }
    for value in ("9" * 16, f"{2**53}", "1" + "0" * 16):
        with pytest.raises(InvalidDocument):
            Client(DATABASE)(query, v=value)


def pages(query: str, argument: str, **variables: Any) -> Iterator[dict[str, Any]]:
    """All pages of the connection with the alias `page`, from one end to the other."""
    client = Client(DATABASE)
    cursor = None
    while True:
        variables[argument] = cursor
        assert_equals_reference(query, dict(variables))
        page = client(query, **variables)["page"]
        yield page
        info = page["pageInfo"]
        if not info["hasNextPage" if argument == "after" else "hasPreviousPage"]:
            return
        cursor = info["endCursor" if argument == "after" else "startCursor"]


@pytest.mark.parametrize(
    ("order", "size"),
    [(_ORDERS[1], 1), *((order, size) for order in _ORDERS[1:] for size in (7, 58, 100))],
    ids=str,
)
def test_pages_in_both_directions_contain_every_instance_once(
    order: dict[str, str], size: int
) -> None:
    forward = """query ($order: InstanceOrder, $size: Int, $after: String) {
      page: instances(orderBy: $order, first: $size, after: $after) {
        nodes { instanceId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    backward = forward.replace("after", "before").replace("first", "last")
    ahead = [
        node["instanceId"]
        for page in pages(forward, "after", order=order, size=size)
        for node in page["nodes"]
    ]
    behind = [
        [node["instanceId"] for node in page["nodes"]]
        for page in pages(backward, "before", order=order, size=size)
    ]
    assert sorted(ahead) == sorted(row["instance_id"] for row in DATA.instances)
    assert [name for page in reversed(behind) for name in page] == ahead


def test_pages_of_workflows_in_both_directions_contain_each_once() -> None:
    forward = """query ($after: String) { page: workflows(first: 2, after: $after) {
        nodes { name } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    backward = forward.replace("after", "before").replace("first", "last")
    ahead = [n["name"] for page in pages(forward, "after") for n in page["nodes"]]
    behind = [[n["name"] for n in page["nodes"]] for page in pages(backward, "before")]
    assert ahead == sorted(row["name"] for row in DATA.workflows)
    assert [name for page in reversed(behind) for name in page] == ahead


def test_the_log_read_page_by_page_is_the_whole_log_in_order() -> None:
    client = Client(DATABASE)
    query = """query ($after: EventCursor) { events(first: 37, after: $after) {
      cursor hasMore events { cursor } } }"""
    seen: list[str] = []
    cursor, more = None, True
    while more:
        assert_equals_reference(query, {"after": cursor})
        page = client(query, after=cursor)["events"]
        seen += [event["cursor"] for event in page["events"]]
        cursor, more = page["cursor"], page["hasMore"]
    assert seen == [f"{row['id']:016}" for row in DATA.events]


_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "nested connections with their own arguments": (
        """{ workflows { nodes { name instances(first: 2, filter: {status: [RUNNING]}) {
          totalCount nodes { id reference { instances(last: 1, orderBy: {field: UPDATED_AT}) {
            edges { cursor node { id } } pageInfo { hasPreviousPage } } } } } } } }""",
        {},
    ),
    "fragments on an interface": (
        """{ node(id: "Workflow:order") { ...N }
        nodes(ids: ["WorkflowInstance:[\\"order\\",\\"i-001\\"]"]) { ...N } }
        fragment N on Node { __typename id ... on Workflow { name instances(first: 1) { nodes {
          ...I } } } ... on WorkflowInstance { ...I workflow { ...W } } }
        fragment I on WorkflowInstance { instanceId workflow { ...W } }
        fragment W on Workflow { id name }""",
        {},
    ),
    "__typename everywhere": (
        """{ __typename instances(first: 2) { __typename edges { __typename node { __typename
          steps { __typename retryPolicy { __typename } attempts { __typename error { __typename
          } } } events(first: 1) { __typename events { __typename } } workflow { __typename
          statusCounts { __typename } } reference { __typename } } } pageInfo { __typename } }
          stats { __typename } workflows(first: 1) { __typename edges { __typename } } }""",
        {},
    ),
    "merged fields": (
        """{ instance(instanceId: "i-004") { workflow { name } ...A workflow { id } id id }
             instance(instanceId: "i-004") { status steps { name } ...A } }
        fragment A on WorkflowInstance { workflow { createdAt name } steps { index name } }""",
        {},
    ),
    "skip and include by variables": (
        """query ($yes: Boolean!, $no: Boolean!) { instances(first: 2) {
          nodes @include(if: $no) { id } totalCount @skip(if: $yes)
          edges @include(if: $yes) { node { id @skip(if: $no) status @include(if: $no) } } }
          workflows @skip(if: $yes) { totalCount } }""",
        {"yes": True, "no": False},
    ),
    "everything skipped": ("{ instances @skip(if: true) { totalCount } }", {}),
    "ten levels of rows": (
        """{ instances(first: 1) { nodes { workflow { latestInstance { reference { latestInstance {
          workflow { latestInstance { steps { instance { duration canPause workflow {
            latestInstance { canRestart status } } } } } } } } } } } } }""",
        {},
    ),
    "lists ordered by different variables": (
        "query ($a: InstanceOrder, $b: InstanceOrder) {"
        + "".join(
            f"{name}{n}: instances(orderBy: ${name}) {{ nodes {{ id }} }} "
            for n in range(8)
            for name in "ab"
        )
        + "}",
        {"a": {"direction": "ASC"}, "b": {"direction": "DESC"}},
    ),
    "arguments of a page that is not selected": (
        """query ($n: Int) { instances(last: $n, filter: {status: [RUNNING, COMPLETED]}) {
          totalCount } b: instances(filter: {status: [RUNNING, COMPLETED]}) { __typename
          pageInfo { __typename } } }""",
        {"n": 3},
    ),
}


@pytest.mark.parametrize("name", _SHAPES)
def test_every_shape_of_selection_is_answered_as_by_the_reference(name: str) -> None:
    assert_equals_reference(*_SHAPES[name])


def test_one_document_serves_variables_of_every_shape() -> None:
    query = """query ($f: InstanceFilter, $o: InstanceOrder, $n: Int, $l: Int, $c: String) {
      instances(filter: $f, orderBy: $o, first: $n, last: $l, after: $c) {
        nodes { id } pageInfo { hasNextPage hasPreviousPage } totalCount } }"""
    variables: list[dict[str, Any]] = [
        {},
        {"n": 2},
        {"n": 3},
        {"l": 2},
        {"n": None, "l": 5},
        {"f": {}},
        {"f": {"status": ["RUNNING"]}},
        {"f": {"status": ["COMPLETED"]}},
        {"f": {"status": ["RUNNING", "COMPLETED"]}},
        {"f": {"status": ["PAUSED", "QUEUED", "UNKNOWN"]}},
        {"f": {"retrying": True}},
        {"f": {"retrying": False}},
        {"f": {"createdAt": {"from": POOL.instants[4]}}},
        {"f": {"createdAt": {"from": POOL.instants[4], "to": POOL.instants[8]}}},
        {"o": {"direction": "ASC"}, "c": POOL.cursors["C"][5], "n": 4},
        {"o": {"direction": "DESC"}, "c": POOL.cursors["C"][5], "n": 4},
        {"o": {"field": "UPDATED_AT"}, "c": POOL.cursors["U"][7], "n": 4},
        {},
    ]
    comparison = comparing(Restrictions())
    for given in (*variables, *reversed(variables)):
        comparison.check(Drawn(query, given))
    assert comparison.compared == 2 * len(variables)


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("{ instances(first: 101) { nodes { id } } }", "first"),
        ("{ instances(last: -1) { totalCount } }", "last"),
        ("{ instances(first: 1, last: 1) { totalCount } }", "last"),
        ('{ instances(after: "nonsense") { nodes { id } } }', "after"),
        ('{ instances(after: "Norder") { nodes { id } } }', "after"),
        (
            '{ instances(orderBy: {field: UPDATED_AT}, before: "C2025-03-01T00:00:00.000Z,1")'
            " { nodes { id } } }",
            "before",
        ),
        ('{ instances(filter: {search: ""}) { totalCount } }', "filter.search"),
        ("{ events(first: 1001) { cursor } }", "first"),
        ('{ node(id: "nonsense") { id } }', "id"),
        ('{ node(id: "WorkflowStep:i-004") { id } }', "id"),
        ('{ node(id: "WorkflowStep:[\\"order\\",\\"i-001\\"]") { id } }', "id"),
        ("{ stats { timeline(slices: 0) { from } } }", "slices"),
        ('{ reference(refType: "", refId: "1") { id } }', "refType"),
    ],
)
def test_an_argument_out_of_bounds_is_refused_with_its_name(query: str, argument: str) -> None:
    with pytest.raises(ArgumentError) as refusal:
        Client(DATABASE)(query)
    assert refusal.value.argument == argument
    assert refusal.value.code == "INVALID_ARGUMENT"


def test_lists_that_are_too_long_are_refused_with_their_names() -> None:
    client = Client(DATABASE)
    for query, argument, values in (
        ("query ($v: [ID!]!) { nodes(ids: $v) { id } }", "ids", ["Workflow:order"] * 101),
        (
            "query ($v: [ReferenceInput!]!) { references(keys: $v) { id } }",
            "keys",
            [{"refType": "a", "refId": "b"}] * 1001,
        ),
        (
            "query ($v: [String!]) { instances(filter: {workflow: $v}) { totalCount } }",
            "filter.workflow",
            ["order"] * 101,
        ),
    ):
        with pytest.raises(ArgumentError) as refusal:
            client(query, v=values)
        assert refusal.value.argument == argument


_HALF = "half of a pair \ud800"


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("query ($v: String!) { instance(instanceId: $v) { id } }", "instanceId"),
        ("query ($v: String!) { workflow(name: $v) { id } }", "name"),
        ("query ($v: String!) { workflows(after: $v) { nodes { id } } }", "after"),
        ("query ($v: String!) { reference(refType: $v, refId: $v) { id } }", "refType"),
        ("query ($v: String!) { references(keys: {refType: $v, refId: $v}) { id } }", "keys"),
        ("query ($v: String!) { stats(filter: {search: $v}) { total } }", "filter.search"),
        (
            'query ($v: String!) { stats(filter: {workflow: [$v, "a"]}) { total } }',
            "filter.workflow",
        ),
        (
            "query ($v: String!) { events(filter: {instanceId: $v}) { cursor } }",
            "filter.instanceId",
        ),
        ("query ($v: ID!) { node(id: $v) { id } }", "id"),
        ("query ($v: ID!) { nodes(ids: [$v]) { id } }", "ids"),
    ],
)
def test_text_that_is_not_unicode_is_refused_with_its_name(query: str, argument: str) -> None:
    value = f"Workflow:{_HALF}" if "ID!" in query else f"N{_HALF}"
    with pytest.raises(ArgumentError) as refusal:
        Client(DATABASE)(query, v=value)
    assert refusal.value.argument == argument
