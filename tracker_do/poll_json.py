"""The JSON of poll requests and poll results, which poll.mjs describes."""

from collections.abc import Mapping, Sequence
from typing import Any

from resolvers.base.limits import MAX_PREFETCH_NODES, MAX_PREFETCH_STATEMENTS
from resolvers.ports.database import share_of
from resolvers.subscriptions.plans import SubscriptionPlan
from tracker_do.polling import HEAD_OF_LOG, widest_window
from tracker_do.polls import Group, PollRequest, PollResult


def request_of(asked: Mapping[str, Any], plans: Mapping[str, SubscriptionPlan]) -> PollRequest:
    """The poll request of parsed JSON; `plans` are by digest."""
    groups = [Group(plans[digest], position) for digest, position in asked["groups"]]
    return PollRequest(asked["shard"], asked["registered"], asked["livePosition"], groups)


def json_of(result: PollResult, groups: Sequence[Group]) -> dict[str, Any]:
    """The JSON of a poll result, with a template of the next poll if that needs no Python."""
    described: dict[str, Any] = {
        "livePosition": result.live_position,
        "window": result.window,
        "more": result.more,
        "advances": [[n, each.position, each.text] for n, each in result.advances.items()],
        "refused": list(result.refused.items()),
        "keys": [group.plan.key for group in groups],
    }
    if result.repeatable:
        described["template"] = template_of(groups)
    return described


def template_of(groups: Sequence[Group]) -> dict[str, Any]:
    """The template of a poll for the same groups, which differs only in its window."""
    plans = [group.plan for group in groups]
    share = share_of(len(plans))
    nodes = sum(plan.nodes for plan in plans)
    return {
        "head": [HEAD_OF_LOG.sql, HEAD_OF_LOG.parameters, HEAD_OF_LOG.opaque],
        "reads": [plan.template(share) for plan in plans],
        "window": widest_window(groups),
        # A write waits for what it prefetches, so that is kept small.
        "isPrefetchable": len(plans) <= MAX_PREFETCH_STATEMENTS and nodes <= MAX_PREFETCH_NODES,
    }
