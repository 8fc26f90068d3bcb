"""The limits and closes that JavaScript uses. They are defined in Python alone, and cross as data
(see `install` in python.mjs)."""

from typing import Any

from resolvers.base import limits
from resolvers.subscriptions.plans import ORIGIN
from tracker_do.closes import CLOSES
from tracker_do.frames import close_reason
from tracker_do.polling import MAX_POSITION

_FIRST_RETRY_MS = 1_000


def settings(*, max_sockets: int) -> dict[str, Any]:
    """The limits by name, and the closes as code and reason by name."""
    return {
        "limits": {
            "sockets": max_sockets,
            "pollEvents": limits.MAX_POLL_EVENTS,
            "pollReplays": limits.MAX_POLL_REPLAYS,
            "pollAgainMs": limits.POLL_AGAIN_MS,
            "firstRetryMs": _FIRST_RETRY_MS,
            "maxRetryMs": limits.MAX_RETRY_MS,
            "maxPosition": MAX_POSITION,
            "cursorLength": len(ORIGIN),
            "unreadCharacters": limits.MAX_UNREAD_CHARACTERS,
            "pongTimeoutMs": limits.PONG_TIMEOUT_MS,
            "initTimeoutMs": limits.INIT_TIMEOUT_MS,
            "frameBytes": limits.MAX_FRAME_BYTES,
            "initFrameBytes": limits.MAX_INIT_FRAME_BYTES,
            "initFrames": limits.MAX_INIT_FRAMES,
            "operations": limits.MAX_CONCURRENT_OPERATIONS,
            "json": {"depth": limits.MAX_BODY_DEPTH, "values": limits.MAX_BODY_VALUES},
        },
        "closes": {
            name: [int(close.code), close_reason(close.reason)] for name, close in CLOSES.items()
        },
    }
