"""The tracker's server: polls, in the JSON that JavaScript exchanges."""

import json
from typing import Any

import pytest

from resolvers.base.limits import MAX_PREFETCH_STATEMENTS
from resolvers.ports.database import DatabaseError
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.serving import EVENTS, INSTANCE, Socket, poll, serving, token
from tests.support.writing import Writer
from tracker_do import definitions as definitions_module
from tracker_do import polling

END = 2**53 - 1  # after every event


def test_a_poll_gives_advances_with_the_text_of_the_root_field() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    events, instance = socket.plan_of(EVENTS, "e"), socket.plan_of(INSTANCE, "i")
    result = poll(socket.server, [(events, ""), (instance, "")], registered=False)
    assert (result["livePosition"], result["more"], result["refused"]) == (0, False, [])
    # There is no event yet; the object is rendered as it is.
    assert result["advances"] == [[0, None, None], [1, None, "0" * 16 + "null"]]
    Writer(Client(database)).create("RUNNING")
    result = poll(socket.server, [(events, None), (instance, None)])
    assert result["keys"] == ["e", "instance"]
    (*first, page), second = result["advances"]
    assert first == [0, None]
    assert second == [1, None, f'{1:016}{{"status":"RUNNING"}}']
    assert page.startswith(f"{1:016}{{")
    page = json.loads(page[16:])
    assert (page["cursor"], len(page["events"])) == ("0000000000000001", 1)


def test_a_poll_of_live_groups_gives_a_template_of_the_next() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    documents = [(EVENTS, "e"), (INSTANCE, "i")]
    groups = [(socket.plan_of(document, name), None) for document, name in documents]
    template = poll(socket.server, groups)["template"]
    writer = Writer(Client(database))
    writer.create("RUNNING")
    writer.step("RUNNING")
    for position in range(4):
        for window in (1, 2, 100):
            polled = poll(socket.server, groups, live_position=position, window=window)
            repeated = repeat(database, template, position=position, window=window)
            assert repeated == [polled["livePosition"], [text for *_, text in polled["advances"]]]


def test_a_prefetch_reads_the_same_as_a_poll_from_the_stored_head() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    documents = [(EVENTS, "e"), (INSTANCE, "i")]
    groups = [(socket.plan_of(document, name), None) for document, name in documents]
    template = poll(socket.server, groups, registered=False)["template"]
    assert template["isPrefetchable"] is True
    writer = Writer(Client(database))
    writer.create("RUNNING")
    writer.step("RUNNING")
    for position in range(4):
        database.rows("UPDATE trackers SET marked=?", position)
        prefetched = repeat(database, template, position=None, window=END)
        assert prefetched == repeat(database, template, position=position, window=END)


def test_a_prefetch_without_a_stored_head_reads_nothing() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    groups = [(socket.plan_of(EVENTS), None), (socket.plan_of(INSTANCE, "i"), None)]
    template = poll(socket.server, groups)["template"]
    Writer(Client(database)).create("RUNNING")
    assert repeat(database, template, position=None, window=END)[1] == [None, None]


@pytest.mark.parametrize(
    ("selected", "is_prefetchable"),
    [
        ("events { type instance { instanceId workflow { name } } }", True),
        ("events { instance { events(first: 48) { events { type } } } }", True),
        ("events { instance { events(first: 49) { events { type } } } }", False),
    ],
)
def test_only_small_selections_are_prefetched(selected: str, is_prefetchable: bool) -> None:
    socket = Socket(serving()[0])
    digest = socket.plan_of(f"subscription {{ workflowEvents {{ {selected} }} }}")
    assert poll(socket.server, [(digest, None)])["template"]["isPrefetchable"] is is_prefetchable


def test_only_few_plans_are_prefetched() -> None:
    socket = Socket(serving()[0])
    groups = [(plan_of_workflow(socket, str(n)), None) for n in range(MAX_PREFETCH_STATEMENTS + 1)]
    assert poll(socket.server, groups)["template"]["isPrefetchable"] is False
    assert poll(socket.server, groups[1:])["template"]["isPrefetchable"] is True


def repeat(
    database: SqliteD1, template: dict[str, Any], *, position: int | None, window: int
) -> list[Any]:
    """The live position and the texts of a poll from a template, as in repeated_poll.mjs. Without
    a position, it begins at the head that a write has stored."""
    [[head]] = database.rows(template["head"][0])
    end = window if position is None else position + window
    texts = []
    for sql, parameters, after, to in template["reads"]:
        for index in after:
            parameters[index] = position
        for index in to:
            parameters[index] = end
        # As D1 binds numbers.
        bound = [float(value) if isinstance(value, int) else value for value in parameters]
        rows = database.connection.execute(sql, bound).fetchall()
        texts.append(rows[0][0] if rows else None)
    return [min(end, head), texts]


@pytest.mark.parametrize("positions", [("",), ("0",), (None, "0"), ("7",)])
def test_a_poll_with_a_group_that_is_not_live_gives_no_template(
    positions: tuple[str | None, ...],
) -> None:
    socket = Socket(serving()[0])
    groups = [(plan_of_workflow(socket, str(n)), position) for n, position in enumerate(positions)]
    assert "template" not in poll(socket.server, groups)


def test_a_poll_that_first_reads_what_events_are_about_gives_no_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "MAX_POLL_STATEMENTS", 2)
    socket = Socket(serving()[0])
    digests = [plan_of_workflow(socket, name) for name in "abc"]
    assert "template" not in poll(socket.server, [(digest, None) for digest in digests])
    assert "template" in poll(socket.server, [(digest, None) for digest in digests[1:]])


def test_a_refused_group_is_listed_with_its_errors() -> None:
    socket = Socket(serving()[0])
    digest = socket.plan_of(EVENTS)
    result = poll(socket.server, [(digest, "5"), (digest, "")])
    [(number, [error])] = result["refused"]
    assert (number, error["extensions"]["code"]) == (0, "INVALID_ARGUMENT")
    assert result["advances"] == [[1, None, None]]
    assert "template" not in result


def test_a_plan_is_compiled_again_from_its_definition() -> None:
    database = SqliteD1()
    asleep, host = serving(database)
    limited = token(host.services.gatekeeper, ref=["t", "☃"], workflows=["w", "é"])
    sockets = [Socket(asleep), Socket(asleep, limited)]
    given = {"f": {"workflow": ["w"]}, "after": "0" * 16}
    groups = [(s.plan_of(EVENTS, variables=given), "0") for s in sockets]
    groups.append((sockets[0].plan_of(INSTANCE, "i"), ""))
    writer = Writer(Client(database))
    writer.create("RUNNING", reference={"refType": "t", "refId": "☃"})
    writer.create("RUNNING", "j")
    before = poll(asleep, groups)
    assert len(before["advances"]) == 3
    awake, _ = serving(database)
    assert sorted(poll(awake, groups)["unknown"]) == sorted(digest for digest, _ in groups)
    definitions = {**sockets[0].definitions, **sockets[1].definitions}
    assert poll(awake, groups, definitions=definitions) == before
    # The plans are cached from then on.
    assert poll(awake, groups) == before


def test_equal_subscriptions_have_the_same_definition_and_digest() -> None:
    for key in ("admin", "read"):
        one, other = Socket(serving()[0], key), Socket(serving()[0], key)
        given = {"f": {"type": ["STEP_FAILED"], "workflow": []}}
        digests = {socket.plan_of(EVENTS, variables=given) for socket in (one, other)}
        assert len(digests) == 1
        assert one.definitions == other.definitions


def test_plans_that_were_used_longest_ago_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions_module, "SUBSCRIPTION_PLAN_CACHE_SIZE", 3)
    socket = Socket(serving()[0])
    digests = [plan_of_workflow(socket, name) for name in "abcd"]
    assert poll(socket.server, [(digest, None) for digest in digests]) == {"unknown": digests[:1]}


def test_a_shard_may_have_more_plans_than_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions_module, "SUBSCRIPTION_PLAN_CACHE_SIZE", 3)
    socket = Socket(serving()[0])
    digests = [plan_of_workflow(socket, name) for name in "abcde"]
    for order in (digests, digests[::-1], digests[2:] + digests[:2]):
        groups = [(digest, None) for digest in order]
        unknown = poll(socket.server, groups)["unknown"]
        definitions = {digest: socket.definitions[digest] for digest in unknown}
        result = poll(socket.server, groups, definitions=definitions)
        assert "advances" in result, f"asked for {unknown}, and then for {result['unknown']}"
        assert [number for number, *_ in result["advances"]] == [0, 1, 2, 3, 4]


def plan_of_workflow(socket: Socket, name: str) -> str:
    """The digest of the plan of a workflow's events."""
    return socket.plan_of(EVENTS, name, variables={"f": {"workflow": [name]}})


def test_a_shard_without_subscribers_is_not_notified_any_more() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    poll(socket.server, [(socket.plan_of(EVENTS), "")], registered=False)
    assert database.rows("SELECT shard FROM trackers") == [("tracker-0",)]
    assert poll(socket.server, []) == {"unregistered": True}
    assert database.rows("SELECT shard FROM trackers") == []
    assert poll(socket.server, []) == {"unregistered": True}


def test_a_poll_fails_if_the_database_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    digest = socket.plan_of(EVENTS)

    async def silent(*_: Any, **__: Any) -> Any:
        raise DatabaseError("D1_ERROR: Network connection lost.")

    monkeypatch.setattr(database, "batch", silent)
    assert poll(socket.server, [(digest, "")]) == {"failed": "D1_ERROR: Network connection lost."}
    with pytest.raises(DatabaseError):
        poll(socket.server, [])
