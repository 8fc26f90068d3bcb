"""Clients that send random frames do not affect other clients."""

from __future__ import annotations

import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from tests.worker.api import Api
from tests.worker.event_log import START, UPDATE, WORKFLOW_EVENTS, events_after, head
from tests.worker.raw_socket import RawSocket, events_of

if TYPE_CHECKING:
    from scripts.local_server import LocalServer

FRAMES = 400
FUZZERS = 6
HEALTHY = 3

FRAME_KINDS: list[dict[str, Any]] = [
    {"type": "connection_init", "payload": {"authorization": "Bearer no"}},
    {"type": "ping", "payload": {"a": [1, "é", None]}},
    {"type": "pong", "payload": {}},
    {"type": "complete", "id": "1"},
    {"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}},
    {
        "type": "subscribe",
        "id": "2",
        "payload": {
            "query": WORKFLOW_EVENTS,
            "variables": {"filter": {"workflow": ["fuzz"]}, "after": "0000000000000000"},
            "operationName": "Events",
            "extensions": {"after": "0000000000000001"},
        },
    },
]
VALUES: list[Any] = [
    None, True, 0, -1, 2**63, 1e308, "", "x", "\x00", "\ud800", "é☃😀", [], {}, [[]], {"": ""},
    "0000000000000000", "9" * 16, "x" * 10_000, [None] * 1_000, {"filter": {"workflow": "x"}},
]  # fmt: skip
QUERIES = [
    "{ __typename }",
    WORKFLOW_EVENTS,
    "subscription { instance(instanceId: \"fuzz\") { status steps { name } } }",
    "subscription { a: workflowEvents { cursor } b: workflowEvents { cursor } }",
    "subscription S($x: EventCursor) { workflowEvents(after: $x) { cursor } }",
    "subscription { workflowEvents @skip(if: true) { cursor } }",
    "subscription { __typename }",
    "subscription { ...F } fragment F on Subscription { workflowEvents { ...F } }",
    "fragment F on Subscription { __typename }",
    "{" * 5_000,
    "mutation { registerWorkflow(input: {name: \"\"}) { __typename } }",
    "query($a: Int!) { instances(first: $a) { totalCount } }",
    "{ __schema { types { name } } }",
    "#",
    "\ufeff\u2028",
]  # fmt: skip


def frame(choice: random.Random) -> str | bytes:
    """A random frame, often an almost valid one."""
    value = json.loads(json.dumps(choice.choice(FRAME_KINDS)))
    match choice.randrange(8):
        case 0:  # a member of another type
            value[choice.choice(["type", "id", "payload", "more"])] = choice.choice(VALUES)
        case 1:
            value["payload"] = {
                "query": choice.choice([*QUERIES, choice.choice(VALUES)]),
                **{
                    name: choice.choice(VALUES)
                    for name in ("variables", "operationName", "extensions")
                    if choice.random() < 0.3
                },
            }
        case 2 | 3:
            value = {"type": "subscribe", "id": str(choice.random())}
            value["payload"] = {"query": choice.choice(QUERIES)}
        case 4:  # cut off
            text = json.dumps(value)
            return text[: choice.randrange(len(text))]
        case 5:  # a character changed
            text = json.dumps(value)
            at = choice.randrange(len(text))
            return text[:at] + chr(choice.randrange(1, 0xD7FF)) + text[at + 1 :]
        case 6:
            return choice.randbytes(choice.randrange(200))
        case 7:
            return choice.choice(
                ["[" * 50_000, "x" * 200_000, "null", '"', "{}", json.dumps(value)]
            )
    return json.dumps(value)


def fuzz(server: LocalServer, seed: int) -> int:
    """Send frames, on a new socket whenever one is closed, and return the number of closed ones."""
    choice = random.Random(seed)
    closed = 0
    left = FRAMES
    while left > 0:
        with RawSocket(server) as socket:
            try:
                if choice.random() < 0.8:
                    socket.init()
                while left > 0:
                    left -= 1
                    socket.send(frame(choice))
                    if choice.random() < 0.1:
                        socket.send('{"type": "ping"}')
                        socket.receive_until(lambda got: {"type": "pong"} in got)
            except (ConnectionClosed, AssertionError):
                code, _ = socket.refused()
                assert code in (1009, 4400, 4401, 4403, 4409, 4429), code
                closed += 1
        # Some clients disconnect without a close frame.
        if choice.random() < 0.3:
            rude = RawSocket(server).init()
            rude.subscribe("1", WORKFLOW_EVENTS)
            rude.connection.socket.close()
            rude.close()
    return closed


def test_healthy_clients_get_their_events_whatever_others_send(rough: LocalServer) -> None:
    name = f"fuzz-{uuid.uuid4().hex[:8]}"
    before = rough.log
    with Api(rough) as api:
        api.data(START, input={"workflow": name, "instanceId": name, "trackOnly": True})
        after = head(api)
        healthy = [RawSocket(rough).init() for _ in range(HEALTHY)]
        for socket in healthy:
            variables = {"filter": {"workflow": [name]}, "after": after}
            socket.subscribe("1", WORKFLOW_EVENTS, variables=variables)
        written = 0
        with ThreadPoolExecutor(FUZZERS) as pool:
            fuzzing = [pool.submit(fuzz, rough, seed) for seed in range(FUZZERS)]
            while not all(future.done() for future in fuzzing):
                api.data(UPDATE, input={"instanceId": name, "metadata": {"n": written}})
                written += 1
            closed = sum(future.result() for future in fuzzing)
        assert closed > 20
        assert written > 20
        expected = events_after(api, after, filter_={"workflow": [name]})
        assert len(expected) == written
        for socket in healthy:
            got = socket.receive_until(lambda got: len(events_of(got, "1")) >= written)
            assert events_of(got + socket.flushed(), "1") == expected
            socket.close()
        assert api.data("{ __typename }") == {"__typename": "Query"}
    for word in ("Traceback", "Uncaught", "unexpected failure", "Unexpected failure"):
        assert word not in rough.log.removeprefix(before)
