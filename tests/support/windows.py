"""Windows of the seeded log: filters, callers, positions, and the results of Query.events."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from resolvers.access.principals import Principal, Restrictions, principal
from resolvers.base.vocabulary import EventType, InstanceStatus, Scope
from tests.support.client import Client
from tests.support.seed import SHARED_ID
from tests.support.seeded import DATA, DATABASE, POOL
from tests.support.subscribing import PAGE

HEAD = DATA.events[-1]["id"]
RESTRICTIONS = {
    "nothing": Restrictions(),
    "reference": Restrictions(reference=("order", "1")),
    "workflows": Restrictions(workflows=("order", "billing")),
    "instance": Restrictions(instance_id="i-004"),
    "reference and workflows": Restrictions(
        reference=("user", "1"), workflows=("order", "zz-last")
    ),
    "no workflow": Restrictions(workflows=()),
}
CALLERS = {
    name: principal(Scope.READ, restrictions=limits) for name, limits in RESTRICTIONS.items()
}
FILTER_EXAMPLES: list[dict[str, Any]] = [
    {},
    {"instanceId": "i-004"},
    {"instanceId": "absent"},
    {"reference": {"refType": "order"}},
    {"reference": {"refId": "1"}},
    {"reference": {"refType": "user", "refId": 'ü-"x"'}},
    {"reference": {}},
    {"workflow": []},
    {"workflow": ["order"]},
    {"workflow": ['näme ☃ "q"', "billing", "absent"]},
    {"status": []},
    {"status": ["RUNNING"]},
    {"status": ["RUNNING", "ERRORED"]},
    {"type": []},
    {"type": ["STEP_STARTED"]},
    {"type": ["INSTANCE_QUEUED", "ATTEMPT_FAILED"]},
    {"workflow": ["order"], "status": ["RUNNING"], "type": ["STEP_STARTED", "STEP_FAILED"]},
    {"reference": {"refType": "order"}, "workflow": ["order", "billing"], "status": ["QUEUED"]},
]


PROPERTY = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def expected(after: int, to: int, caller: Principal, **members: Any) -> list[dict[str, Any]]:
    """The result of Query.events for a range of the log."""
    query = "query ($f: EventFilter, $a: EventCursor) {"
    query += f" events(filter: $f, after: $a, first: 1000) {{ {PAGE} hasMore }} }}"
    page = Client(DATABASE, caller)(query, f=members, a=f"{after:016}")["events"]
    assert page["hasMore"] is False
    return [event for event in page["events"] if int(event["cursor"]) <= to]


def values(options: list[Any]) -> st.SearchStrategy[list[Any]]:
    """A list argument with none, one or several of these."""
    return st.lists(st.sampled_from(options), max_size=3)


def nullable(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_REFERENCES = st.fixed_dictionaries(
    {},
    optional={
        "refType": st.sampled_from([ref_type for ref_type, _ in POOL.references]),
        "refId": st.sampled_from([ref_id for _, ref_id in POOL.references]),
    },
)
INSTANCE_IDS = sorted(row["instance_id"] for row in DATA.instances)
ANY_FILTER = st.fixed_dictionaries(
    {},
    optional={
        "instanceId": nullable(st.sampled_from([*INSTANCE_IDS, "absent"])),
        "reference": nullable(_REFERENCES),
        "workflow": nullable(values(POOL.workflows)),
        "status": nullable(values([str(status) for status in InstanceStatus])),
        "type": nullable(values([str(type_) for type_ in EventType])),
    },
)
ANY_POSITION = st.integers(0, HEAD + 5)
ANY_CALLER = st.sampled_from(list(CALLERS.values()))


SOME_INSTANCES: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    [
        *({"id": instance_id} for instance_id in (*INSTANCE_IDS[::5], "i-004", "absent")),
        {"id": SHARED_ID, "workflow": "order"},
        {"id": SHARED_ID, "workflow": "absent"},
    ]
)
