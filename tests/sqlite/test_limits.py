"""Every limit on requests holds exactly: its value is accepted, one more is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from resolvers.base import limits
from resolvers.base.errors import RequestError
from resolvers.executing.executor import ExecutionFailed
from tests.support.client import Client
from tests.support.seeded import DATABASE
from tests.support.writing import Writer

# True if a request of this size is accepted.
_Accepts = Callable[[int], bool]


def asks(query: str, make: Callable[[int], Any] = lambda size: size) -> _Accepts:
    """Check a size with a query, whose only variable is `make(size)`."""

    def accepts(size: int) -> bool:
        try:
            Client(DATABASE)(query, v=make(size))
        except RequestError as error:
            if error.code not in ("INVALID_ARGUMENT", "OPERATION_TOO_LARGE"):
                raise
            return False
        return True

    return accepts


def writes(call: Callable[[Writer, int], Any]) -> _Accepts:
    """Check a size with a mutation, on a database with a running instance `i`."""

    def accepts(size: int) -> bool:
        writer = Writer()
        writer.create("RUNNING")
        try:
            result = call(writer, size)
        except ExecutionFailed as failed:
            if not isinstance(failed.error, RequestError):
                raise
            return False
        return str(result["__typename"]) != "InvalidInput"

    return accepts


def text(size: int) -> str:
    """A text of this many characters."""
    return "x" * size


def token(writer: Writer, given: dict[str, Any]) -> Any:
    """createAccessToken."""
    query = (
        "mutation ($v: CreateAccessTokenInput!) { r: createAccessToken(input: $v) { __typename } }"
    )
    return writer.client(query, v={"instanceId": "i", **given})["r"]


_REFERENCE = {"refType": "t", "refId": "r"}
_LIMITS: dict[str, _Accepts] = {
    "MAX_PAGE_SIZE": asks("query ($v: Int) { instances(first: $v) { nodes { id } } }"),
    "MAX_EVENTS_PAGE_SIZE": asks("query ($v: Int) { events(first: $v) { events { type } } }"),
    "MAX_TIMELINE_SLICES": asks(
        "query ($v: Int) { stats(filter: {workflow: []}) { timeline(slices: $v) { started } } }"
    ),
    "MAX_REFERENCE_KEYS": asks(
        "query ($v: [ReferenceInput!]!) { references(keys: $v) { refId } }",
        lambda size: [_REFERENCE] * size,
    ),
    "MAX_NODE_IDS": asks(
        "query ($v: [ID!]!) { nodes(ids: $v) { id } }", lambda size: ["Workflow:order"] * size
    ),
    "MAX_FILTER_VALUES": asks(
        "query ($v: [String!]) { stats(filter: {workflow: $v}) { total } }",
        lambda size: ["order"] * size,
    ),
    "MAX_RUNS": asks(
        'query ($v: Int) { instance(instanceId: "i-004") { runs(first: $v) { number } } }'
    ),
    "MAX_SEARCH": asks("query ($v: String) { workflows(search: $v) { totalCount } }", text),
    "MAX_BATCH_ITEMS": writes(
        lambda w, n: w.track(*[{"instance": {"instanceId": "i", "output": k}} for k in range(n)])
    ),
    "MAX_ROOT_FIELDS": lambda size: asks(
        "{ " + " ".join(f"a{n}: __typename" for n in range(size)) + " }", lambda _: None
    )(size),
    "MAX_JSON_BYTES": writes(lambda w, n: w.update(output=text(n - 2))),
    "MAX_WORKFLOW_NAME": writes(lambda w, n: w.start(text(n))),
    "MAX_INSTANCE_ID": writes(lambda w, n: w.start(instanceId=text(n))),
    "MAX_RUN": writes(lambda w, n: w.step("RUNNING", run=n)),
    "MAX_REF_TYPE": writes(lambda w, n: w.start(reference={"refType": text(n), "refId": "r"})),
    "MAX_REF_ID": writes(lambda w, n: w.start(reference={"refType": "t", "refId": text(n)})),
    "MAX_STEP_INDEX": writes(lambda w, n: w.step("RUNNING", index=n)),
    "MAX_ATTEMPT": writes(lambda w, n: w.step("RUNNING", attempt=n)),
    "MAX_RETRIES": writes(lambda w, n: w.step("RUNNING", retryPolicy={"limit": n, "delay": 1})),
    "MAX_DESCRIPTION": writes(lambda w, n: w.register(description=text(n))),
    "MAX_RETENTION_DAYS": writes(lambda w, n: w.register(retentionDays=n)),
    "MAX_TOKEN_WORKFLOWS": writes(lambda w, n: token(w, {"workflows": ["w"] * n})),
    "MAX_TOKEN_LIFETIME_MS": writes(lambda w, n: token(w, {"expiresIn": n})),
}
# Tested elsewhere: in tests/unit (documents, variables, reporting, runner, frames, protocol), in
# test_writes.py, test_identity.py, test_following.py, test_costs.py, test_polls.py,
# test_poll_costs.py and tests/worker.
_ELSEWHERE = {
    "MAX_BODY_BYTES", "MAX_BODY_DEPTH", "MAX_BODY_VALUES", "MAX_KNOWN_CALLERS",
    "MAX_INIT_FRAME_BYTES", "MAX_INIT_FRAMES", "MAX_CONCURRENT_OPERATIONS", "MAX_RESULT_BYTES",
    "MAX_EVENTS_SCANNED",
    "MAX_DOCUMENT_TOKENS", "MAX_DEPTH", "MAX_ALIASES",
    "MAX_NODES", "MAX_JSON_DEPTH", "MAX_ERROR_NAME", "MAX_ERROR_MESSAGE", "MAX_ERROR_STACK",
    "MAX_DURATION_MS", "MAX_EVENT_TYPE", "MAX_SUSPENDED_TASKS", "MAX_DOCUMENT_CHARACTERS",
    "MAX_DOCUMENT_LINES", "MAX_FIELDS", "MAX_OVERLAPPING_FIELDS", "MAX_INTROSPECTED_FIELDS",
    "MAX_VARIABLE_VALUES", "MAX_ERRORS", "MAX_REPORTED_MESSAGE", "MAX_REPORTED_LOCATIONS",
    "MAX_FRAME_BYTES", "MAX_OPERATION_ID", "MAX_SUBSCRIPTIONS", "MAX_REPLAY_EVENTS",
    "MAX_POLL_EVENTS", "MAX_POLL_REPLAYS", "MAX_POLL_STATEMENTS", "MAX_SOCKETS",
    "MAX_RETRY_MS", "MAX_UNREAD_CHARACTERS", "MAX_PREFETCH_STATEMENTS", "MAX_PREFETCH_NODES",
    "MAX_PREFETCH_WRITE_STATEMENTS", "MAX_PREFETCH_CHARACTERS", "MAX_FILLED_ATTEMPTS",
    "MAX_STEP_NAME", "MAX_SAME_ID", "MAX_SUGGESTIONS", "MAX_FOLLOWED", "MAX_FOLLOW_OPEN",
    "MAX_FOLLOW_EVENTS", "MAX_FOLLOW_PART_BYTES", "MAX_FOLLOW_BYTES", "MAX_FOLLOW_STATEMENTS",
    "MAX_FOLLOW_CALLS", "MAX_FOLLOW_RESTS", "MAX_FOLLOW_ERROR", "MAX_WRITTEN_CHARACTERS",
    "MAX_WRITTEN_LEVELS", "MAX_BIGINT_BITS",
}  # fmt: skip


def test_every_limit_is_listed() -> None:
    names = {name for name in vars(limits) if name.startswith("MAX_")}
    assert names == set(_LIMITS) | _ELSEWHERE


@pytest.mark.parametrize("name", _LIMITS)
def test_the_limit_is_accepted_and_one_more_is_refused(name: str) -> None:
    limit = getattr(limits, name)
    assert _LIMITS[name](limit)
    assert not _LIMITS[name](limit + 1)


def test_an_operation_of_max_nodes_is_answered_and_a_larger_one_refused() -> None:
    client = Client(DATABASE)
    query = """query ($n: Int) {
      instances(first: 100) { nodes { events(first: $n) { events { type } } } } }"""
    with pytest.raises(RequestError) as refusal:
        client(query, n=1000)
    assert refusal.value.extensions["limit"] == "MAX_NODES"
    cost = refusal.value.extensions["cost"]
    assert isinstance(cost, int)
    per_event = 100
    rest = cost - 1000 * per_event
    most = (limits.MAX_NODES - rest) // per_event
    assert client(query, n=most)
    with pytest.raises(RequestError):
        client(query, n=most + 1)


def test_pages_have_their_default_sizes() -> None:
    writer = Writer()
    writer.track(*[{"instance": {"instanceId": f"i{n}", "workflow": "w"}} for n in range(30)])
    for n in range(4):
        writer.track(*[{"instance": {"instanceId": f"i{k}", "output": n}} for k in range(30)])
    data = writer.client("{ instances { nodes { id } } events { events { type } } }")
    assert len(data["instances"]["nodes"]) == limits.DEFAULT_PAGE_SIZE
    assert len(data["events"]["events"]) == limits.DEFAULT_EVENTS_PAGE_SIZE


def test_an_event_for_an_instance_has_a_short_type() -> None:
    writer = Writer()
    writer.create("RUNNING")
    query = (
        "mutation ($v: SendWorkflowEventInput!) { r: sendWorkflowEvent(input: $v) { __typename } }"
    )
    given = {"instanceId": "i", "type": text(limits.MAX_EVENT_TYPE)}
    assert writer.client(query, v=given) == {"r": {"__typename": "EngineUnavailable"}}
    with pytest.raises(ExecutionFailed) as failed:
        writer.client(query, v={**given, "type": text(limits.MAX_EVENT_TYPE + 1)})
    # The result union of this mutation has no InvalidInput.
    assert isinstance(failed.value.error, RequestError)
    assert failed.value.error.extensions["argument"] == "input.type"
