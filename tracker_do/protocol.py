"""graphql-transport-ws as a pure function: a connection and a frame give a connection and actions.

Nothing is sent, read or measured here; whoever calls performs the actions, in their order, once
the connection that came with them is stored.
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

# Where a subscriber stands in the log: None where all live ones do, a number while it catches up.
# A text says that nothing was read for it yet: the cursor to begin behind, empty for now.
Position: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription of a connection: the digest of its plan, and the position it has reached."""

    plan: str
    position: Position


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known of a socket; it survives the object's eviction as the socket's attachment."""

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
    """The client has read all that was sent before the server's last ping."""


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
    """What a message from the client leads to."""
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
    """The operation has turned out to be a subscription."""
    ended = end(connection, operation_id)
    return replace(ended, subscriptions={**ended.subscriptions, operation_id: subscription})


def end(connection: Connection, operation_id: str) -> Connection:
    """The operation is over, if there is one of this id: an end may cross with another."""
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
