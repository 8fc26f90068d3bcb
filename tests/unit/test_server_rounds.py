"""The tracker's server: rounds as the edge asks for them, in JSON."""

from typing import Any

import pytest

from resolvers.database import DatabaseError
from tests.support.client import Client
from tests.support.d1 import SqliteD1
from tests.support.serving import EVENTS, INSTANCE, Socket, framed, look, serving, token
from tests.support.writing import Writer
from tracker_do import server as module


def test_a_round_is_told_as_moves_whose_tails_complete_a_frame() -> None:
    database = SqliteD1()
    socket = Socket(serving(database)[0])
    events, instance = socket.follow(EVENTS, "e"), socket.follow(INSTANCE, "i")
    round_ = look(socket.server, [(events, ""), (instance, "")], registered=False)
    assert (round_["position"], round_["more"], round_["refused"]) == (0, False, [])
    # Of the log there is nothing to tell yet; the object is told as it is.
    first, (number, place, *tail) = round_["moves"]
    assert (first, number, place) == ([0, None], 1, None)
    cursor = {"cursor": "0" * 16}
    assert framed("i", tail)["payload"] == {"data": {"instance": None}, "extensions": cursor}
    Writer(Client(database)).create("RUNNING")
    round_ = look(socket.server, [(events, None), (instance, None)])
    frames = {number: framed("\ud800", tail) for number, _, *tail in round_["moves"]}
    assert frames[1] == {
        "id": "\ud800",
        "type": "next",
        "payload": {
            "data": {"instance": {"status": "RUNNING"}},
            "extensions": {"cursor": "0000000000000001"},
        },
    }
    page = frames[0]["payload"]["data"]["e"]
    assert (page["cursor"], len(page["events"])) == ("0000000000000001", 1)


def test_a_refused_group_is_told_with_its_errors() -> None:
    socket = Socket(serving()[0])
    digest = socket.follow(EVENTS)
    round_ = look(socket.server, [(digest, "5"), (digest, "")])
    [(number, [error])] = round_["refused"]
    assert (number, error["extensions"]["code"]) == (0, "INVALID_ARGUMENT")
    assert round_["moves"] == [[1, None]]


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
    monkeypatch.setattr(module, "FEED_CACHE_SIZE", 3)
    socket = Socket(serving()[0])
    digests = [follow_workflow(socket, name) for name in "abcd"]
    assert look(socket.server, [(digest, None) for digest in digests]) == {"unknown": digests[:1]}


def test_a_shard_may_have_more_feeds_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEED_CACHE_SIZE", 3)
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
