"""Subscribers as their clients see them: what they subscribe to, and a check of each result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resolvers.access.principals import Principal
from resolvers.subscriptions.plans import EVENTS_FIELD, SubscriptionPlan
from tests.support.client import ADMIN
from tests.support.subscribing import plan_of
from tracker_do.protocol import Position


@dataclass(frozen=True)
class Subscription:
    """A subscription that clients of one caller may send."""

    name: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    caller: Principal = ADMIN

    @property
    def selects_events(self) -> bool:
        """True if its results are pages of events, not an object as it is."""
        return EVENTS_FIELD in self.query

    @property
    def plan(self) -> SubscriptionPlan:
        """The plan of it."""
        return plan_of(self.query, caller=self.caller, **self.variables)

    def payload(self, after: int | None, *, by_variable: bool = False) -> dict[str, Any]:
        """The payload of a `subscribe` frame; the cursor goes into its variables or extensions."""
        payload: dict[str, Any] = {"query": self.query, "variables": dict(self.variables)}
        if after is None:
            return payload
        cursor = f"{after:016}"
        if by_variable:
            payload["variables"]["after"] = cursor
        else:
            payload["extensions"] = {"after": cursor}
        return payload


@dataclass(eq=False)
class Subscriber:
    """A subscription that is served, with the results that its client has got."""

    subscription: Subscription
    # It gets the events behind some position from `earliest` to `latest`: "now" is a moment
    # between its subscribe and the answer. None until it has begun.
    earliest: int
    latest: int | None = None
    position: Position = ""
    # The cursor of each result, and its value.
    results: list[tuple[int, Any]] = field(default_factory=list)
    errors: Any = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of all pages."""
        return [event for _, page in self.results for event in page["events"]]

    @property
    def cursor(self) -> int | None:
        """The position to resume behind; None if no result has said one."""
        return self.results[-1][0] if self.results else None

    def note_position(self, position: Position, *, head: int) -> None:
        """The shard has stored a position for it, while the log ends at `head`."""
        self.position = position
        if self.latest is None and position != "":
            self.latest = head

    def take(self, payload: dict[str, Any]) -> None:
        """Check that a result follows those before it."""
        [value] = payload["data"].values()
        cursor = payload.get("extensions", {}).get("cursor")
        before = self.earliest if self.cursor is None else self.cursor
        if cursor is None:
            # A caller with restrictions learns of no position but those of its own events.
            assert self.subscription.caller.is_restricted
            assert not self.subscription.selects_events
            reached = before
        else:
            reached = int(cursor)
            assert cursor == f"{reached:016}"
        if self.subscription.selects_events:
            assert value["cursor"] == cursor
            positions = [int(event["cursor"]) for event in value["events"]]
            assert positions, "a page without events"
            assert positions == sorted(set(positions))
            assert before < positions[0] <= positions[-1] <= reached
        elif not self.subscription.caller.is_restricted:
            assert before <= reached
        self.results.append((reached, value))
