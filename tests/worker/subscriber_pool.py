"""A crowd of subscribers of every kind, and writers who give them something to hear."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tests.worker.api import Api
from tests.worker.event_log import START, STEP, TRACK, UPDATE, events_after
from tests.worker.test_access import token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.local_server import LocalServer
    from tests.worker.inbox import Inbox

WORKFLOWS = ["crowd-a", "crowd-b", "crowd-c"]
REFERENCES = [{"refType": "order", "refId": "1"}, {"refType": "order", "refId": "2"}]
REFERENCES.append({"refType": "user", "refId": "1"})
OUTCOMES = ["COMPLETED", "ERRORED", "TERMINATED"]
WRITERS = 20

# The same document asks for the subscription and, for comparison, for the query.
_ARGUMENTS = "filter: $filter, after: $after"
_SHAPES = [
    "KIND($filter: EventFilter, $after: EventCursor)"
    " { FIELD { events { cursor type status } MORE } }",
    "KIND Aliased($filter: EventFilter, $after: EventCursor) { log: FIELD {"
    " kind: __typename listed: events { c: cursor t: type s: status attempt } MORE } }",
    "KIND WithFragments($filter: EventFilter, $after: EventCursor, $full: Boolean = true)"
    " { FIELD { ...Page MORE } }"
    " fragment Page on WorkflowEventPage { events { ...Event ...Time @include(if: $full) } }"
    " fragment Event on WorkflowEvent { cursor type }"
    " fragment Time on WorkflowEvent { at status @skip(if: $full) }",
    "KIND Nested($filter: EventFilter, $after: EventCursor) { FIELD { events { cursor type"
    " instance { instanceId workflow { name } reference { refType refId } } } MORE } }",
]
_LIVE_INSTANCE = """KIND($id: String!) { instance(instanceId: $id) {
  status metadata steps { name status attemptCount } events(first: 1000) { events { type } }
} }"""
_LIVE_REFERENCE = """KIND($refType: String!, $refId: String!) {
  reference(refType: $refType, refId: $refId) {
    statusCounts { status count } instances(first: 100) { totalCount nodes { instanceId status } }
  }
}"""


@dataclass
class Wish:
    """What one subscriber wants, and how."""

    name: str
    document: str
    variables: dict[str, Any]
    key: str
    # Which connection it shares; a `gql` client has one of its own.
    client: str
    of_log: bool = True
    inbox: Inbox | None = field(default=None, repr=False)

    @property
    def subscription(self) -> str:
        """The document as the subscriber sends it."""
        arguments = f"workflowEvents({_ARGUMENTS})"
        document = self.document.replace("FIELD", arguments).replace("KIND", "subscription")
        return document.replace("MORE", "")

    @property
    def query(self) -> str:
        """The document that asks for the same at once."""
        document = self.document.replace("FIELD", f"events({_ARGUMENTS}, first: 1000)")
        return document.replace("KIND", "query").replace("MORE", "page: cursor more: hasMore")

    def expected(self, api: Api) -> Any:
        """What it has to have: all events, or the object's state."""
        if not self.of_log:
            [state] = api.data(self.query, **self.variables).values()
            return state
        after, filter_ = self.variables["after"], self.variables["filter"]
        return events_after(api, after, query=self.query, filter_=filter_)

    def received(self) -> Any:
        """What it has."""
        assert self.inbox is not None
        return self.inbox.events if self.of_log else self.inbox.last


def _filters() -> Iterator[dict[str, Any] | None]:
    yield None
    yield from ({"workflow": [name]} for name in WORKFLOWS)
    yield {"workflow": ["nobody-writes-this"]}
    yield from ({"reference": reference} for reference in REFERENCES)
    yield {"reference": {"refType": "order"}}
    yield from ({"instanceId": f"crowd-{n}-0"} for n in (0, 7, 19))
    yield {"status": ["RUNNING"]}
    yield {"status": OUTCOMES}
    yield {"type": ["INSTANCE_QUEUED", "STEP_FAILED", "ATTEMPT_FAILED"]}
    yield {"workflow": WORKFLOWS[1:], "type": ["STEP_COMPLETED"], "reference": REFERENCES[0]}


def wishes(server: LocalServer, after: str) -> list[Wish]:
    """50 subscribers: 20 on sockets of their own or with `gql`, the rest together on ten."""
    found: list[Wish] = []

    def wish(document: str, *, client: str, key: str = server.key, **variables: Any) -> None:
        name = f"{len(found)} on {client}"
        found.append(Wish(name, document, variables, key, client, "FIELD" in document))

    filters = list(_filters())
    for n, filter_ in enumerate(filters):
        shape = _SHAPES[n % len(_SHAPES)]
        wish(shape, client=f"shared-{n % 4}", filter=filter_, after=after)
    for n in range(8):
        filter_ = filters[(3 * n) % len(filters)]
        wish(_SHAPES[(n + 1) % len(_SHAPES)], client=f"gql-{n}", filter=filter_, after=after)
    # Many who want the same share a feed.
    for n in range(8):
        filter_ = {"workflow": [WORKFLOWS[0]]}
        wish(_SHAPES[0], client=f"same-{n % 4}", filter=filter_, after=after)
    walls: list[dict[str, Any]] = [
        {"reference": REFERENCES[0]},
        {"workflows": WORKFLOWS[:1]},
        {"instanceId": "crowd-3-0"},
        {"reference": REFERENCES[2], "workflows": WORKFLOWS[1:]},
    ]
    for n, limits in enumerate(walls):
        key = token_of(server, **limits)
        for shape in (_SHAPES[n], _SHAPES[0]):
            wish(shape, client=f"limited-{n}", key=key, filter=None, after=after)
    for n in (0, 5, 11, 19):
        wish(_LIVE_INSTANCE, client=f"live-{n % 2}", id=f"crowd-{n}-0")
    wish(_LIVE_INSTANCE, client="live-0", id="nobody-starts-this")
    for reference in REFERENCES:
        wish(_LIVE_REFERENCE, client="live-1", **reference)
    wish(_LIVE_REFERENCE, client="gql-live", **REFERENCES[0])
    wish(_LIVE_INSTANCE, client="gql-live-too", id="crowd-7-0")
    return found


class Writer:
    """Runs two instances through their lives over HTTP, among others who do so."""

    def __init__(self, server: LocalServer, number: int, *, patient: bool = False) -> None:
        self._server = server
        self._number = number
        # Whether a request that failed is made again, for the server may be starting.
        self._patient = patient

    def run(self) -> None:
        """Write; every answer is looked at."""
        choice = random.Random(self._number)
        with Api(self._server) as api:
            for round_ in range(2):
                self._live(api, f"crowd-{self._number}-{round_}", choice)

    def _live(self, api: Api, instance_id: str, choice: random.Random) -> None:
        workflow = WORKFLOWS[self._number % 3]
        reference = choice.choice([*REFERENCES, None])
        of = {"instanceId": instance_id}
        wanted = {**of, "workflow": workflow, "reference": reference, "input": {"n": self._number}}
        self._write(api, START, input=wanted)
        self._write(api, UPDATE, input={**of, "status": "RUNNING"})
        for step in ("validate", "charge"):
            self._write(api, STEP, input={**of, "name": step, "status": "RUNNING"})
            self._write(api, UPDATE, input={**of, "metadata": {step: choice.random()}})
            if choice.random() < 0.5:
                failed = {"status": "RETRYING", "error": {"message": "again"}}
                self._write(api, STEP, input={**of, "name": step, **failed})
                self._write(api, STEP, input={**of, "name": step, "status": "RUNNING"})
            self._write(api, STEP, input={**of, "name": step, "status": "COMPLETED"})
        updates: list[Any] = [
            {"step": {**of, "name": f"part-{n}", "status": "COMPLETED"}} for n in range(4)
        ]
        updates.append({"instance": {**of, "metadata": {"parts": 4}}})
        self._write(api, TRACK, updates=updates)
        ending: dict[str, Any] = {"status": choice.choice(OUTCOMES)}
        if ending["status"] == "ERRORED":
            ending["error"] = {"name": "Boom", "message": "it ended so", "stack": "here"}
        self._write(api, UPDATE, input={**of, **ending})

    def _write(self, api: Api, query: str, **variables: Any) -> None:
        deadline = time.monotonic() + 40
        while (answer := self._answer(api, query, variables)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        [result] = answer["data"].values()
        assert result["__typename"].endswith("Payload"), result

    def _answer(self, api: Api, query: str, variables: dict[str, Any]) -> Any:
        try:
            response = api.ask(query, **variables)
        except httpx.TransportError:
            if self._patient:
                return None
            raise
        if self._patient and response.status_code >= 500:
            return None
        assert response.status_code == 200, response.text
        return response.json()
