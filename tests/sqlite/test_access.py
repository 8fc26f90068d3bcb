"""Restricted callers: what they may read and change; keys and tokens that are accepted."""

import json
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest

from resolvers.access.gatekeeper import Gatekeeper, token_claims
from resolvers.access.principals import Restrictions, principal
from resolvers.base.errors import AccessError
from resolvers.base.vocabulary import Scope
from resolvers.executing.executor import ExecutionFailed
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.engines import RecordingEngine
from tests.support.reference import SCHEMA
from tests.support.reference_rows import Row, View
from tests.support.seeded import DATA, DATABASE, POOL, seeded
from tests.support.writing import Writer, failure

_RESTRICTIONS = {
    "reference": Restrictions(reference=("order", "1")),
    "workflows": Restrictions(workflows=("order", "billing")),
    "instance": Restrictions(instance_id="i-004"),
    "reference and workflow": Restrictions(reference=("order", "1"), workflows=("order",)),
    "no workflow": Restrictions(workflows=()),
}
_DEEP = """id instanceId status workflow { name statusCounts { count } latestInstance { id }
  instances(first: 9) { nodes { id } totalCount } } reference { id latestInstance { id }
  statusCounts { count } instances(first: 9) { nodes { id } totalCount } }
  steps { id instance { id } } events(first: 5) { events { instance { id } step { id } } }"""
# One operation for each root field, with nested selections that lead to other instances.
_READS: dict[str, str] = {
    "node": "",
    "nodes": f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ __typename id ... on WorkflowInstance {{"
    f" {_DEEP} }} ... on WorkflowStep {{ instance {{ {_DEEP} }} }} ... on Workflow {{"
    " latestInstance { id } instances(first: 100) { nodes { id } totalCount } statusCounts {"
    " status count } } ... on Reference { latestInstance { id } statusCounts { count }"
    " instances(first: 100) { nodes { id } totalCount } } } }",
    "workflow": f'{{ workflow(name: "order") {{ name latestInstance {{ {_DEEP} }} statusCounts {{'
    " count } instances(first: 100) { nodes { id } totalCount } } }",
    "workflows": "{ workflows { totalCount nodes { name statusCounts { count } instances {"
    " totalCount nodes { id } } latestInstance { id } } } }",
    "instance": f'{{ a: instance(instanceId: "i-004") {{ {_DEEP} }}'
    f' b: instance(instanceId: "i-005") {{ {_DEEP} }} }}',
    "instances": f"{{ instances(first: 20) {{ totalCount nodes {{ {_DEEP} }} pageInfo {{"
    ' hasNextPage endCursor } } s: instances(filter: {search: "i-"}) { totalCount'
    " edges { cursor node { id } } } }",
    "reference": '{ reference(refType: "user", refId: "1") { latestInstance { id } statusCounts {'
    " count } instances { nodes { id } totalCount } } }",
    "references": '{ references(keys: [{refType: "order", refId: "1"}, {refType: "order",'
    ' refId: "10"}]) { latestInstance { id } statusCounts { count } instances { totalCount } } }',
    "stats": "{ stats { total statusCounts { status count } durationP50 durationP95 retryCount } }",
    "events": "{ events(first: 1000) { cursor hasMore events { cursor instance { id } data } } }",
}
_READS["node"] = "query ($id: ID!) { node(id: $id) { __typename id } }"


def test_there_is_an_operation_for_every_root_field() -> None:
    assert SCHEMA.query_type is not None
    assert set(_READS) == set(SCHEMA.query_type.fields)


@cache
def only_visible(restrictions: str) -> SqliteD1:
    """A database with only the rows that a caller with these restrictions may see."""
    view = View(DATA, _RESTRICTIONS[restrictions])
    database = seeded()
    outside = [row for row in DATA.instances if row["id"] not in view.instance_rows]
    assert outside
    for row in outside:
        database.connection.execute("DELETE FROM instances WHERE id=?", (row["id"],))
    seen = {row["name"] for row in view.workflows()}
    for name in {row["name"] for row in DATA.workflows} - seen:
        database.connection.execute("DELETE FROM workflows WHERE name=?", (name,))
    return database


@pytest.mark.parametrize("restrictions", _RESTRICTIONS)
@pytest.mark.parametrize("field", [name for name in _READS if name != "node"])
def test_a_restricted_caller_reads_as_if_other_rows_did_not_exist(
    field: str, restrictions: str
) -> None:
    caller = principal(Scope.READ, restrictions=_RESTRICTIONS[restrictions])
    variables = {"ids": POOL.ids[:-1]} if field == "nodes" else {}
    answer = Client(DATABASE, caller)(_READS[field], **variables)
    expected = Client(only_visible(restrictions))(_READS[field], **variables)
    if field == "events" and not expected["events"]["events"]:
        # Deleting the other rows does not change the head of the log.
        expected["events"]["cursor"] = "0" * 16
    assert answer == expected


@pytest.mark.parametrize("restrictions", _RESTRICTIONS)
def test_a_node_outside_the_restrictions_is_not_found(restrictions: str) -> None:
    view = View(DATA, _RESTRICTIONS[restrictions])
    seen = {instance_id(row) for row in view.instances}
    seen |= {f"Workflow:{row['name']}" for row in view.workflows()}
    client = Client(DATABASE, principal(Scope.READ, restrictions=_RESTRICTIONS[restrictions]))
    for row in DATA.instances:
        global_id = instance_id(row)
        found = client(_READS["node"], id=global_id)["node"]
        assert (found is not None) == (global_id in seen)
        for step in [step for step in DATA.steps if step["instance"] == row["id"]]:
            key = json.dumps([row["workflow"], row["instance_id"], *step_key(step)])
            found = client(_READS["node"], id=f"WorkflowStep:{key}")["node"]
            assert (found is not None) == (global_id in seen)
    for row in DATA.workflows:
        found = client(_READS["node"], id=f"Workflow:{row['name']}")["node"]
        assert (found is not None) == (f"Workflow:{row['name']}" in seen)


def instance_id(row: Row) -> str:
    """The global id of an instance."""
    return "WorkflowInstance:" + json.dumps([row["workflow"], row["instance_id"]])


def step_key(row: Row) -> tuple[Any, ...]:
    """The parts of a step's global id that follow those of its instance."""
    return (row["run"], row["name"], row["occurrence"])


def writers(restrictions: Restrictions) -> tuple[Writer, Writer]:
    """An unrestricted and a restricted writer on a database with the instances `in` and `out`."""
    owner = Writer(engine=RecordingEngine("w", "v"))
    for name, workflow in (("in", "w"), ("out", "v")):
        reference = {"refType": "t", "refId": name}
        owner.update(name, workflow=workflow, status="RUNNING", reference=reference)
    guest = Writer(owner.client.as_(principal(Scope.WRITE, restrictions=restrictions)))
    guest.client.services.engine = owner.client.services.engine
    return owner, guest


_GUEST_RESTRICTIONS = {
    "reference": Restrictions(reference=("t", "in")),
    "workflows": Restrictions(workflows=("w",)),
    "instance": Restrictions(instance_id="in"),
}


@pytest.mark.parametrize("kind", _GUEST_RESTRICTIONS)
def test_a_write_outside_the_restrictions_is_not_found_and_changes_nothing(kind: str) -> None:
    owner, guest = writers(_GUEST_RESTRICTIONS[kind])
    state, head = owner.state(), owner.head()
    step = {"instanceId": "out", "name": "s", "status": "RUNNING"}
    for result in (
        guest.update("out", status="COMPLETED"),
        guest.update("out", output=1),
        guest.step("RUNNING", instance_id="out"),
        guest.track({"step": step}),
        guest.track({"step": {**step, "instanceId": "in"}}, {"step": step}),
        guest.act("pause", "out"),
        guest.act("restart", "out"),
    ):
        assert (result["__typename"], result["code"]) == ("NotFound", "NOT_FOUND")
    assert (owner.state(), owner.head()) == (state, head)


@pytest.mark.parametrize("kind", _GUEST_RESTRICTIONS)
def test_a_write_inside_the_restrictions_succeeds(kind: str) -> None:
    owner, guest = writers(_GUEST_RESTRICTIONS[kind])
    assert guest.step("RUNNING", instance_id="in")["step"]["status"] == "RUNNING"
    assert guest.act("pause", "in")["instance"]["status"] == "PAUSED"
    result = guest.track({"instance": {"instanceId": "in", "status": "COMPLETED"}})
    assert result["applied"] == 1
    assert owner.read("in")["status"] == "COMPLETED"


def forbidden(call: Callable[[], Any]) -> None:
    """Fail unless the call is refused with FORBIDDEN."""
    with pytest.raises(ExecutionFailed) as failed:
        call()
    error = failed.value.error
    assert isinstance(error, AccessError)
    assert (error.code, error.status) == ("FORBIDDEN", 403)


_INSIDE = {"refType": "t", "refId": "in"}
_OUTSIDE = {"refType": "t", "refId": "out"}


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        (
            "reference",
            [
                lambda guest: guest.update("in", reference=_OUTSIDE),
                lambda guest: guest.update("in", reference=None),
                lambda guest: guest.start(instanceId="new", reference=_OUTSIDE),
                lambda guest: guest.start(instanceId="new"),
                lambda guest: guest.starts({"workflow": "w", "reference": _OUTSIDE}),
                lambda guest: guest.register("w"),
                lambda guest: guest.track({"instance": {"instanceId": "in", "reference": None}}),
            ],
        ),
        (
            "workflows",
            [
                lambda guest: guest.update("in", workflow="v"),
                lambda guest: guest.update("new", workflow="v"),
                lambda guest: guest.start("v"),
                lambda guest: guest.register("v"),
            ],
        ),
        (
            "instance",
            [
                lambda guest: guest.start(instanceId="new"),
                lambda guest: guest.start(),
                lambda guest: guest.register("w"),
            ],
        ),
    ],
)
def test_creating_or_moving_an_instance_outside_the_restrictions_is_forbidden(
    kind: str, attempts: list[Callable[[Writer], Any]]
) -> None:
    owner, guest = writers(_GUEST_RESTRICTIONS[kind])
    state, head = owner.state(), owner.head()
    for attempt in attempts:
        forbidden(partial(attempt, guest))
        assert (owner.state(), owner.head()) == (state, head)


@pytest.mark.parametrize(
    ("kind", "given"), [("reference", {"reference": None}), ("workflows", {"workflow": "v"})]
)
def test_a_forbidden_update_names_the_field(kind: str, given: dict[str, Any]) -> None:
    _, guest = writers(_GUEST_RESTRICTIONS[kind])
    with pytest.raises(ExecutionFailed) as failed:
        guest.update("in", **given)
    [field] = given
    assert f"input.{field}" in str(failed.value.error)


def test_a_start_with_the_id_of_a_hidden_instance_is_invalid_and_others_succeed() -> None:
    owner, guest = writers(Restrictions(reference=("t", "in")))
    before = owner.read("out")
    hidden = guest.start("v", instanceId="out", reference=_INSIDE)
    assert (hidden["code"], hidden["path"]) == ("INVALID_INPUT", ["input", "instanceId"])
    wanted = {"workflow": "v", "reference": _INSIDE}
    first, second = guest.starts({**wanted, "instanceId": "out"}, {**wanted, "instanceId": "new"})
    assert (first["code"], first["path"]) == ("INVALID_INPUT", ["inputs", "0", "instanceId"])
    assert second["instance"]["instanceId"] == "new"
    assert owner.read("out") == before


def test_an_instance_inside_the_restrictions_can_be_started() -> None:
    _, guest = writers(Restrictions(reference=("t", "in"), workflows=("w",)))
    assert guest.start(instanceId="new", reference=_INSIDE)["instance"]["status"] == "QUEUED"
    assert guest.update("new", status="RUNNING")["instance"]["status"] == "RUNNING"
    created = guest.update("other", workflow="w", reference=_INSIDE)
    assert created["instance"]["reference"] == _INSIDE
    assert guest.update("third", workflow="w")["code"] == "NOT_FOUND"


_TOKEN = """mutation ($v: CreateAccessTokenInput!) { r: createAccessToken(input: $v) { __typename
  ... on InvalidInput { code path } ... on AccessTokenPayload { token expiresAt } } }"""


def token(client: Client, **given: Any) -> Any:
    """createAccessToken."""
    return client(_TOKEN, v=given)["r"]


def unrestricted_token(client: Client, **given: Any) -> Any:
    """createAccessToken without restrictions."""
    return token(client, unrestricted=True, **given)


def bearer(client: Client, text: str) -> Client:
    """A client with a token on the same database."""
    return client.as_(client.services.gatekeeper.authenticate(f"Bearer {text}"))


def test_a_token_carries_its_scopes_and_restrictions() -> None:
    client = Client()
    issued = token(
        client,
        scopes=["WRITE"],
        reference={"refType": "tü", "refId": "1"},
        workflows=["w", "ü"],
        instanceId="i",
        expiresIn=60_000,
    )
    caller = client.services.gatekeeper.authenticate(f"bearer  {issued['token']} ")
    assert caller.scopes == {Scope.READ, Scope.WRITE}
    assert caller.restrictions == Restrictions(("tü", "1"), ("w", "ü"), "i")
    assert caller.expires_at is not None
    assert 50 < caller.expires_at - time.time() <= 60
    assert issued["expiresAt"].endswith("Z")


def test_a_token_may_only_read_by_default() -> None:
    client = Client()
    reader = bearer(client, unrestricted_token(client)["token"])
    assert reader("{ instances { totalCount } }") == {"instances": {"totalCount": 0}}
    with pytest.raises(AccessError) as refusal:
        Writer(reader).start()
    assert refusal.value.code == "FORBIDDEN"


def test_only_an_unrestricted_admin_creates_tokens() -> None:
    client = Client()
    forbidden(lambda: unrestricted_token(client.as_(principal(Scope.WRITE))))
    limited_admin = token(client, scopes=["ADMIN"], instanceId="i")["token"]
    forbidden(lambda: unrestricted_token(bearer(client, limited_admin)))
    admin = bearer(client, unrestricted_token(client, scopes=["ADMIN"], expiresIn=60_000)["token"])
    # A token made with a token does not outlive it.
    child = bearer(client, unrestricted_token(admin, expiresIn=3_600_000)["token"])
    assert child.caller.expires_at is not None
    assert child.caller.expires_at == admin.caller.expires_at


def test_an_invalid_token_input_is_refused_with_its_path() -> None:
    client = Client()
    for given, path in (
        ({"scopes": []}, "scopes"),
        ({"expiresIn": 0}, "expiresIn"),
        ({"expiresIn": 59_999}, "expiresIn"),
        ({"expiresIn": 30 * 86_400_000 + 1}, "expiresIn"),
        ({"workflows": ["w"] * 101}, "workflows"),
        ({"instanceId": ""}, "instanceId"),
    ):
        assert failure(token(client, **given)) == ("INVALID_INPUT", f"input.{path}")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"reference": None, "workflows": None, "instanceId": None},
        {"unrestricted": False},
        {"unrestricted": None, "reference": None},
        {"unrestricted": True, "instanceId": "i"},
        {"unrestricted": True, "workflows": []},
    ],
)
def test_a_token_without_restrictions_needs_unrestricted(given: dict[str, Any]) -> None:
    client = Client()
    assert failure(token(client, **given)) == ("INVALID_INPUT", "input.unrestricted")
    # The same if the variable of a restriction is missing.
    query = """mutation ($ref: ReferenceInput) { r: createAccessToken(input: {scopes: [READ],
      reference: $ref}) { __typename ... on InvalidInput { code path } } }"""
    assert failure(client(query)["r"]) == ("INVALID_INPUT", "input.unrestricted")


def refused(gatekeeper: Gatekeeper, authorization: str | None) -> str:
    """The message with which a caller is refused."""
    with pytest.raises(AccessError) as refusal:
        gatekeeper.authenticate(authorization)
    assert (refusal.value.code, refusal.value.status) == ("UNAUTHENTICATED", 401)
    return refusal.value.message


def issue(gatekeeper: Gatekeeper, seconds: int = 60) -> str:
    """A token that the gatekeeper signs."""
    claims = token_claims([Scope.READ], Restrictions(instance_id="i"), int(time.time()) + seconds)
    return gatekeeper.issue(claims)


def test_a_token_that_was_changed_anywhere_is_not_valid() -> None:
    gatekeeper = Gatekeeper(admin="secret")
    good = issue(gatekeeper)
    assert gatekeeper.authenticate(f"Bearer {good}").restrictions.instance_id == "i"
    wider, _, _ = gatekeeper.issue({"scopes": ["ADMIN"], "exp": 2**40}).rpartition(".")
    changed = [
        good[:n] + ("A" if good[n] != "A" else "B") + good[n + 1 :] for n in range(4, len(good))
    ]
    changed += [good[:-1], good + "A", f"{wider}.{good.rpartition('.')[2]}"]
    for text in (*changed, "fft_", "fft_.", "fft_ü.ü"):
        assert "not valid" in refused(gatekeeper, f"Bearer {text}")


def test_a_token_ends() -> None:
    gatekeeper = Gatekeeper(admin="secret")
    assert "expired" in refused(gatekeeper, f"Bearer {issue(gatekeeper, 0)}")


def test_a_token_of_another_key_is_not_valid() -> None:
    stranger = issue(Gatekeeper(admin="other"))
    assert "not valid" in refused(Gatekeeper(admin="secret"), f"Bearer {stranger}")
    assert "not valid" in refused(Gatekeeper(read="other"), f"Bearer {stranger}")


def test_keys_can_be_rotated_one_after_the_other() -> None:
    old, both, new = Gatekeeper(admin="a"), Gatekeeper(admin="b a"), Gatekeeper(admin="b")
    before, between = issue(old), issue(both)
    for text in (before, between):
        assert both.authenticate(f"Bearer {text}").scopes == {Scope.READ}
    for key in ("a", "b"):
        assert Scope.ADMIN in both.authenticate(f"Bearer {key}").scopes
    assert new.authenticate(f"Bearer {between}").scopes == {Scope.READ}
    assert "not valid" in refused(new, f"Bearer {before}")
    assert "not valid" in refused(new, "Bearer a")


def test_each_key_allows_its_scopes_on_everything() -> None:
    gatekeeper = Gatekeeper(admin="a", write="w1\n w2", read="r ü")
    for key, scopes in (
        ("a", {Scope.READ, Scope.WRITE, Scope.ADMIN}),
        ("w1", {Scope.READ, Scope.WRITE}),
        ("w2", {Scope.READ, Scope.WRITE}),
        ("r", {Scope.READ}),
        ("ü", {Scope.READ}),
    ):
        caller = gatekeeper.authenticate(f"Bearer {key}")
        assert (set(caller.scopes), caller.is_restricted, caller.expires_at) == (
            scopes,
            False,
            None,
        )


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic a", "a", "Bearer b", "Bearer a a"]
)
def test_a_caller_without_a_valid_key_is_refused(authorization: str | None) -> None:
    refused(Gatekeeper(admin="a"), authorization)
    refused(Gatekeeper(), authorization)


def test_a_reader_cannot_write() -> None:
    writer = Writer(Client(caller=principal(Scope.READ)))
    for call in (writer.start, writer.update, writer.track, writer.register):
        with pytest.raises(AccessError) as refusal:
            call()
        assert refusal.value.code == "FORBIDDEN"
    assert writer.database.batches == []
