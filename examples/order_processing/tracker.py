"""Tells Flowflare what a run of the engine does, by the code the mutations use too."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from resolvers.access import principal
from resolvers.instants import format_instant
from resolvers.tracking import record
from resolvers.vocabulary import Scope
from schema.edge import application, perform

_WRITER = principal(Scope.WRITE)


class Tracker:
    """Records the progress of one instance."""

    def __init__(self, instance_id: str) -> None:
        self._instance_id = instance_id

    async def instance(self, **changes: Any) -> None:
        """Record a change of the instance; keys as in UpdateWorkflowInstanceInput."""
        await self._record({"instance": self._named(changes)})

    async def step(self, name: str, **changes: Any) -> None:
        """Record a change of a step; keys as in UpdateWorkflowStepInput."""
        await self._record({"step": self._named({"name": name, **changes})})

    async def falls_asleep(self, name: str, duration: timedelta) -> None:
        """Record that a sleep begins."""
        until = format_instant(datetime.now(UTC) + duration)
        await self._record(
            {"step": self._named({"name": name, "kind": "SLEEP", "status": "RUNNING"})},
            {"instance": self._named({"status": "SLEEPING", "sleepUntil": until})},
        )

    async def wakes_up(self, name: str) -> None:
        """Record that a sleep has ended."""
        await self._record(
            {"step": self._named({"name": name, "status": "COMPLETED"})},
            {"instance": self._named({"status": "RUNNING"})},
        )

    def _named(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {"instanceId": self._instance_id, **changes}

    async def _record(self, *updates: Mapping[str, Any]) -> None:
        database = application().services.database

        async def recorded() -> int:
            return (await record(database, _WRITER, updates)).applied

        await perform(recorded())
