"""graphql-transport-ws as a pure function: a connection and a frame give a connection and actions.

Nothing is sent, read or measured here. The caller stores the new connection and then performs the
actions, in their order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from resolvers.access.principals import Principal
from resolvers.base.errors import AccessError
from resolvers.base.limits import MAX_SUBSCRIPTIONS
from resolvers.executing.reporting import error_of
from tracker_do import frames
from tracker_do.frames import ClientFrame, CloseCode, Malformed, SubscribePayload

# The position of a subscriber in the log: None for the live position, a number while it catches up.
# Before its first poll it is text: the cursor to begin after, or empty to begin at the head.
Position: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription of a connection: the digest of its plan, and the position it has reached."""

    plan: str
    position: Position


@dataclass(frozen=True, slots=True)
class Connection:
    """The state of an open WebSocket; it survives eviction in the socket's attachment."""

    # None until connection_init was accepted.
    principal: Principal | None = None
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    # Queries and mutations that are being executed.
    running: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class PongReceived:
    """Note that the client has read all that was sent before the server's last ping."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start the operation, whose id is reserved among `running`."""

    operation_id: str
    payload: SubscribePayload


Action: TypeAlias = Send | Close | PongReceived | Start
Transition: TypeAlias = tuple[Connection, list[Action]]
Authenticate: TypeAlias = Callable[[str | None], Principal]


def receive(
    connection: Connection, frame: ClientFrame | Malformed, authenticate: Authenticate
) -> Transition:
    """Receive a frame of the client."""
    match frame:
        case Malformed():
            return connection, [Close(frame.code, frame.reason)]
        case frames.ConnectionInit():
            return _init(connection, frame, authenticate)
        case frames.Ping():
            return connection, [Send(frames.pong(frame.payload))]
        case frames.Pong():
            return connection, [PongReceived()]
        case frames.Subscribe():
            return _subscribe(connection, frame)
        case frames.Complete():
            return end(connection, frame.id), []


def begin_subscription(
    connection: Connection, operation_id: str, subscription: Subscription
) -> Connection:
    """Replace a running operation by the subscription that it asks for."""
    ended = end(connection, operation_id)
    return replace(ended, subscriptions={**ended.subscriptions, operation_id: subscription})


def end(connection: Connection, operation_id: str) -> Connection:
    """End the operation with this id, if there is one: both sides may end it at once."""
    return replace(
        connection,
        subscriptions={
            key: value for key, value in connection.subscriptions.items() if key != operation_id
        },
        running=tuple(key for key in connection.running if key != operation_id),
    )


def _init(
    connection: Connection, frame: frames.ConnectionInit, authenticate: Authenticate
) -> Transition:
    if connection.principal is not None:
        reason = "Too many initialisation requests"
        return connection, [Close(CloseCode.TOO_MANY_INIT_REQUESTS, reason)]
    authorization = (frame.payload or {}).get("authorization")
    if not isinstance(authorization, str | None):
        reason = "connection_init: payload.authorization must be a string"
        return connection, [Close(CloseCode.BAD_REQUEST, reason)]
    try:
        principal = authenticate(authorization)
    except AccessError as error:
        return connection, [Close(CloseCode.FORBIDDEN, error.message)]
    return replace(connection, principal=principal), [Send(frames.CONNECTION_ACK)]


def _subscribe(connection: Connection, frame: frames.Subscribe) -> Transition:
    if connection.principal is None:
        return connection, [Close(CloseCode.UNAUTHORIZED, "Unauthorized")]
    if frame.id in connection.subscriptions or frame.id in connection.running:
        reason = f"Subscriber for {frame.id} already exists"
        return connection, [Close(CloseCode.SUBSCRIBER_EXISTS, reason)]
    if len(connection.subscriptions) + len(connection.running) >= MAX_SUBSCRIPTIONS:
        refusal = error_of(
            f"A socket may have {MAX_SUBSCRIPTIONS} operations at once (MAX_SUBSCRIPTIONS).",
            "SUBSCRIPTION_LIMIT",
            limit="MAX_SUBSCRIPTIONS",
        )
        return connection, [Send(frames.error(frame.id, [refusal]))]
    reserved = replace(connection, running=(*connection.running, frame.id))
    return reserved, [Start(frame.id, frame.payload)]
