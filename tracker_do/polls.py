"""Poll requests and poll results: the data that a shard and `polling` exchange."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from resolvers.base.limits import MAX_POLL_EVENTS
from resolvers.subscriptions.plans import SubscriptionPlan
from tracker_do.protocol import Position


@dataclass(frozen=True, slots=True)
class Group:
    """The subscribers of one plan at one position."""

    plan: SubscriptionPlan
    position: Position


@dataclass(frozen=True, slots=True)
class PollRequest:
    """The groups of a shard to poll for. The live ones share `live_position`."""

    shard: str
    # True if the shard is among the trackers that writes notify.
    registered: bool
    live_position: int
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class Advance:
    """The new position of a group, and the text to send to it, if there is one."""

    position: Position
    text: Any = None


@dataclass(slots=True)
class PollResult:
    """The results of a poll, by the groups' numbers in the request."""

    live_position: int
    advances: dict[int, Advance] = field(default_factory=dict)
    refused: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    # How many events the next poll may read for a group.
    window: int = MAX_POLL_EVENTS
    # True if there is more to read already.
    more: bool = False
    # True if all groups are live, and the next poll reads for the same groups and no others.
    repeatable: bool = False
