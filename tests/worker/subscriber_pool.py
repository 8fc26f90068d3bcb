"""A pool of subscribers of every kind, and writers that produce events for them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tests.worker.api import Api
from tests.worker.event_log import START, STEP, TRACK, UPDATE, events_after, head
from tests.worker.subscribers import GqlSubscriber, NodeClients
from tests.worker.test_access import token_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from scripts.local_server import LocalServer
    from tests.worker.inbox import Inbox

WORKFLOWS = ["pool-a", "pool-b", "pool-c"]
REFERENCES = [{"refType": "order", "refId": "1"}, {"refType": "order", "refId": "2"}]
REFERENCES.append({"refType": "user", "refId": "1"})
OUTCOMES = ["COMPLETED", "ERRORED", "TERMINATED"]
WRITERS = 20
SETTLING_S = 30

# Each is used for a subscription and, for comparison, for a query.
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
class Subscriber:
    """One subscription: its document, its variables and the client that it runs on."""

    name: str
    document: str
    variables: dict[str, Any]
    key: str
    # Subscribers with the same client share a connection; a `gql` client has only one.
    client: str
    of_log: bool = True
    inbox: Inbox | None = field(default=None, repr=False)

    @property
    def subscription(self) -> str:
        """The document of the subscription."""
        arguments = f"workflowEvents({_ARGUMENTS})"
        document = self.document.replace("FIELD", arguments).replace("KIND", "subscription")
        return document.replace("MORE", "")

    @property
    def query(self) -> str:
        """A query for everything that the subscription delivers."""
        document = self.document.replace("FIELD", f"events({_ARGUMENTS}, first: 1000)")
        return document.replace("KIND", "query").replace("MORE", "page: cursor more: hasMore")

    def expected(self, api: Api) -> Any:
        """All events that its filter selects, or the state of its object."""
        if not self.of_log:
            [state] = api.data(self.query, **self.variables).values()
            return state
        after, filter_ = self.variables["after"], self.variables["filter"]
        return events_after(api, after, query=self.query, filter_=filter_)

    def received(self) -> Any:
        """All events that it has received, or the last state of its object."""
        assert self.inbox is not None
        return self.inbox.events if self.of_log else self.inbox.last

    def is_complete(self, expected: Any) -> bool:
        """True once it has received as many events as expected, or the expected state."""
        received = self.received()
        if self.of_log:
            return len(received) >= len(expected)
        return bool(received == expected)


def _filters() -> Iterator[dict[str, Any] | None]:
    yield None
    yield from ({"workflow": [name]} for name in WORKFLOWS)
    yield {"workflow": ["no-such-workflow"]}
    yield from ({"reference": reference} for reference in REFERENCES)
    yield {"reference": {"refType": "order"}}
    yield from ({"instanceId": f"pool-{n}-0"} for n in (0, 7, 19))
    yield {"status": ["RUNNING"]}
    yield {"status": OUTCOMES}
    yield {"type": ["INSTANCE_QUEUED", "STEP_FAILED", "ATTEMPT_FAILED"]}
    yield {"workflow": WORKFLOWS[1:], "type": ["STEP_COMPLETED"], "reference": REFERENCES[0]}


def subscribers(server: LocalServer, after: str) -> list[Subscriber]:
    """50 subscribers: ten with `gql` clients of their own, the rest on 14 shared connections."""
    found: list[Subscriber] = []

    def add(document: str, *, client: str, key: str = server.key, **variables: Any) -> None:
        name = f"{len(found)} on {client}"
        found.append(Subscriber(name, document, variables, key, client, "FIELD" in document))

    filters = list(_filters())
    for n, filter_ in enumerate(filters):
        shape = _SHAPES[n % len(_SHAPES)]
        add(shape, client=f"shared-{n % 4}", filter=filter_, after=after)
    for n in range(8):
        filter_ = filters[(3 * n) % len(filters)]
        add(_SHAPES[(n + 1) % len(_SHAPES)], client=f"gql-{n}", filter=filter_, after=after)
    # Subscribers with the same document and variables share a subscription plan.
    for n in range(8):
        filter_ = {"workflow": [WORKFLOWS[0]]}
        add(_SHAPES[0], client=f"same-{n % 4}", filter=filter_, after=after)
    restricted: list[dict[str, Any]] = [
        {"reference": REFERENCES[0]},
        {"workflows": WORKFLOWS[:1]},
        {"instanceId": "pool-3-0"},
        {"reference": REFERENCES[2], "workflows": WORKFLOWS[1:]},
    ]
    for n, restrictions in enumerate(restricted):
        key = token_of(server, **restrictions)
        for shape in (_SHAPES[n], _SHAPES[0]):
            add(shape, client=f"restricted-{n}", key=key, filter=None, after=after)
    for n in (0, 5, 11, 19):
        add(_LIVE_INSTANCE, client=f"live-{n % 2}", id=f"pool-{n}-0")
    add(_LIVE_INSTANCE, client="live-0", id="no-such-instance")
    for reference in REFERENCES:
        add(_LIVE_REFERENCE, client="live-1", **reference)
    add(_LIVE_REFERENCE, client="gql-live", **REFERENCES[0])
    add(_LIVE_INSTANCE, client="gql-live-too", id="pool-7-0")
    return found


class SubscriberPool:
    """50 connected subscribers of a server."""

    def __init__(self, server: LocalServer, stack: ExitStack) -> None:
        self._server = server
        self._node = stack.enter_context(NodeClients())
        with Api(server) as api:
            self.subscribers = subscribers(server, head(api))
        self._gql: dict[str, GqlSubscriber] = {}
        self._sockets = sorted(
            {s.client for s in self.subscribers if not s.client.startswith("gql")}
        )
        keys = {subscriber.client: subscriber.key for subscriber in self.subscribers}
        self._connections = [
            self._node.open(client, server, key=keys[client]) for client in self._sockets
        ]
        for subscriber in self.subscribers:
            if subscriber.client in self._sockets:
                subscriber.inbox = self._node.subscribe(
                    subscriber.client,
                    subscriber.name,
                    subscriber.subscription,
                    variables=subscriber.variables,
                    resume=subscriber.of_log,
                )
            else:
                name, document = subscriber.client, subscriber.subscription
                client = GqlSubscriber(name, server, document, variables=subscriber.variables)
                self._gql[name] = stack.enter_context(client)
                subscriber.inbox = client.inbox
        for subscriber in self.subscribers:
            # A live object comes with its current state.
            if not subscriber.of_log and subscriber.inbox is not None:
                subscriber.inbox.until(lambda inbox: len(inbox.results) > 0)
        deadline = time.monotonic() + SETTLING_S
        while (status := server.tracker("status"))["subscriptions"] != len(self.subscribers):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)

    @property
    def reconnections(self) -> tuple[int, int]:
        """Numbers of reconnections of graphql-ws clients and of gql clients."""
        gql = [client.inbox for client in self._gql.values()]
        node, python = (
            sum(inbox.count("connected") for inbox in inboxes) - len(inboxes)
            for inboxes in (self._connections, gql)
        )
        return node, python

    def drop_some(self, choice: random.Random) -> None:
        """Break the connection of two graphql-ws clients and one gql client."""
        for client in choice.sample(self._sockets, 2):
            self._node.drop(client)
        self._gql[choice.choice(sorted(self._gql))].drop()

    def settle(self) -> None:
        """Wait until all subscribers have what they must have; fail if one has anything else."""
        expected = {}
        for subscriber in self.subscribers:
            with Api(self._server, key=subscriber.key) as caller:
                expected[subscriber.name] = subscriber.expected(caller)
        deadline = time.monotonic() + SETTLING_S
        for subscriber in self.subscribers:
            wanted = expected[subscriber.name]
            while not subscriber.is_complete(wanted) and time.monotonic() < deadline:
                time.sleep(0.05)
        # Once the shard is idle it has sent everything, also what is too much, and sent it before
        # the answers to these queries on the same connections.
        self._server.tracker("notify")
        asked = [
            self._node.subscribe(client, f"ask {client}", "{ __typename }")
            for client in self._sockets
        ]
        for inbox in asked:
            inbox.until_happened("complete")
        for subscriber in self.subscribers:
            assert subscriber.received() == expected[subscriber.name], subscriber


class Writer:
    """Takes two instances from start to end over HTTP, while other writers do the same."""

    def __init__(self, server: LocalServer, number: int, *, patient: bool = False) -> None:
        self._server = server
        self._number = number
        # A patient writer repeats a request that failed: the server may be starting.
        self._patient = patient

    def run(self) -> None:
        """Write, and check every answer."""
        choice = random.Random(self._number)
        with Api(self._server) as api:
            for turn in range(2):
                self._run_instance(api, f"pool-{self._number}-{turn}", choice)

    def _run_instance(self, api: Api, instance_id: str, choice: random.Random) -> None:
        workflow = WORKFLOWS[self._number % 3]
        reference = choice.choice([*REFERENCES, None])
        of = {"instanceId": instance_id}
        wanted = {**of, "workflow": workflow, "reference": reference, "input": {"n": self._number}}
        self._write(api, START, input={**wanted, "trackOnly": True})
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
            ending["error"] = {"name": "Boom", "message": "it failed", "stack": "here"}
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
