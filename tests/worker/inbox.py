"""Messages that a client has received, and waits for more."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Message: TypeAlias = dict[str, Any]
DEADLINE_S = 20.0


class Inbox:
    """Messages in the order of their arrival; filled by one thread, read by others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._messages: list[Message] = []
        self._changed = threading.Condition()

    def add(self, message: Message) -> None:
        """Append a message."""
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    @property
    def messages(self) -> list[Message]:
        """All messages so far."""
        with self._changed:
            return list(self._messages)

    @property
    def results(self) -> list[Any]:
        """The payloads of `next`."""
        return [m["payload"] for m in self.messages if m["happened"] == "next"]

    @property
    def last(self) -> Any:
        """`data` of the last `next`, its one root field's value; None before there is one."""
        results = self.results
        return next(iter(results[-1]["data"].values())) if results else None

    @property
    def cursor(self) -> str | None:
        """The cursor of the last `next`; None before there is one."""
        return self.results[-1]["extensions"]["cursor"] if self.results else None

    @property
    def events(self) -> list[Any]:
        """The events of all pages of a subscription to `workflowEvents`, as they were selected."""
        return [event for result in self.results for event in events_in(result)]

    def count(self, happened: str) -> int:
        """The number of messages of a kind."""
        return sum(message["happened"] == happened for message in self.messages)

    def until(self, condition: Callable[[Inbox], bool], *, seconds: float = DEADLINE_S) -> Inbox:
        """Wait until `condition` is true; fail with the last messages if it never is."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            with self._changed:
                left = deadline - time.monotonic()
                assert left > 0, f"{self.name} has only {self._messages[-10:]}"
                self._changed.wait(min(left, 0.1))
        return self

    def until_happened(self, happened: str, *, seconds: float = DEADLINE_S) -> Message:
        """Wait for the first message of a kind, and return it."""
        self.until(lambda inbox: inbox.count(happened) > 0, seconds=seconds)
        return next(m for m in self.messages if m["happened"] == happened)


def events_in(result: Any) -> list[Any]:
    """The events of a page: the only list of a result, under any alias."""
    [page] = result["data"].values()
    [events] = [value for value in page.values() if isinstance(value, list)]
    return list(events)
