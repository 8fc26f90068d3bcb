"""An instance is identified by its workflow and its id; an id alone may be ambiguous."""

from typing import Any

import pytest

from resolvers.access.principals import Restrictions, principal
from resolvers.base.limits import MAX_SAME_ID, MAX_SUGGESTIONS
from resolvers.base.vocabulary import Scope
from resolvers.executing.reporting import report
from resolvers.ports.database import DatabaseError
from tests.support.engines import RecordingEngine
from tests.support.polls import ALL, code, poll
from tests.support.subscribing import INSTANCE, plan_of
from tests.support.writing import Writer

# A name that must be quoted in SQL, in JSON and in a message of SQLite.
_ODD = """it's ''the'' "other" \\ {v} ?1 ☃"""


def both(engine: RecordingEngine | None = None) -> Writer:
    """Running instances `i` of the workflows `w` and `_ODD`, with different references."""
    writer = Writer(engine=engine or RecordingEngine("w", _ODD))
    for workflow, ref_id in (("w", "1"), (_ODD, "2")):
        reference = {"refType": "t", "refId": ref_id}
        writer.update(workflow=workflow, status="RUNNING", reference=reference)
    return writer


_WRITES: dict[str, Any] = {
    "instance": lambda w, **given: w.update(output=1, **given),
    "no change": lambda w, **given: w.update(status="RUNNING", **given),
    "step": lambda w, **given: w.step("RUNNING", **given),
    "failed attempt": lambda w, **given: w.step(
        "FAILED", attempt=2, error={"message": "x"}, **given
    ),
    "pause": lambda w, **given: w.act("pause", **given),
    "restart": lambda w, **given: w.act("restart", **given),
}


@pytest.mark.parametrize("name", _WRITES)
def test_a_write_by_id_alone_is_refused_with_the_instances_that_have_it(name: str) -> None:
    writer = both()
    state, head = writer.state(), writer.head()
    result = _WRITES[name](writer)
    assert result["__typename"] == "AmbiguousInstance"
    assert result["code"] == "AMBIGUOUS"
    assert result["instances"] == [
        {"instanceId": "i", "workflow": {"name": _ODD}},
        {"instanceId": "i", "workflow": {"name": "w"}},
    ]
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("workflow", ["w", _ODD])
@pytest.mark.parametrize("name", _WRITES)
def test_a_workflow_selects_one_of_them(name: str, workflow: str) -> None:
    writer = both()
    other = writer.read(workflow=({"w", _ODD} - {workflow}).pop())
    result = _WRITES[name](writer, workflow=workflow)
    assert result["__typename"] in ("InstancePayload", "StepPayload"), result
    assert writer.read(workflow=other["workflow"]["name"]) == other
    changed = writer.database.rows("SELECT DISTINCT instance FROM steps")
    [(number,)] = writer.database.rows("SELECT id FROM instances WHERE workflow=?1", workflow)
    assert changed in ([], [(number,)])


# The others create the instance.
@pytest.mark.parametrize("name", ["step", "failed attempt", "pause", "restart"])
def test_an_id_that_another_workflow_has_is_not_found_in_this_one(name: str) -> None:
    writer = Writer(engine=RecordingEngine("w", "v"))
    writer.create("RUNNING")
    state = writer.state()
    assert _WRITES[name](writer, workflow="v")["__typename"] == "NotFound"
    assert writer.state() == state


def test_in_a_batch_each_update_selects_its_own_instance() -> None:
    writer = both()
    by_id = {"instanceId": "i", "output": 1}
    result = writer.track({"instance": {**by_id, "workflow": "w"}}, {"instance": by_id})
    assert result["__typename"] == "AmbiguousInstance"
    assert writer.read(workflow="w")["output"] is None
    result = writer.track(
        *({"instance": {**by_id, "workflow": workflow}} for workflow in ("w", _ODD))
    )
    assert result["applied"] == 2


def test_a_read_by_id_alone_is_refused_with_the_names_of_the_workflows() -> None:
    writer = both()
    query = '{ workflows { totalCount } it: instance(instanceId: "i") { status } }'
    with pytest.raises(DatabaseError) as failed:
        writer.client(query)
    [error] = report(failed.value).errors
    assert error["path"] == ["it"]
    assert error["extensions"] == {"code": "AMBIGUOUS", "workflows": [_ODD, "w"]}
    assert writer.read("absent") is None
    assert writer.read(workflow="absent") is None
    assert writer.read(workflow=_ODD)["workflow"] == {"name": _ODD}


def test_only_visible_instances_make_an_id_ambiguous() -> None:
    owner = both()
    for restrictions, workflow in (
        (Restrictions(reference=("t", "1")), "w"),
        (Restrictions(workflows=(_ODD, "x")), _ODD),
    ):
        caller = principal(Scope.WRITE, restrictions=restrictions)
        guest = Writer(owner.client.as_(caller), RecordingEngine("w", _ODD))
        assert guest.read()["workflow"] == {"name": workflow}
        assert guest.update(output=workflow)["instance"]["workflow"] == {"name": workflow}
        assert guest.step("RUNNING")["__typename"] == "StepPayload"
        assert guest.act("pause")["instance"]["status"] == "PAUSED"
        assert owner.read(workflow=workflow)["output"] == workflow


def test_a_refusal_lists_the_visible_instances_only_and_not_too_many() -> None:
    owner = both()
    for number in range(MAX_SAME_ID):
        owner.update(workflow=f"x{number}")
    assert len(owner.step("RUNNING")["instances"]) == MAX_SAME_ID
    with pytest.raises(DatabaseError) as failed:
        owner.read()
    [error] = report(failed.value).errors
    assert len(error["extensions"]["workflows"]) == MAX_SAME_ID
    caller = principal(Scope.WRITE, restrictions=Restrictions(workflows=("w", "x1", "x2")))
    guest = Writer(owner.client.as_(caller))
    listed = [found["workflow"]["name"] for found in guest.step("RUNNING")["instances"]]
    assert listed == ["w", "x1", "x2"]


def test_a_subscription_by_id_alone_is_refused_once_a_second_instance_has_the_id() -> None:
    writer = Writer()
    writer.create("RUNNING")
    alone, named = plan_of(INSTANCE, id="i"), plan_of(INSTANCE, id="i", workflow="w")
    groups = [(alone, None), (named, None), (ALL, None)]
    assert poll(writer.database, *groups).refused == {}
    writer.update(workflow="v")
    result = poll(writer.database, *groups)
    assert {number: code(errors)[0] for number, errors in result.refused.items()} == {
        0: "AMBIGUOUS"
    }


_TOKEN = """mutation ($v: CreateAccessTokenInput!) { r: createAccessToken(input: $v) { __typename
  ... on InvalidInput { code path } ... on AccessTokenPayload { token }
  ... on AmbiguousInstance { code instances { workflow { name } } } } }"""


def token_of(writer: Writer, **given: Any) -> str:
    """A new token."""
    token: str = writer.client(_TOKEN, v=given)["r"]["token"]
    return token


def seen_by(writer: Writer, token: str) -> list[str]:
    """The workflows of the instances that the bearer of a token sees."""
    caller = writer.client.services.gatekeeper.authenticate(f"Bearer {token}")
    page = writer.client.as_(caller)("{ instances { nodes { workflow { name } } } }")
    return sorted(node["workflow"]["name"] for node in page["instances"]["nodes"])


def test_a_token_by_id_is_refused_while_the_id_is_ambiguous() -> None:
    writer = both()
    result = writer.client(_TOKEN, v={"instanceId": "i"})["r"]
    assert (result["__typename"], result["code"]) == ("AmbiguousInstance", "AMBIGUOUS")
    assert result["instances"] == [{"workflow": {"name": _ODD}}, {"workflow": {"name": "w"}}]
    given: list[tuple[dict[str, Any], str]] = [
        ({"workflow": "w"}, "w"),
        ({"workflows": ["x", _ODD]}, _ODD),
        ({"reference": {"refType": "t", "refId": "1"}}, "w"),
    ]
    for restriction, workflow in given:
        assert seen_by(writer, token_of(writer, instanceId="i", **restriction)) == [workflow]


def test_a_token_by_id_is_for_the_instance_that_has_it_at_the_time() -> None:
    writer = Writer()
    writer.create("RUNNING")
    token, early = (token_of(writer, instanceId=instance_id) for instance_id in ("i", "later"))
    writer.update(workflow="v")
    writer.update("later", workflow="v")
    assert seen_by(writer, token) == ["w"]
    assert seen_by(writer, early) == ["v"]


@pytest.mark.parametrize(
    "given",
    [
        {"workflow": "w"},
        {"workflow": "w", "reference": {"refType": "t", "refId": "1"}},
        {"workflow": "w", "instanceId": "i", "workflows": ["w"]},
        {"workflow": "", "instanceId": "i"},
    ],
)
def test_the_workflow_of_a_token_is_that_of_its_instance(given: dict[str, Any]) -> None:
    result = Writer().client(_TOKEN, v=given)["r"]
    assert (result["code"], result["path"]) == ("INVALID_INPUT", ["input", "workflow"])


# --- starts that nothing would run


def test_an_unbound_start_is_refused_with_similar_names() -> None:
    writer = Writer(engine=RecordingEngine("onboarding", "on-boarding", "billing"))
    result = writer.start("onbording", trackOnly=False)
    assert (result["__typename"], result["code"]) == ("UnboundWorkflow", "UNBOUND_WORKFLOW")
    assert result["suggestions"][0] == "onboarding"
    assert "billing" not in result["suggestions"]
    assert "Did you mean 'onboarding'" in result["message"]
    assert writer.state() == Writer().state()


def test_the_suggestions_are_few_and_only_names_that_the_caller_may_start() -> None:
    names = [f"order-{number}" for number in range(20)]
    owner = Writer(engine=RecordingEngine(*names))
    assert len(owner.start("order-x", trackOnly=False)["suggestions"]) == MAX_SUGGESTIONS
    caller = principal(Scope.WRITE, restrictions=Restrictions(workflows=("order-x", "order-7")))
    guest = Writer(owner.client.as_(caller), RecordingEngine(*names))
    assert guest.start("order-x", trackOnly=False)["suggestions"] == ["order-7"]


def test_a_workflow_that_is_registered_as_track_only_may_be_started() -> None:
    writer = Writer(engine=RecordingEngine("bound"))
    assert writer.register("elsewhere", trackOnly=True)["workflow"]["trackOnly"] is True
    started = writer.start("elsewhere", instanceId="i", trackOnly=False)
    assert started["instance"]["status"] == "QUEUED"
    assert writer.register("elsewhere", trackOnly=None)["workflow"]["trackOnly"] is False
    assert writer.start("elsewhere", trackOnly=False)["code"] == "UNBOUND_WORKFLOW"
    # A start is idempotent: this one finds the instance, and creates none.
    again = writer.start("elsewhere", instanceId="i", trackOnly=False)
    assert again["instance"] == started["instance"]


def test_one_unbound_start_of_several_does_not_hinder_the_others() -> None:
    writer = Writer(engine=RecordingEngine("bound"))
    results = writer.starts(
        {"workflow": "bound", "instanceId": "1"},
        {"workflow": "unbound", "instanceId": "2", "trackOnly": False},
        {"workflow": "unbound", "instanceId": "3", "trackOnly": True},
    )
    assert [result["__typename"] for result in results] == [
        "InstancePayload",
        "UnboundWorkflow",
        "InstancePayload",
    ]


def test_a_bound_workflow_is_never_track_only() -> None:
    writer = Writer(engine=RecordingEngine("bound"))
    result = writer.start("bound", trackOnly=True)
    assert (result["code"], result["path"]) == ("INVALID_INPUT", ["input", "trackOnly"])
    result = writer.register("bound", trackOnly=True)
    assert (result["code"], result["path"]) == ("INVALID_INPUT", ["input", "trackOnly"])
    assert writer.state() == Writer().state()


# --- steps


def test_a_step_is_a_name_and_an_occurrence() -> None:
    writer = Writer()
    writer.create("RUNNING")
    for name, occurrence, output in (
        ("load", 1, "A"),
        ("load (2)", 1, "B"),
        ("load", 2, "C"),
        ("load", 2, "late"),
    ):
        writer.step("COMPLETED", name, occurrence=occurrence, output=output)
    steps = writer.database.rows("SELECT name,occurrence,step_index,output FROM steps ORDER BY id")
    assert steps == [
        ("load", 1, 1, '"A"'),
        ("load (2)", 1, 2, '"B"'),
        ("load", 2, 3, '"C"'),
    ]
    found = writer.client("""{ instance(instanceId: "i") { first: step(name: "load") { output }
      second: step(name: "load", occurrence: 2) { output }
      third: step(name: "load", occurrence: 3) { output } } }""")["instance"]
    assert found == {"first": {"output": "A"}, "second": {"output": "C"}, "third": None}


@pytest.mark.parametrize("occurrence", [0, -1, 1_000_001])
def test_an_occurrence_is_a_number_from_1(occurrence: int) -> None:
    writer = Writer()
    writer.create("RUNNING")
    result = writer.step("RUNNING", occurrence=occurrence)
    assert (result["code"], result["path"]) == ("INVALID_INPUT", ["input", "occurrence"])


_NAMES = [
    "", " ", "  ", "load", "load ", "load\n", "load\nrows", "load rows", "load\trows", "\u0000",
    "\ud800", "\udfff", "x" * 256, "x" * 257, "x" * 1_000, "y" + "x" * 256, "ü" * 300,
    "unnamed~00000000x",
]  # fmt: skip


def test_any_text_is_a_name_and_different_names_are_different_steps() -> None:
    writer = Writer()
    writer.create("RUNNING")
    query = """query ($n: String!) { instance(instanceId: "i") { step(name: $n) {
      id name output } } }"""
    for number, name in enumerate(_NAMES):
        result = writer.step("COMPLETED", name, output=number)
        assert result["__typename"] == "StepPayload", (name, result)
    assert len(writer.state()["steps"]) == len(_NAMES)
    for number, name in enumerate(_NAMES):
        step = writer.client(query, n=name)["instance"]["step"]
        assert step["output"] == number
        assert 1 <= len(step["name"]) <= 256
        assert step["name"].isprintable()
        node = writer.client(
            "query ($id: ID!) { node(id: $id) { ... on WorkflowStep { output } } }", id=step["id"]
        )
        assert node == {"node": {"output": number}}
