"""The messages of graphql-transport-ws: models of incoming frames, texts of outgoing ones.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from resolvers.base.json_text import decode_untrusted, encode, encode_value
from resolvers.base.limits import (
    MAX_BODY_DEPTH,
    MAX_BODY_VALUES,
    MAX_FRAME_BYTES,
    MAX_INIT_FRAME_BYTES,
    MAX_INIT_FRAMES,
    MAX_OPERATION_ID,
)

_MAX_REASON_BYTES = 123  # RFC 6455, 5.5: 125 bytes for a control frame, two of them the code


Payload: TypeAlias = dict[str, Any] | None


class CloseCode(IntEnum):
    """Codes of the server's closes: those of the protocol, and four of RFC 6455's registry."""

    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    CONNECTION_INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INIT_REQUESTS = 4429


class Malformed(Exception):
    """A message that is not valid in the protocol; the socket is closed with `code`."""

    def __init__(self, reason: str, code: CloseCode = CloseCode.BAD_REQUEST) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


def _representable(payload: Payload) -> Payload:
    """Refuse numbers beyond the range of floats: the payload of a ping is sent back as JSON."""
    encode_value(payload)
    return payload


OperationId = Annotated[str, Field(min_length=1, max_length=MAX_OPERATION_ID)]


class ConnectionInit(_Frame):
    """Authenticates the connection with the key in `payload.authorization`."""

    type: Literal["connection_init"]
    payload: Payload = None


class Ping(_Frame):
    """Asks for a pong."""

    type: Literal["ping"]
    payload: Annotated[Payload, AfterValidator(_representable)] = None


class Pong(_Frame):
    """Answers a ping of the server, or shows that the client is alive."""

    type: Literal["pong"]
    payload: Payload = None


class SubscribePayload(_Frame):
    """A GraphQL request."""

    query: str
    variables: Payload = None
    operationName: str | None = None  # noqa: N815  # the protocol's name
    extensions: Payload = None


class Subscribe(_Frame):
    """Starts an operation of any kind."""

    type: Literal["subscribe"]
    id: OperationId
    payload: SubscribePayload


class Complete(_Frame):
    """Ends an operation."""

    type: Literal["complete"]
    id: OperationId


ClientFrame: TypeAlias = ConnectionInit | Ping | Pong | Subscribe | Complete

_CLIENT_FRAME: TypeAdapter[ClientFrame] = TypeAdapter(
    Annotated[ClientFrame, Field(discriminator="type")]
)


# Reasons and codes by the problems that JavaScript finds in a message.
_PROBLEMS = {
    "BINARY": ("Messages are text, not binary", CloseCode.BAD_REQUEST),
    "TOO_LARGE": (
        f"A message may have {MAX_FRAME_BYTES} bytes (MAX_FRAME_BYTES),"
        f" {MAX_INIT_FRAME_BYTES} before connection_init",
        CloseCode.MESSAGE_TOO_BIG,
    ),
    "TOO_MANY": (
        f"At most {MAX_INIT_FRAMES} messages may come before connection_init (MAX_INIT_FRAMES)",
        CloseCode.BAD_REQUEST,
    ),
    "TOO_DEEP": (
        f"The message may be nested at most {MAX_BODY_DEPTH} levels deep (MAX_BODY_DEPTH)",
        CloseCode.BAD_REQUEST,
    ),
    "TOO_MANY_VALUES": (
        f"The message may have at most {MAX_BODY_VALUES} values (MAX_BODY_VALUES)",
        CloseCode.BAD_REQUEST,
    ),
}


def parse(message: str, *, problem: str = "") -> ClientFrame:
    """Parse a message; raises Malformed if it is not a frame.

    `problem` is set if JavaScript has refused the message, which is empty then: BINARY, TOO_LARGE,
    TOO_MANY, TOO_DEEP or TOO_MANY_VALUES.
    """
    if problem:
        raise Malformed(*_PROBLEMS[problem])
    try:
        value = decode_untrusted(message)
    except ValueError as error:
        raise Malformed(f"The message {error}") from error
    try:
        return _CLIENT_FRAME.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise Malformed(f"{place}: {first['msg']}") from error


CONNECTION_ACK = encode({"type": "connection_ack"})


def pong(payload: Payload) -> str:
    """The answer to a ping, with the ping's payload if it has one."""
    return encode({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})


def next_(operation_id: str, result: Sequence[Any]) -> list[Any]:
    """The pieces of a frame with a result, which is in pieces, too."""
    return [f'{{"id":{encode(operation_id)},"type":"next","payload":', *result, "}"]


def error(operation_id: str, errors: Sequence[dict[str, Any]]) -> str:
    """A frame for an operation that ended without being executed."""
    return encode({"id": operation_id, "type": "error", "payload": list(errors)})


def complete(operation_id: str) -> str:
    """A frame for an operation that has ended."""
    return encode({"id": operation_id, "type": "complete"})


def close_reason(text: str) -> str:
    """A reason cut to the length that fits into a close frame."""
    return text.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore")
