"""The closes that JavaScript decides on, some of which Python decides on as well: their codes and
reasons stand once, here, and cross as data."""

from tracker_do.frames import CloseCode
from tracker_do.protocol import Close

TOKEN_EXPIRED = Close(CloseCode.FORBIDDEN, "The token has expired.")
KEY_REVOKED = Close(CloseCode.FORBIDDEN, "The key is not valid any more.")

CLOSES = {
    "tokenExpired": TOKEN_EXPIRED,
    "keyRevoked": KEY_REVOKED,
    "initTimeout": Close(CloseCode.CONNECTION_INIT_TIMEOUT, "Connection initialisation timeout"),
    "unread": Close(CloseCode.TRY_AGAIN_LATER, "Messages were sent and not read (PONG_TIMEOUT_MS)"),
    "shardFull": Close(
        CloseCode.TRY_AGAIN_LATER, "This shard has as many sockets as it takes (MAX_SOCKETS)"
    ),
    "positionLost": Close(CloseCode.SERVICE_RESTART, "The shard has lost its position"),
    "subscriptionLost": Close(CloseCode.INTERNAL_ERROR, "The subscription was lost"),
    "sendFailed": Close(CloseCode.INTERNAL_ERROR, "The socket took no more messages"),
    "unexpected": Close(CloseCode.INTERNAL_ERROR, "Something went wrong here"),
}
