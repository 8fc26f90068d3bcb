"""Operations of clients: the requests in `subscribe` frames, and the answers to them."""

import json
from typing import Any, Protocol

from resolvers.base.json_text import encode
from resolvers.executing.executor import Executor, Request
from resolvers.executing.reporting import report
from resolvers.writing.context import Services
from tracker_do import frames
from tracker_do.connection_state import principal_of
from tracker_do.frames import SubscribePayload


class Host(Protocol):
    """The parts of the Worker that the tracker uses."""

    @property
    def services(self) -> Services:
        """The services that queries and mutations act on."""
        ...

    @property
    def executor(self) -> Executor:
        """The executor of operations."""
        ...


def request_of(payload: SubscribePayload) -> Request:
    """The request in a `subscribe` frame."""
    after = (payload.extensions or {}).get("after")
    return Request(payload.query, payload.variables or {}, payload.operationName, after)


async def execute(host: Host, claims: str, operation_id: str, payload: str) -> list[list[Any]]:
    """The frames that answer a query or a mutation, each in pieces."""
    request = request_of(SubscribePayload.model_validate(json.loads(payload)))
    caller = principal_of(json.loads(claims))
    over = [frames.complete(operation_id)]
    try:
        operation = host.executor.operation(request)
        data = await host.executor.execute(operation, request, caller, host.services)
        return [frames.next_(operation_id, ['{"data":', *data, "}"]), over]
    except Exception as error:  # whatever it is, no client sees internals
        reported = report(error)
        if not reported.executed:
            return [[frames.error(operation_id, reported.errors)]]
        result = encode({"errors": reported.errors, "data": None})
        return [frames.next_(operation_id, [result]), over]
