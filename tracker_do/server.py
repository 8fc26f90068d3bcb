"""The functions of the tracker that JavaScript calls, with JSON text as arguments and results.

Nothing here belongs to one Durable Object: each call brings all that does. Subscription plans are
cached for the isolate.
"""

import json
from typing import Any

from resolvers.base.json_text import encode
from resolvers.ports.database import Database, DatabaseError
from tracker_do import operations, poll_json, polling
from tracker_do.definitions import PlanCache
from tracker_do.messages import Messages
from tracker_do.operations import Host


class Server:
    """Answers JavaScript's calls. `database` is one whose writes notify nobody."""

    def __init__(self, host: Host, database: Database) -> None:
        self._host = host
        self._database = database
        self._plans = PlanCache()
        self._messages = Messages(host, self._plans)

    def receive(self, state: str, message: str, problem: str) -> str:
        """Receive a message from a client (see `Messages.receive`)."""
        return encode(self._messages.receive(json.loads(state), message, problem))

    async def execute(self, claims: str, operation_id: str, payload: str) -> list[list[Any]]:
        """The frames that answer a query or a mutation, each in pieces."""
        return await operations.execute(self._host, claims, operation_id, payload)

    async def poll(self, asked: str) -> dict[str, Any]:
        """Poll for the groups of a shard. poll.mjs describes the JSON of request and result."""
        request = json.loads(asked)
        digests = [digest for digest, _ in request["groups"]]
        plans = self._plans.find(digests, request["definitions"], self._host.executor)
        if unknown := [digest for digest, plan in plans.items() if plan is None]:
            return {"unknown": unknown}
        if not plans:
            await polling.unregister(self._database, request["shard"])
            return {"unregistered": True}
        described = poll_json.request_of(request, plans)
        try:
            result = await polling.poll(self._database, described, request["window"])
        except DatabaseError as error:
            return {"failed": str(error)}
        return poll_json.json_of(result, described.groups)

    def revoked_keys(self, fingerprints: str) -> str:
        """The fingerprints among these whose keys are not configured any more."""
        has_key = self._host.services.gatekeeper.has_key
        return encode([f for f in json.loads(fingerprints) if not has_key(f)])
