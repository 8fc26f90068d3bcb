"""Sends the updates of a run, which name its workflow, its instance and its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowflare.outbox import History, Update
    from flowflare.runs import Run
    from flowflare.service import Flowflare, Nowhere


class Reports:
    """Reads the service's record of an instance and sends the updates of one of its runs.

    No update is sent before the record has been read, which has the number of the run. Without the
    number, late updates would change the next run after a restart.
    """

    def __init__(self, service: Flowflare | Nowhere, run: Run) -> None:
        self._service = service
        self._run = run

    async def recall(self) -> History:
        """Continue the run from the record, and return its part on the engine's history. Raises
        FlowflareError if it cannot be read."""
        run = self._run
        found = await self._service.look(run.instance_id, workflow=run.workflow)
        run.recall(found)
        return _history(found)

    async def track(self, updates: Sequence[Update]) -> bool:
        """Apply updates, all of them or none; True if the service follows the instance. Raises
        FlowflareError."""
        run = self._run
        if run.number is None:
            run.identify(await self._service.look(run.instance_id, workflow=run.workflow))
        return await self._service.track([run.text_of(update) for update in updates])

    async def history(self) -> History:
        """State of the service's record of the engine's history. Raises FlowflareError."""
        run = self._run
        return _history(await self._service.following(run.instance_id, workflow=run.workflow))


def _history(found: Mapping[str, Any] | None) -> History:
    if found is None or found.get("following") != "FOLLOWED":
        return "none"
    # The first part of a history begins the run.
    return "awaited" if found["status"] == "QUEUED" else "recorded"
