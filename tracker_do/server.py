"""The tracker's side of Python: JSON text in and out, around the protocol and the rounds.

Nothing here belongs to one Durable Object: all that does comes with each call. Feeds and plans
are kept for the isolate, by digests of what they are made from.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from graphql import OperationType

from resolvers.access.gatekeeper import principal_from_claims, token_claims
from resolvers.access.principals import Principal
from resolvers.base.cache import Cache
from resolvers.base.json_text import encode
from resolvers.base.limits import (
    MAX_PREFETCH_NODES,
    MAX_PREFETCH_STATEMENTS,
    SUBSCRIPTION_PLAN_CACHE_SIZE,
)
from resolvers.base.vocabulary import Scope
from resolvers.executing.executor import Executor, Request
from resolvers.executing.reporting import report
from resolvers.ports.database import Database, DatabaseError, share_of
from resolvers.subscriptions.plans import SubscriptionPlan
from resolvers.writing.context import Services
from tracker_do import frames, protocol
from tracker_do import polling as rounds
from tracker_do.frames import CloseCode, SubscribePayload
from tracker_do.protocol import Answered, Close, Connection, Send, Start, Stream


class Host(Protocol):
    """What the Worker lends the tracker."""

    @property
    def services(self) -> Services:
        """What queries and mutations act on."""
        ...

    @property
    def executor(self) -> Executor:
        """What executes them."""
        ...


@dataclass(frozen=True, slots=True)
class _Definition:
    """What a feed is made from, as text that is stored: the document apart, it is often shared."""

    document: str
    rest: str

    @property
    def digests(self) -> tuple[str, str]:
        """Of the document and of the whole."""
        document = _digest(self.document)
        return document, _digest(document + self.rest)


class Server:
    """Answers the edge. `database` is one whose writes nobody needs to be told of."""

    def __init__(self, host: Host, database: Database) -> None:
        self._host = host
        self._database = database
        self._feeds: Cache[str, SubscriptionPlan] = Cache(SUBSCRIPTION_PLAN_CACHE_SIZE)

    def receive(self, state: str, message: str, problem: str) -> str:
        """What a message from a client leads to: the connection's new state, and actions.

        `problem` says why there is no message (see `frames.parse`), and is empty where there is.
        Actions are ["send", text], ["close", code, reason], ["answered"], ["execute", id, payload]
        and ["follow", feed's digest, document's digest, document, rest].
        """
        socket = json.loads(state)
        before = _connection(socket)
        if refusal := self._refuse_late(before.principal):
            return encode({"actions": [refusal]})
        try:
            frame: Any = frames.parse(message, problem=problem)
        except frames.Malformed as malformed:
            frame = malformed
        authenticate = partial(
            self._host.services.gatekeeper.authenticate, bound=socket.get("bound", False)
        )
        connection, wanted = protocol.receive(before, frame, authenticate)
        actions: list[list[Any]] = []
        for action in wanted:
            match action:
                case Send(text):
                    actions.append(["send", text])
                case Close(code, reason):
                    actions.append(_closing(code, reason))
                case Answered():
                    actions.append(["answered"])
                case Start(operation_id, payload):
                    connection, more = self._start(connection, operation_id, payload)
                    actions += more
        if connection is before:
            return encode({"actions": actions})
        return encode({"state": _state(connection), "actions": actions})

    async def execute(self, claims: str, operation_id: str, payload: str) -> list[list[Any]]:
        """The frames that answer a query or a mutation, each in pieces."""
        request = _request(SubscribePayload.model_validate(json.loads(payload)))
        caller = _principal(json.loads(claims))
        executor = self._host.executor
        over = [frames.complete(operation_id)]
        try:
            operation = executor.operation(request)
            data = await executor.execute(operation, request, caller, self._host.services)
            return [frames.next_(operation_id, ['{"data":', *data, "}"]), over]
        except Exception as error:  # the last line: nothing internal may be shown
            told = report(error)
            if not told.executed:
                return [[frames.error(operation_id, told.errors)]]
            result = encode({"errors": told.errors, "data": None})
            return [frames.next_(operation_id, [result]), over]

    async def look(self, asked: str) -> dict[str, Any]:
        """A round, for a shard described as JSON; see `Look` in edge.mjs for both forms."""
        shard = json.loads(asked)
        feeds = self._known([digest for digest, _ in shard["groups"]], shard["definitions"])
        unknown = [digest for digest, feed in feeds.items() if feed is None]
        if unknown:
            return {"unknown": unknown}
        if not shard["groups"]:
            await rounds.leave(self._database, shard["name"])
            return {"left": True}
        groups = [rounds.Group(feeds[digest], place) for digest, place in shard["groups"]]
        described = rounds.Shard(shard["name"], shard["registered"], shard["position"], groups)
        try:
            result = await rounds.look(self._database, described, shard["window"])
        except DatabaseError as error:
            return {"failed": str(error)}
        return {
            "position": result.position,
            "window": result.window,
            "more": result.more,
            "moves": [[number, move.place, move.text] for number, move in result.moves.items()],
            "refused": list(result.refused.items()),
            "keys": [group.feed.key for group in groups],
            **({"again": _again(groups)} if result.steady else {}),
        }

    def unwelcome(self, fingerprints: str) -> str:
        """Which of these keys are not configured any more."""
        has_key = self._host.services.gatekeeper.has_key
        return encode([f for f in json.loads(fingerprints) if not has_key(f)])

    def _refuse_late(self, caller: Principal | None) -> list[Any] | None:
        if caller is None:
            return None
        if caller.expires_at is not None and caller.expires_at <= time.time():
            return _closing(CloseCode.FORBIDDEN, "The token has expired.")
        if not self._host.services.gatekeeper.has_key(caller.fingerprint):
            return _closing(CloseCode.FORBIDDEN, "The key is not valid any more.")
        return None

    def _start(
        self, connection: Connection, operation_id: str, payload: SubscribePayload
    ) -> tuple[Connection, list[list[Any]]]:
        assert connection.principal is not None
        request = _request(payload)
        try:
            operation = self._host.executor.operation(request)
            if operation.type is not OperationType.SUBSCRIPTION:
                return connection, [["execute", operation_id, encode(payload.model_dump())]]
            feed = self._host.executor.feed(operation, request, connection.principal)
        except Exception as error:  # the last line: nothing internal may be shown
            told = frames.error(operation_id, report(error).errors)
            return protocol.end(connection, operation_id), [["send", told]]
        definition = _definition(request, feed)
        document, digest = definition.digests
        self._feeds.put(digest, feed)
        place = "" if feed.after is None else str(feed.after)
        following = protocol.follow(connection, operation_id, Stream(digest, place))
        row = [digest, document, definition.document, definition.rest]
        return following, [["follow", *row]]

    def _known(
        self, digests: Sequence[str], definitions: Mapping[str, Sequence[str]]
    ) -> dict[str, Any]:
        """The feeds, None for those whose definition is needed first."""
        found: dict[str, Any] = {digest: self._feeds.get(digest) for digest in digests}
        for digest, definition in definitions.items():
            if found[digest] is None:
                found[digest] = self._made(_Definition(*definition))
                self._feeds.put(digest, found[digest])
        return found

    def _made(self, definition: _Definition) -> SubscriptionPlan:
        name, variables, claims = json.loads(definition.rest)
        request = Request(json.loads(definition.document), variables, name)
        executor = self._host.executor
        return executor.feed(executor.operation(request), request, _principal(claims))


def _again(groups: Sequence[rounds.Group]) -> dict[str, Any]:
    """How the edge makes the same round again by itself, while nobody comes or goes."""
    head = rounds.HEAD_OF_LOG
    return {
        "head": [head.sql, head.parameters, head.opaque],
        "reads": [group.feed.repeated(share_of(len(groups))) for group in groups],
        "window": min(group.feed.window for group in groups),
        "light": len(groups) <= MAX_PREFETCH_STATEMENTS
        and sum(group.feed.nodes for group in groups) <= MAX_PREFETCH_NODES,
    }


def _request(payload: SubscribePayload) -> Request:
    after = (payload.extensions or {}).get("after")
    return Request(payload.query, payload.variables or {}, payload.operationName, after)


def _definition(request: Request, feed: SubscriptionPlan) -> _Definition:
    # As ASCII JSON: SQLite's text holds no half surrogate pair, and a document may.
    limits = feed.principal.restrictions
    claims = token_claims([Scope.READ], limits, None)
    rest = json.dumps([request.operation_name, dict(feed.variables), claims], sort_keys=True)
    return _Definition(encode(request.query), rest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _closing(code: CloseCode, reason: str) -> list[Any]:
    return ["close", int(code), frames.close_reason(reason)]


def _principal(claims: Mapping[str, Any]) -> Principal:
    return principal_from_claims(claims, fingerprint=claims.get("key", ""))


def _connection(state: Mapping[str, Any]) -> Connection:
    return Connection(
        _principal(state["who"]) if "who" in state else None,
        {key: Stream(feed, place) for key, (feed, place) in state["streams"]},
        tuple(state["running"]),
    )


def _state(connection: Connection) -> dict[str, Any]:
    state: dict[str, Any] = {
        # Pairs, not members: the ids are a client's own.
        "streams": [[key, [s.feed, s.place]] for key, s in connection.streams.items()],
        "running": connection.running,
    }
    if (caller := connection.principal) is not None:
        claims = token_claims(caller.scopes, caller.restrictions, caller.expires_at)
        state["who"] = {**claims, "key": caller.fingerprint}
    return state
