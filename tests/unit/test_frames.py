"""Messages of graphql-transport-ws: valid ones, and the reasons for refusing others."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.base.limits import MAX_BODY_DEPTH, MAX_OPERATION_ID
from tracker_do import frames
from tracker_do.frames import (
    ClientFrame,
    CloseCode,
    Complete,
    ConnectionInit,
    Malformed,
    Ping,
    Pong,
    Subscribe,
    SubscribePayload,
)


def parsed(value: object) -> Any:
    """Parse a message with this value."""
    return frames.parse(json.dumps(value))


def refused(message: str, *, problem: str = "") -> Malformed:
    """The refusal of a message."""
    with pytest.raises(Malformed) as refusal:
        frames.parse(message, problem=problem)
    return refusal.value


def parsed_or_refused(message: str) -> ClientFrame | Malformed:
    """The frame in a message, or its refusal."""
    try:
        return frames.parse(message)
    except Malformed as refusal:
        return refusal


# --- valid messages

_SIMPLE = {"connection_init": ConnectionInit, "ping": Ping, "pong": Pong}
_PAYLOADS: tuple[Any, ...] = (None, {}, {"authorization": "Bearer k"}, {"a": [1, {"b": None}]})


@pytest.mark.parametrize("payload", _PAYLOADS)
@pytest.mark.parametrize("name", _SIMPLE)
def test_a_payload_is_an_object_null_or_absent(name: str, payload: Any) -> None:
    assert parsed({"type": name, "payload": payload}) == _SIMPLE[name](type=name, payload=payload)
    assert parsed({"type": name}) == _SIMPLE[name](type=name, payload=None)


@pytest.mark.parametrize(
    "payload",
    [
        {"query": "{ a }"},
        {"query": ""},
        {"query": "{ a }", "variables": None, "operationName": None, "extensions": None},
        {"query": "{ a }", "variables": {}, "operationName": "", "extensions": {}},
        {"query": "{ a }", "variables": {"v": [1.5, "x"]}, "operationName": "A"},
        {"query": "{ a }", "extensions": {"after": 5, "persistedQuery": {}}},
    ],
)
def test_a_subscribe_carries_a_request(payload: dict[str, Any]) -> None:
    frame = parsed({"type": "subscribe", "id": "1", "payload": payload})
    assert frame == Subscribe(type="subscribe", id="1", payload=SubscribePayload(**payload))


def test_a_complete_names_its_operation() -> None:
    assert parsed({"type": "complete", "id": "x"}) == Complete(type="complete", id="x")


@pytest.mark.parametrize(
    ("message", "known"),
    [
        ({"type": "ping", "id": "1", "extra": [1]}, Ping(type="ping")),
        ({"type": "complete", "id": "1", "payload": 5}, Complete(type="complete", id="1")),
        (
            {"type": "subscribe", "id": "1", "x": 1, "payload": {"query": "q", "key": "value"}},
            Subscribe(type="subscribe", id="1", payload=SubscribePayload(query="q")),
        ),
    ],
)
def test_members_that_the_protocol_does_not_know_are_ignored(message: Any, known: Any) -> None:
    assert parsed(message) == known


@pytest.mark.parametrize(
    "message",
    [
        ' {"type":"ping"}\n',
        '{"\\u0074ype":"\\u0070ing"}',
        '{"type":"pong","type":"ping"}',
        '{"payload":null,"type":"ping"}',
    ],
)
def test_json_may_be_spelled_in_any_way(message: str) -> None:
    assert frames.parse(message) == Ping(type="ping")


@pytest.mark.parametrize("operation_id", ["0", " ", "\n", "ü☃\U0001f600", "\u0000", '"\\'])
def test_an_id_is_any_text(operation_id: str) -> None:
    assert parsed({"type": "complete", "id": operation_id}).id == operation_id


# --- invalid messages

_NO_FRAMES = {
    "nothing": "",
    "a space": " ",
    "a word": "ping",
    "a cut object": '{"type":"ping"',
    "two values": '{"type":"ping"}{}',
    "a comma too many": '{"type":"ping",}',
    "single quotes": "{'type':'ping'}",
    "NaN": '{"type":"ping","payload":{"a":NaN}}',
    "infinity": '{"type":"ping","payload":{"a":-Infinity}}',
    "a number of very many digits": '{"type":"ping","payload":{"a":1%s}}' % ("0" * 5_000),
    "a raw control character": '{"type":"ping","payload":{"a":"\n"}}',
    "half an escape": '{"type":"ping","payload":{"a":"\\u12"}}',
}


@pytest.mark.parametrize("name", _NO_FRAMES)
def test_a_message_that_is_not_json_closes_with_4400(name: str) -> None:
    refusal = refused(_NO_FRAMES[name])
    assert refusal.code is CloseCode.BAD_REQUEST
    assert refusal.reason.startswith("The message ")


_QUERY = {"query": "{ a }"}


def malformed() -> Iterator[tuple[Any, str]]:
    """JSON values that are not frames, with the place that the refusal names."""
    things: Any
    for things in (None, True, 1, 1.5, "ping", [], [{"type": "ping"}], {}):
        yield things, "message"
    for things in (None, 1, [], {}, ["ping"], "", "Ping", "ping ", "start", "stop", "\ud800"):
        yield {"type": things}, "message"
    # Only servers send these.
    yield {"type": "connection_ack"}, "message"
    yield {"type": "next", "id": "1", "payload": {"data": None}}, "message"
    yield {"type": "error", "id": "1", "payload": []}, "message"
    for name in _SIMPLE:
        for things in (0, False, "", "x", [], [1]):
            yield {"type": name, "payload": things}, f"{name}.payload"
    yield {"type": "complete"}, "complete.id"
    yield {"type": "subscribe", "payload": _QUERY}, "subscribe.id"
    for things in (None, 1, True, [], {}, "", "x" * (MAX_OPERATION_ID + 1), "\ud800"):
        yield {"type": "complete", "id": things}, "complete.id"
        yield {"type": "subscribe", "id": things, "payload": _QUERY}, "subscribe.id"
    yield {"type": "subscribe", "id": "1"}, "subscribe.payload"
    for things in (None, 1, "{ a }", [], [_QUERY]):
        yield {"type": "subscribe", "id": "1", "payload": things}, "subscribe.payload"
    members: dict[str, tuple[Any, ...]] = {
        "query": (None, 1, ["{ a }"], {}),
        "variables": (1, "{}", [], True),
        "extensions": (1, "{}", [], True),
        "operationName": (1, [], {}, False),
    }
    for name, values in members.items():
        for value in values:
            payload = {**_QUERY, name: value}
            yield {"type": "subscribe", "id": "1", "payload": payload}, f"subscribe.payload.{name}"
    yield {"type": "subscribe", "id": "1", "payload": {}}, "subscribe.payload.query"


@pytest.mark.parametrize(("value", "place"), list(malformed()))
def test_an_invalid_frame_closes_with_4400_and_names_the_place(value: Any, place: str) -> None:
    refusal = refused(json.dumps(value))
    assert refusal.code is CloseCode.BAD_REQUEST
    assert refusal.reason.startswith(f"{place}: ")


def test_an_id_is_at_most_as_long_as_the_limit() -> None:
    for character in ("x", "\U0001f600"):
        taken = parsed({"type": "complete", "id": character * MAX_OPERATION_ID})
        assert taken.id == character * MAX_OPERATION_ID
        refusal = refused(
            json.dumps({"type": "complete", "id": character * (MAX_OPERATION_ID + 1)})
        )
        assert str(MAX_OPERATION_ID) in refusal.reason


@pytest.mark.parametrize(
    ("problem", "code", "named"),
    [
        ("BINARY", 4400, "text"),
        ("TOO_LARGE", 1009, "MAX_FRAME_BYTES"),
        ("TOO_MANY", 4400, "MAX_INIT_FRAMES"),
        ("TOO_DEEP", 4400, "MAX_BODY_DEPTH"),
        ("TOO_MANY_VALUES", 4400, "MAX_BODY_VALUES"),
    ],
)
def test_a_message_that_javascript_has_refused_closes_the_socket(
    problem: str, code: int, named: str
) -> None:
    refusal = refused("", problem=problem)
    assert refusal.code == code
    assert named in refusal.reason
    assert len(refusal.reason) <= 123


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_message_is_nested_at_most_as_deep_as_the_limit(opening: str, closing: str) -> None:
    def deep(levels: int) -> str:
        # The frame and its payload are two levels.
        inner = opening * (levels - 2) + "1" + closing * (levels - 2)
        return f'{{"type":"ping","payload":{{"a":{inner}}}}}'

    assert isinstance(frames.parse(deep(MAX_BODY_DEPTH)), Ping)
    for message in (deep(MAX_BODY_DEPTH + 1), deep(100_000), opening * 100_000):
        refusal = refused(message)
        assert refusal.code is CloseCode.BAD_REQUEST
        assert "MAX_BODY_DEPTH" in refusal.reason


# --- any message

_CHARACTERS = st.characters(exclude_categories=())
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(_CHARACTERS, max_size=200),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_CHARACTERS, max_size=5), inner)
    ),
    max_leaves=6,
)
_TYPES = st.sampled_from(("connection_init", "ping", "pong", "subscribe", "complete", "next"))
_PAYLOAD = st.fixed_dictionaries(
    {},
    optional={"query": st.text(max_size=9), "variables": _JSON, "extensions": _JSON, "x": _JSON},
)
# Similar to frames, so that every member is checked.
_ALMOST = st.fixed_dictionaries(
    {"type": _TYPES | _JSON},
    optional={
        "id": st.text(_CHARACTERS, min_size=1, max_size=MAX_OPERATION_ID + 3) | _JSON,
        "payload": _PAYLOAD | _JSON,
    },
)
_FUZZ = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@_FUZZ
@given(
    st.text(_CHARACTERS, max_size=60)
    | _JSON.map(json.dumps)
    | _ALMOST.map(json.dumps)
    | _ALMOST.map(lambda value: json.dumps(value, ensure_ascii=False))
)
def test_any_text_is_a_frame_or_refused_with_a_reason(message: str) -> None:
    frame = parsed_or_refused(message)
    if isinstance(frame, Malformed):
        assert frame.code in (CloseCode.BAD_REQUEST, CloseCode.MESSAGE_TOO_BIG)
        reason = frames.close_reason(frame.reason)
        assert reason
        assert len(reason.encode()) <= 123
        return
    assert frame.type == json.loads(message)["type"]
    if isinstance(frame, Ping):
        assert strictly(frames.pong(frame.payload))["type"] == "pong"


@_FUZZ
@given(st.text(_CHARACTERS, max_size=300))
def test_a_close_reason_is_the_beginning_of_the_text_that_fits_a_frame(text: str) -> None:
    reason = frames.close_reason(text)
    assert len(reason.encode()) <= 123
    shown = text.encode(errors="replace").decode()
    assert shown.startswith(reason)
    assert reason == shown or len(reason.encode()) > 123 - 4


# --- outgoing frames


def strictly(text: str) -> Any:
    """The value of JSON text as a browser reads it; unpaired surrogates must be escaped."""
    text.encode()

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


_IDS = ["1", 'q"\\', "ü☃\U0001f600", "\ud800", "a\udfff", "\u0000\u2028"]


@pytest.mark.parametrize("operation_id", _IDS)
def test_frames_of_an_operation_are_json_of_the_protocols_shape(operation_id: str) -> None:
    result = ['{"data":', '{"a":"☃"}', "}"]
    assert strictly("".join(frames.next_(operation_id, result))) == {
        "id": operation_id,
        "type": "next",
        "payload": {"data": {"a": "☃"}},
    }
    errors: list[dict[str, Any]] = [{"message": "\ud800 no", "extensions": {"code": "X"}}]
    assert strictly(frames.error(operation_id, errors)) == {
        "id": operation_id,
        "type": "error",
        "payload": errors,
    }
    assert strictly(frames.complete(operation_id)) == {"id": operation_id, "type": "complete"}


def test_the_pieces_of_a_result_stay_pieces_of_the_frame() -> None:
    pieces = frames.next_("1", ['{"data":', 0, "}"])
    assert pieces[1:] == ['{"data":', 0, "}", "}"]


def test_a_pong_gives_back_the_payload_of_its_ping() -> None:
    assert strictly(frames.CONNECTION_ACK) == {"type": "connection_ack"}
    assert strictly(frames.pong(None)) == {"type": "pong"}
    for payload in ({}, {"a": ["\ud800", None, 1.5, 2**70]}):
        assert strictly(frames.pong(payload)) == {"type": "pong", "payload": payload}


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_a_number_beyond_floats_is_refused_in_a_ping(number: str) -> None:
    frame = parsed_or_refused(f'{{"type":"ping","payload":{{"a":{number}}}}}')
    if isinstance(frame, Malformed):
        assert frame.code is CloseCode.BAD_REQUEST
        return
    assert isinstance(frame, Ping)
    assert strictly(frames.pong(frame.payload))["type"] == "pong"


def test_every_close_code_is_one_that_a_server_may_send() -> None:
    assert len({int(code) for code in CloseCode}) == len(CloseCode)
    assert all(code in (1009, 1011, 1012, 1013) or 4400 <= code < 4500 for code in CloseCode)
