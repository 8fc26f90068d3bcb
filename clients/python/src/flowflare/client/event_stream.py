"""Server-sent events of graphql-sse's distinct connections mode.

See https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md and
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event: its type, and its data with the lines joined."""

    type: str
    data: str


class EventParser:
    """Parses a stream of events from its bytes, in chunks of any size."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._pending = ""
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that this chunk completes; comments and other fields are skipped."""
        *lines, self._pending = (self._pending + self._decoder.decode(chunk)).split("\n")
        for line in lines:
            field, _, value = line.removesuffix("\r").partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                self._type = value
            elif field == "data":
                self._data.append(value)
            elif not field and not value and (self._type or self._data):
                yield ServerEvent(self._type or "message", "\n".join(self._data))
                self._type, self._data = "", []
