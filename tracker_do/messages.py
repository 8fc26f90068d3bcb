"""Messages of clients: parsing, authentication and the start of operations, around the protocol."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from graphql import OperationType

from resolvers.access.principals import Principal
from resolvers.base.json_text import encode
from resolvers.executing.reporting import report
from tracker_do import closes, frames, protocol
from tracker_do.connection_state import connection_of, state_of
from tracker_do.definitions import Definition, PlanCache
from tracker_do.frames import ClientFrame, Malformed, SubscribePayload
from tracker_do.operations import Host, request_of
from tracker_do.protocol import Close, Connection, PongReceived, Send, Start, Subscription


class Messages:
    """Receives the messages of an isolate's connections."""

    def __init__(self, host: Host, plans: PlanCache) -> None:
        self._host = host
        self._plans = plans

    def receive(self, state: Mapping[str, Any], message: str, problem: str) -> dict[str, Any]:
        """Receive a message: the connection's new state, if it has changed, and the actions to
        perform once it is stored.

        `problem` is the reason why there is no message, if there is none (see `frames.parse`).
        Actions are ["send", text], ["close", code, reason], ["pong"], ["execute", id, payload] and
        ["subscribe", digest of the plan, digest of the document, document, rest].
        """
        before = connection_of(state)
        if refusal := self._refuse_late(before.principal):
            return {"actions": [_close(refusal)]}
        authenticate = partial(
            self._host.services.gatekeeper.authenticate, bound=state.get("bound", False)
        )
        frame = _parse(message, problem)
        connection, decided = protocol.receive(before, frame, authenticate)
        actions: list[list[Any]] = []
        for action in decided:
            match action:
                case Send(text):
                    actions.append(["send", text])
                case Close():
                    actions.append(_close(action))
                case PongReceived():
                    actions.append(["pong"])
                case Start(operation_id, payload):
                    connection, started = self._start(connection, operation_id, payload)
                    actions.append(started)
        if connection is before:
            return {"actions": actions}
        return {"state": state_of(connection), "actions": actions}

    def _refuse_late(self, caller: Principal | None) -> Close | None:
        if caller is None:
            return None
        if caller.expires_at is not None and caller.expires_at <= time.time():
            return closes.TOKEN_EXPIRED
        if not self._host.services.gatekeeper.has_key(caller.fingerprint):
            return closes.KEY_REVOKED
        return None

    def _start(
        self, connection: Connection, operation_id: str, payload: SubscribePayload
    ) -> tuple[Connection, list[Any]]:
        assert connection.principal is not None
        request = request_of(payload)
        executor = self._host.executor
        try:
            operation = executor.operation(request)
            if operation.type is not OperationType.SUBSCRIPTION:
                return connection, ["execute", operation_id, encode(payload.model_dump())]
            plan = executor.subscription_plan(operation, request, connection.principal)
        except Exception as error:  # whatever it is, no client sees internals
            refusal = frames.error(operation_id, report(error).errors)
            return protocol.end(connection, operation_id), ["send", refusal]
        definition = Definition.of(request, plan)
        document, digest = definition.digests
        self._plans.put(digest, plan)
        subscription = Subscription(digest, "" if plan.after is None else str(plan.after))
        subscribed = protocol.begin_subscription(connection, operation_id, subscription)
        return subscribed, ["subscribe", digest, document, definition.document, definition.rest]


def _parse(message: str, problem: str) -> ClientFrame | Malformed:
    try:
        return frames.parse(message, problem=problem)
    except Malformed as malformed:
        return malformed


def _close(close: Close) -> list[Any]:
    return ["close", int(close.code), frames.close_reason(close.reason)]
