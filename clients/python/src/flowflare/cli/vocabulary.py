"""Words of the command line that the API does not have, and what the API's mean here."""

from __future__ import annotations

from enum import StrEnum

from flowflare.client import InstanceStatus

FINISHED = frozenset({InstanceStatus.COMPLETED, InstanceStatus.ERRORED, InstanceStatus.TERMINATED})


class Order(StrEnum):
    """What `list` is ordered by: `InstanceOrderField`, in words of the command line."""

    CREATED = "created"
    UPDATED = "updated"


class Page(StrEnum):
    """Pages that the service has."""

    GRAPHIQL = "graphiql"
    DASHBOARD = "dashboard"
    DOCS = "docs"
