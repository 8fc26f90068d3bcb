"""The JSON of a connection, which survives eviction in the socket's attachment.

Its members have the names that are stored: `who` is the principal's claims with the fingerprint of
the key, `streams` the subscriptions. JavaScript adds more (see connection_state.mjs).
"""

from collections.abc import Mapping
from typing import Any

from resolvers.access.gatekeeper import principal_from_claims, token_claims
from resolvers.access.principals import Principal
from tracker_do.protocol import Connection, Subscription


def principal_of(who: Mapping[str, Any]) -> Principal:
    """The principal that claims describe."""
    return principal_from_claims(who, fingerprint=who.get("key", ""))


def connection_of(state: Mapping[str, Any]) -> Connection:
    """The connection that a state describes."""
    return Connection(
        principal_of(state["who"]) if "who" in state else None,
        {key: Subscription(plan, position) for key, (plan, position) in state["streams"]},
        tuple(state["running"]),
    )


def state_of(connection: Connection) -> dict[str, Any]:
    """The state of a connection."""
    state: dict[str, Any] = {
        # As pairs, not as members, because clients choose the ids.
        "streams": [[key, [s.plan, s.position]] for key, s in connection.subscriptions.items()],
        "running": connection.running,
    }
    if (caller := connection.principal) is not None:
        claims = token_claims(caller.scopes, caller.restrictions, caller.expires_at)
        state["who"] = {**claims, "key": caller.fingerprint}
    return state
