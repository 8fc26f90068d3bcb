"""Choices of the command line's own, and the statuses that count as finished."""

from __future__ import annotations

from enum import StrEnum

from flowflare.client import InstanceStatus

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
