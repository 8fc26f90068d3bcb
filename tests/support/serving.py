"""The tracker's server without a Durable Object: sockets and shards as JavaScript keeps them."""

import json
import time
from collections.abc import Iterable
from typing import Any

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.executing.executor import Executor
from schema.build import core
from tests.support.client import Services, finished
from tests.support.d1 import SqliteD1
from tracker_do.server import Server

EVENTS = "subscription ($f: EventFilter, $after: EventCursor) {"
EVENTS += " e: workflowEvents(filter: $f, after: $after) { cursor events { cursor type } } }"
INSTANCE = 'subscription { instance(instanceId: "i") { status } }'


class Host:
    """The parts of a Worker that the tracker uses, with one key of each kind."""

    def __init__(self, database: SqliteD1) -> None:
        self.services = Services(database)
        self.services.gatekeeper = Gatekeeper(admin="admin", write="write", read="read")
        self.executor = Executor(core)


def serving(database: SqliteD1 | None = None) -> tuple[Server, Host]:
    """A new server, and its host."""
    database = database or SqliteD1()
    host = Host(database)
    return Server(host, database), host


class Socket:
    """The state of one socket between its messages, and the definitions that were stored for it."""

    def __init__(self, server: Server, key: str | None = "admin") -> None:
        self.server = server
        self.state: dict[str, Any] = {"until": 5, "streams": [], "running": []}
        # The definitions of its subscriptions' plans, by digest.
        self.definitions: dict[str, list[str]] = {}
        if key is not None:
            payload = {"authorization": f"Bearer {key}"}
            [(kind, text)] = self.send({"type": "connection_init", "payload": payload})
            assert (kind, text) == ("send", '{"type":"connection_ack"}')

    @property
    def subscriptions(self) -> dict[str, list[Any]]:
        """The plan and the position of each subscription."""
        return dict(self.state["streams"])

    def send(self, message: object, *, problem: str = "") -> list[list[Any]]:
        """The actions for a message. All crosses as JSON text; infinity is written as a number that
        is too large for a float."""
        text = message if isinstance(message, str) else json.dumps(message)
        text = text.replace("Infinity", "1e999")
        answer = json.loads(self.server.receive(json.dumps(self.state), text, problem))
        if "state" in answer:
            self.state = answer["state"]
        actions: list[list[Any]] = answer["actions"]
        for kind, *made in actions:
            if kind == "subscribe":
                digest, _, document, rest = made
                self.definitions[digest] = [document, rest]
        return actions

    def subscribe(self, query: str, operation_id: str = "1", **members: Any) -> list[list[Any]]:
        """The actions for a `subscribe` whose payload has these members."""
        payload = {"query": query, **members}
        return self.send({"type": "subscribe", "id": operation_id, "payload": payload})

    def plan_of(self, query: str, operation_id: str = "1", **members: Any) -> str:
        """The digest of a subscription's plan."""
        [(kind, digest, *_)] = self.subscribe(query, operation_id, **members)
        assert kind == "subscribe"
        assert isinstance(digest, str)
        return digest

    def refused(self, query: str, **members: Any) -> dict[str, Any]:
        """The error of a `subscribe` that is answered with one."""
        [(kind, text)] = self.subscribe(query, "1", **members)
        frame = json.loads(text)
        assert (kind, frame["type"], frame["id"]) == ("send", "error", "1")
        assert "1" not in {*self.subscriptions, *self.state["running"]}
        [error] = frame["payload"]
        assert isinstance(error, dict)
        return error

    def answers(self, query: str, **members: Any) -> list[dict[str, Any]]:
        """The frames that answer a query or a mutation."""
        [(kind, operation_id, payload)] = self.subscribe(query, "1", **members)
        assert kind == "execute"
        who = json.dumps(self.state["who"])
        frames = finished(self.server.execute(who, operation_id, payload))
        self.send({"type": "complete", "id": "1"})
        return [json.loads("".join(pieces)) for pieces in frames]


def poll(
    server: Server,
    groups: Iterable[tuple[str, int | str | None]],
    *,
    definitions: dict[str, list[str]] | None = None,
    live_position: int = 0,
    registered: bool = True,
    window: int = 1_000,
) -> Any:
    """A poll for a shard of these groups."""
    request = {
        "shard": "tracker-0",
        "registered": registered,
        "livePosition": live_position,
        "window": window,
        "groups": list(groups),
        "definitions": definitions or {},
    }
    return json.loads(json.dumps(finished(server.poll(json.dumps(request)))))


def token(gatekeeper: Gatekeeper, **claims: Any) -> str:
    """A token with the scope READ that is valid for an hour, unless claims say otherwise."""
    return gatekeeper.issue({"scopes": ["READ"], "exp": int(time.time()) + 3600, **claims})
