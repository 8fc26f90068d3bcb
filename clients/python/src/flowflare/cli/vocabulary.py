"""Choices of the command line's own, and the meaning of statuses."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from flowflare.client import InstanceStatus

if TYPE_CHECKING:
    from flowflare.client import InstanceSummary

FINISHED = frozenset({InstanceStatus.COMPLETED, InstanceStatus.ERRORED, InstanceStatus.TERMINATED})


class Order(StrEnum):
    """The orders of `list`: `InstanceOrderField` in the words of the command line."""

    CREATED = "created"
    UPDATED = "updated"


class Page(StrEnum):
    """The pages of the service."""

    GRAPHIQL = "graphiql"
    DASHBOARD = "dashboard"
    DOCS = "docs"


def is_unbound(instance: InstanceSummary) -> bool:
    """True for an instance that waits for its start although no Workflow is bound for it."""
    return instance.status is InstanceStatus.QUEUED and not instance.bound
