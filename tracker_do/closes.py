"""Codes and reasons of the closes that JavaScript makes; Python makes some of them, too."""

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
        CloseCode.TRY_AGAIN_LATER, "This shard has reached its number of sockets (MAX_SOCKETS)"
    ),
    "positionLost": Close(CloseCode.SERVICE_RESTART, "The shard has lost its position"),
    "subscriptionLost": Close(CloseCode.INTERNAL_ERROR, "The subscription was lost"),
    "sendFailed": Close(CloseCode.INTERNAL_ERROR, "The socket did not accept a message"),
    "unexpected": Close(CloseCode.INTERNAL_ERROR, "Internal error"),
}
