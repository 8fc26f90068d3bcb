"""Data pipeline: read a batch page by page from an unreliable source, clean it and add it up.

Input: `{"pages": 3, "pageSize": 4, "failures": 1}`, all optional. `failures` is the number of
attempts at which the source fails for each page.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from workers import Response

from flowflare import Attempt, Retries, TrackedStep
from flowflare.workflows import TrackedWorkflow

_RETRIES = Retries(limit=4, delay=timedelta(milliseconds=100), backoff="exponential")


class SourceUnavailable(Exception):
    """The source did not answer, so the step is retried."""


class DataPipeline(TrackedWorkflow):
    """Extract (retried) and transform each page, then load them all."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Run one batch; returns its totals."""
        batch = event["payload"] or {}
        size, failures = batch.get("pageSize", 4), batch.get("failures", 1)
        cleaned = []
        for page in range(1, batch.get("pages", 3) + 1):
            extract = partial(read_page, page=page, size=size, failures=failures)
            rows = await step.do(f"extract page {page}", extract, retries=_RETRIES)
            cleaned.append(await step.do(f"transform page {page}", partial(clean, rows)))
        return await step.do("load", partial(add_up, cleaned))


def read_page(attempt: Attempt, *, page: int, size: int, failures: int) -> list[dict[str, Any]]:
    """Read a page from the source, which represents an external API. The last row is invalid."""
    if attempt.number <= failures:
        raise SourceUnavailable(f"page {page} timed out")
    ids = range((page - 1) * size + 1, page * size + 1)
    return [{"id": id_, "amount": "n/a" if id_ % size == 0 else f"{id_}.50"} for id_ in ids]


def clean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Convert the amounts to cents, and reject the rows without a valid amount."""
    amounts, rejected = [], []
    for row in rows:
        whole, point, cents = row["amount"].partition(".")
        if point:
            amounts.append(int(whole) * 100 + int(cents))
        else:
            rejected.append(row["id"])
    return {"cents": amounts, "rejected": rejected}


def add_up(pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the pages."""
    amounts = [cents for page in pages for cents in page["cents"]]
    rejected = [id_ for page in pages for id_ in page["rejected"]]
    return {"rows": len(amounts), "totalCents": sum(amounts), "rejected": rejected}


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Explain how to start the workflow; the Worker has no other HTTP interface."""
    return Response("Start the workflow data-pipeline through Flowflare.\n")
