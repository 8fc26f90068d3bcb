"""The tracker's server: rounds as the edge asks for them, in JSON."""

import json
from typing import Any

import pytest

from resolvers.base.limits import MAX_PREFETCH_STATEMENTS
from resolvers.ports.database import DatabaseError
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.serving import EVENTS, INSTANCE, Socket, look, serving, token
from tests.support.writing import Writer
from tracker_do import polling as rounds
from tracker_do import server as module

END = 2**53 - 1  # behind every event


def test_a_round_is_told_as_moves_with_the_text_of_the_root_field() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    events, instance = socket.follow(EVENTS, "e"), socket.follow(INSTANCE, "i")
    round_ = look(socket.server, [(events, ""), (instance, "")], registered=False)
    assert (round_["position"], round_["more"], round_["refused"]) == (0, False, [])
    # Of the log there is nothing to tell yet; the object is told as it is.
    assert round_["moves"] == [[0, None, None], [1, None, "0" * 16 + "null"]]
    Writer(Client(database)).create("RUNNING")
    round_ = look(socket.server, [(events, None), (instance, None)])
    assert round_["keys"] == ["e", "instance"]
    (*first, page), second = round_["moves"]
    assert first == [0, None]
    assert second == [1, None, f'{1:016}{{"status":"RUNNING"}}']
    assert page.startswith(f"{1:016}{{")
    page = json.loads(page[16:])
    assert (page["cursor"], len(page["events"])) == ("0000000000000001", 1)


def test_a_round_of_live_groups_says_how_it_is_made_again() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    documents = [(EVENTS, "e"), (INSTANCE, "i")]
    groups = [(socket.follow(document, name), None) for document, name in documents]
    again = look(socket.server, groups)["again"]
    writer = Writer(Client(database))
    writer.create("RUNNING")
    writer.step("RUNNING")
    for position in range(4):
        for window in (1, 2, 100):
            told = look(socket.server, groups, position=position, window=window)
            repeated = repeat(database, again, position=position, window=window)
            assert repeated == [told["position"], [text for *_, text in told["moves"]]]


def test_what_a_poke_brings_is_what_a_round_from_the_mark_on_reads() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    documents = [(EVENTS, "e"), (INSTANCE, "i")]
    groups = [(socket.follow(document, name), None) for document, name in documents]
    again = look(socket.server, groups, registered=False)["again"]
    assert again["light"] is True
    writer = Writer(Client(database))
    writer.create("RUNNING")
    writer.step("RUNNING")
    for position in range(4):
        database.rows("UPDATE trackers SET marked=?", position)
        carried = repeat(database, again, position=None, window=END)
        assert carried == repeat(database, again, position=position, window=END)


def test_without_a_mark_nothing_is_brought() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    groups = [(socket.follow(EVENTS), None), (socket.follow(INSTANCE, "i"), None)]
    again = look(socket.server, groups)["again"]
    Writer(Client(database)).create("RUNNING")
    assert repeat(database, again, position=None, window=END)[1] == [None, None]


@pytest.mark.parametrize(
    ("selected", "light"),
    [
        ("events { type instance { instanceId workflow { name } } }", True),
        ("events { instance { events(first: 48) { events { type } } } }", True),
        ("events { instance { events(first: 49) { events { type } } } }", False),
    ],
)
def test_only_little_is_read_with_a_write(selected: str, light: bool) -> None:
    socket = Socket(serving()[0])
    digest = socket.follow(f"subscription {{ workflowEvents {{ {selected} }} }}")
    assert look(socket.server, [(digest, None)])["again"]["light"] is light


def test_only_few_feeds_are_read_with_a_write() -> None:
    socket = Socket(serving()[0])
    groups = [(follow_workflow(socket, str(n)), None) for n in range(MAX_PREFETCH_STATEMENTS + 1)]
    assert look(socket.server, groups)["again"]["light"] is False
    assert look(socket.server, groups[1:])["again"]["light"] is True


def repeat(
    database: SqliteD1, again: dict[str, Any], *, position: int | None, window: int
) -> list[Any]:
    """The position and the texts of a round as the edge makes it (see repeat.mjs); without a
    position, from the mark on."""
    [[head]] = database.rows(again["head"][0])
    end = window if position is None else position + window
    texts = []
    for sql, parameters, after, to in again["reads"]:
        for index in after:
            parameters[index] = position
        for index in to:
            parameters[index] = end
        # As D1 binds numbers.
        bound = [float(value) if isinstance(value, int) else value for value in parameters]
        rows = database.connection.execute(sql, bound).fetchall()
        texts.append(rows[0][0] if rows else None)
    return [min(end, head), texts]


@pytest.mark.parametrize("places", [("",), ("0",), (None, "0"), ("7",)])
def test_a_round_with_somebody_who_is_not_live_is_not_made_again(
    places: tuple[str | None, ...],
) -> None:
    socket = Socket(serving()[0])
    groups = [(follow_workflow(socket, str(n)), place) for n, place in enumerate(places)]
    assert "again" not in look(socket.server, groups)


def test_a_round_that_asks_first_what_happened_is_not_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "MAX_POLL_STATEMENTS", 2)
    socket = Socket(serving()[0])
    digests = [follow_workflow(socket, name) for name in "abc"]
    assert "again" not in look(socket.server, [(digest, None) for digest in digests])
    assert "again" in look(socket.server, [(digest, None) for digest in digests[1:]])


def test_a_refused_group_is_told_with_its_errors() -> None:
    socket = Socket(serving()[0])
    digest = socket.follow(EVENTS)
    round_ = look(socket.server, [(digest, "5"), (digest, "")])
    [(number, [error])] = round_["refused"]
    assert (number, error["extensions"]["code"]) == (0, "INVALID_ARGUMENT")
    assert round_["moves"] == [[1, None, None]]
    assert "again" not in round_


def test_a_feed_is_made_anew_from_its_definition() -> None:
    database = SqliteD1()
    asleep, host = serving(database)
    limited = token(host.services.gatekeeper, ref=["t", "☃"], workflows=["w", "é"])
    sockets = [Socket(asleep), Socket(asleep, limited)]
    given = {"f": {"workflow": ["w"]}, "after": "0" * 16}
    groups = [(s.follow(EVENTS, variables=given), "0") for s in sockets]
    groups.append((sockets[0].follow(INSTANCE, "i"), ""))
    writer = Writer(Client(database))
    writer.create("RUNNING", reference={"refType": "t", "refId": "☃"})
    writer.create("RUNNING", "j")
    told = look(asleep, groups)
    assert len(told["moves"]) == 3
    awake, _ = serving(database)
    assert sorted(look(awake, groups)["unknown"]) == sorted(digest for digest, _ in groups)
    definitions = {**sockets[0].feeds, **sockets[1].feeds}
    assert look(awake, groups, definitions=definitions) == told
    # And is known from then on.
    assert look(awake, groups) == told


def test_a_definition_that_is_made_anew_has_the_same_digest() -> None:
    for key in ("admin", "read"):
        one, other = Socket(serving()[0], key), Socket(serving()[0], key)
        given = {"f": {"type": ["STEP_FAILED"], "workflow": []}}
        digests = {socket.follow(EVENTS, variables=given) for socket in (one, other)}
        assert len(digests) == 1
        assert one.feeds == other.feeds


def test_feeds_that_were_used_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBSCRIPTION_PLAN_CACHE_SIZE", 3)
    socket = Socket(serving()[0])
    digests = [follow_workflow(socket, name) for name in "abcd"]
    assert look(socket.server, [(digest, None) for digest in digests]) == {"unknown": digests[:1]}


def test_a_shard_may_have_more_feeds_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBSCRIPTION_PLAN_CACHE_SIZE", 3)
    socket = Socket(serving()[0])
    digests = [follow_workflow(socket, name) for name in "abcde"]
    for order in (digests, digests[::-1], digests[2:] + digests[:2]):
        groups = [(digest, None) for digest in order]
        unknown = look(socket.server, groups)["unknown"]
        definitions = {digest: socket.feeds[digest] for digest in unknown}
        round_ = look(socket.server, groups, definitions=definitions)
        assert "moves" in round_, f"asked for {unknown}, and then for {round_['unknown']}"
        assert [number for number, *_ in round_["moves"]] == [0, 1, 2, 3, 4]


def follow_workflow(socket: Socket, name: str) -> str:
    """The digest of the feed of a workflow's events."""
    return socket.follow(EVENTS, name, variables={"f": {"workflow": [name]}})


def test_a_shard_that_nobody_subscribes_to_is_not_poked_any_more() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    look(socket.server, [(socket.follow(EVENTS), "")], registered=False)
    assert database.rows("SELECT shard FROM trackers") == [("tracker-0",)]
    assert look(socket.server, []) == {"left": True}
    assert database.rows("SELECT shard FROM trackers") == []
    assert look(socket.server, []) == {"left": True}


def test_a_round_whose_database_does_not_answer_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    digest = socket.follow(EVENTS)

    async def silent(*_: Any, **__: Any) -> Any:
        raise DatabaseError("D1_ERROR: Network connection lost.")

    monkeypatch.setattr(database, "batch", silent)
    assert look(socket.server, [(digest, "")]) == {"failed": "D1_ERROR: Network connection lost."}
    with pytest.raises(DatabaseError):
        look(socket.server, [])
