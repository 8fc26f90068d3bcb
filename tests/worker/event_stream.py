"""A stream of server-sent events over HTTP."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from tests.support.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.local_server import LocalServer

MEDIA_TYPE = "text/event-stream"
SECONDS = 20.0

_LINE_END = re.compile("\r\n|\n|\r(?!$)")

Event: TypeAlias = "dict[str, Any]"


class EventStream(Closing):
    """One operation over server-sent events, a context manager that closes the stream."""

    def __init__(
        self,
        server: LocalServer,
        query: str,
        *,
        variables: Mapping[str, Any] | None = None,
        method: str = "POST",
        key: str | None = None,
        last_event_id: str | None = None,
        **more: object,
    ) -> None:
        headers = {"accept": MEDIA_TYPE, "authorization": f"Bearer {key or server.key}"}
        if last_event_id is not None:
            headers["last-event-id"] = last_event_id
        request = {"query": query, "variables": dict(variables or {}), **more}
        sent: dict[str, Any] = {"json": request}
        if method == "GET":
            texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in request.items()}
            sent = {"params": texts}
        self._stack = ExitStack()
        opening = httpx.stream(
            method, f"{server.url}/graphql", headers=headers, timeout=SECONDS, **sent
        )
        self.response = self._stack.enter_context(opening)
        self._lines = self._split()

    def _split(self) -> Iterator[str]:
        """Split the text at the line ends of event streams; httpx would split at many more."""
        kept = ""
        for text in self.response.iter_text():
            *lines, kept = _LINE_END.split(kept + text)
            yield from lines
        yield kept

    def next(self) -> Event:
        """Read the next event: its name, its id if it has one, and its JSON data, None if empty."""
        event: Event = {}
        data = ""
        for line in self._lines:
            if line.startswith("data:"):
                data += line.removeprefix("data:").strip() + "\n"
            elif line.startswith(("event:", "id:")):
                name, _, value = line.partition(": ")
                event[name] = value
            elif line == "" and "event" in event:
                return {**event, "data": json.loads(data) if data.strip() else None}
            else:
                # A comment, the time to wait before reconnecting, or the empty line behind them.
                assert line in ("", ":") or line.startswith("retry: "), line
        raise AssertionError(f"the stream has ended inside {event}")

    def rest(self) -> list[Event]:
        """Read all events up to `complete`, which must end the stream."""
        events = [self.next()]
        while events[-1]["event"] != "complete":
            events.append(self.next())
        assert [line for line in self._lines if line] == []
        return events

    def close(self) -> None:
        """Close the stream, whether or not it has ended."""
        self._stack.close()
