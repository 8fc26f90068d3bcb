"""Sends the updates of a run, which name its workflow, its instance and its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowflare.outbox import Update
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

    async def recall(self) -> None:
        """Continue the run from the record. Raises FlowflareError if it cannot be read."""
        run = self._run
        run.recall(await self._service.look(run.instance_id, workflow=run.workflow))

    async def track(self, updates: Sequence[Update]) -> None:
        """Apply updates, all of them or none. Raises FlowflareError."""
        run = self._run
        if run.number is None:
            run.identify(await self._service.look(run.instance_id, workflow=run.workflow))
        await self._service.track([run.text_of(update) for update in updates])
