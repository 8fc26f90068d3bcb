"""Hostile values, and a check that the server still serves others after it got them."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.closing import Closing
from tests.support.places import NAME
from tests.worker.api import Api
from tests.worker.event_log import START, STEP, UPDATE, WORKFLOW_EVENTS, head
from tests.worker.raw_socket import DEADLINE_S, RawSocket, events_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.local_server import LocalServer
    from tests.support.places import Place

MAX_ERROR_BYTES = 64 * 1024
DEEP = 8_000
_PATIENCE_S = 5.0

OF_EVERY_OBJECT = ["__proto__", "constructor", "toString", "valueOf", "hasOwnProperty"]
"""Properties that every plain object of JavaScript inherits."""

_NESTED = {
    "open brackets": "[" * DEEP,
    "balanced brackets": "[" * (DEEP // 2) + "]" * (DEEP // 2),
    "nested objects": '{"a":' * (DEEP // 2),
}

STRINGS: dict[str, str] = {
    "empty": "",
    **{name: name for name in OF_EVERY_OBJECT},
    **_NESTED,
    **{f"step of {name}": f"WorkflowStep:{text}" for name, text in _NESTED.items()},
    **{f"instance of {name}": f"WorkflowInstance:{text}" for name, text in _NESTED.items()},
    "reference of open brackets": f"Reference:{_NESTED['open brackets']}",
    "a step of nothing": 'WorkflowStep:["","",1,"",1]',
    "a step of no text": "WorkflowStep:[1e400,null,1,null,1]",
    "a step of no run": 'WorkflowStep:["a","b",1e400,"c",1]',
    "a step of a run without bounds": f'WorkflowStep:["a","b",{"9" * 5_000},"c",1]',
    "a step of a negative occurrence": 'WorkflowStep:["a","b",1,"c",-1]',
    "a step of true": 'WorkflowStep:["a","b",true,"c",true]',
    "an id of a prototype": "__proto__:constructor",
    "NUL": "a\x00b",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\u2028\ufeff",
    "right to left": "\u202eabc\u202c \u05d0\u05d1",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈",
    "combining": "z" + "\u0335\u0301" * 60,
    "100,000 characters": "x" * 100_000,
    "10,000 snowmen": "☃" * 10_000,
    "cursor of a name": "N" + "[" * DEEP,
    "cursor of NUL": "N\x00",
    "cursor without parts": "C,,",
    "cursor of nothing": "C",
    "cursor of a large row": "C2026-01-01T00:00:00.000Z,9999999999999999",
    "cursor of a huge row": "C2026-01-01T00:00:00.000Z," + "9" * 5_000,
    "cursor of a negative row": "U2026-01-01T00:00:00.000Z,-1",
    "cursor of brackets": f"C{'[' * DEEP},1",
    "16 zeros": "0" * 16,
    "16 digits": "9" * 16,
    "17 digits": "1" * 17,
    "5,000 digits": "9" * 5_000,
    "2^53": f"{2**53}",
    "digits of another script": "\u0660" * 16,
    "-1": "-1",
    "1e400": "1e400",
    "NaN": "NaN",
    "an instant": "2026-01-01T00:00:00Z",
    "before the first year": "0001-01-01T00:00:00+23:59",
    "after the last year": "9999-12-31T23:59:59-23:59",
    "pattern": "*[%_",
    "SQL": "'; DROP TABLE events; --",
}


@dataclass(frozen=True)
class Raw:
    """A value that is not a string, as a GraphQL literal and as JSON."""

    literal: str
    json: str


OTHERS: dict[str, Raw] = {
    "null": Raw("null", "null"),
    "true": Raw("true", "true"),
    "2^53 as a number": Raw(f"{2**53}", f"{2**53}"),
    "-1 as a number": Raw("-1", "-1"),
    "1e400 as a number": Raw("1e400", "1e400"),
    "an empty list": Raw("[]", "[]"),
    "an empty object": Raw("{}", "{}"),
    "an object's own": Raw(
        "{__proto__: {constructor: 1}, toString: null}",
        '{"__proto__": {"constructor": 1}, "toString": null}',
    ),
    "nested 150 times": Raw("[" * 150 + "]" * 150, "[" * 150 + "]" * 150),
}

SURROGATES = {"a high surrogate": "\ud800", "surrogates the wrong way round": "\udc00\ud800"}
"""A document that contains one of these is refused."""

UNREADABLE: dict[str, Raw] = {
    "open brackets": Raw("[" * DEEP, "[" * DEEP),
    "balanced brackets": Raw(_NESTED["balanced brackets"], _NESTED["balanced brackets"]),
    "balanced objects": Raw(
        "{a:" * (DEEP // 4) + "1" + "}" * (DEEP // 4),
        '{"a":' * (DEEP // 4) + "1" + "}" * (DEEP // 4),
    ),
    "5,000 digits": Raw("9" * 5_000, "9" * 5_000),
    "NaN": Raw("NaN", "NaN"),
    "-Infinity": Raw("-Infinity", "-Infinity"),
    "text that is not closed": Raw('"a', '"a'),
}
"""Texts that do not parse as a document or as a body, so that no place gets them."""

_SHORT = 1_000
LITERALS = [
    [json.dumps(text) for text in STRINGS.values() if len(text) < _SHORT],
    [value.literal for value in OTHERS.values()],
]
"""Literals that one document may contain together."""
LONG_LITERALS = [
    *(json.dumps(text) for text in STRINGS.values() if len(text) >= _SHORT),
    f'"""{"[" * DEEP}"""',
]
"""The other literals: parsing them takes long, and does not depend on the place."""
JSON_TEXTS = [[json.dumps(text) for text in STRINGS.values()], [o.json for o in OTHERS.values()]]
"""JSON texts that may be variables of one request."""
ALONE = [json.dumps(text) for text in SURROGATES.values()]
"""Further variables, each in a request of its own: they have the whole request refused."""


def request_of(place: Place, values: Sequence[str], *, are_literals: bool = False) -> str:
    """The JSON text of a request with each of the values, JSON or literals, at a place."""
    if are_literals:
        return json.dumps({"query": place.document(values)})
    names = [f"v{number}" for number in range(len(values))]
    query = place.document([f"${name}" for name in names], variables=len(names))
    members = ",".join(f'"{name}":{value}' for name, value in zip(names, values, strict=True))
    return f'{{"query":{json.dumps(query)},"variables":{{{members}}}}}'


def refuse_unsound_errors(errors: Any) -> None:
    """Fail if an error has no specific code, or is large."""
    assert errors
    for error in errors:
        assert error["extensions"]["code"] not in ("INTERNAL", ""), error
        size = len(json.dumps(error))
        assert size < MAX_ERROR_BYTES, f"an error of {size} bytes: {str(error)[:300]}"


class Bystander(Closing):
    """A subscriber of the server that gets hostile values, which must not be affected."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.api = Api(server)
        self._logged = server.log
        given = {"workflow": NAME, "instanceId": NAME}
        self.api.data(
            START, input={**given, "reference": {"refType": NAME, "refId": NAME}, "trackOnly": True}
        )
        self.api.data(STEP, input={"instanceId": NAME, "name": NAME, "status": "RUNNING"})
        # Hostile requests name the instance above, so this one has no events but its own.
        self.instance_id = f"{NAME}-bystander"
        self.api.data(
            START,
            input={"workflow": self.instance_id, "instanceId": self.instance_id, "trackOnly": True},
        )
        self._socket = self._subscriber("1", after=head(self.api))

    def _subscriber(self, operation_id: str, **variables: Any) -> RawSocket:
        variables["filter"] = {"instanceId": self.instance_id}
        socket = RawSocket(self.server).init()
        socket.subscribe(operation_id, WORKFLOW_EVENTS, variables=variables)
        return socket

    def assert_served(self, *, seconds: float = DEADLINE_S) -> None:
        """Fail unless it gets its next event, and a new subscriber does as well.

        Its connection is open since it was created, so the server's process is the same.
        """
        assert self.api.request("GET", "/healthz").status_code == 200
        with self._subscriber("1", after=head(self.api)) as late:
            self.touch()
            for socket in (self._socket, late):
                got = socket.receive_until(
                    lambda got: len(events_of(got, "1")) >= 1, seconds=seconds
                )
                assert len(events_of(got, "1")) == len(got) == 1, got
        logged = self.server.log.removeprefix(self._logged)
        for word in ("fatal error", "Traceback", "Uncaught", "nexpected failure", "could not read"):
            assert word not in logged, logged[-8000:]

    def touch(self) -> None:
        """Write an event for its subscribers."""
        metadata = {"since": head(self.api)}
        self.api.data(UPDATE, input={"instanceId": self.instance_id, "metadata": metadata})

    @property
    def is_served(self) -> bool:
        """True if the server still serves it."""
        with suppress(AssertionError, httpx.TransportError):
            self.assert_served(seconds=_PATIENCE_S)
            return True
        return False

    def close(self) -> None:
        """Close its connections."""
        self._socket.close()
        self.api.close()
