"""Data pipeline: read a batch page by page from an unreliable source, clean it and add it up.

Input: `{"pages": 3, "pageSize": 4, "failures": 1}`, all optional. `failures` is the number of
attempts at which the source fails for each page.
"""

from __future__ import annotations

from typing import Any

from workers import Response, WorkflowEntrypoint

_RETRIES = {"retries": {"limit": 4, "delay": 100, "backoff": "exponential"}}


class SourceUnavailable(Exception):
    """The source did not answer, so the step is retried."""


class DataPipeline(WorkflowEntrypoint):
    """Extract (retried) and transform each page, then load them all."""

    async def run(self, event: Any, step: Any) -> Any:
        """Run one batch; returns its totals."""
        batch = event["payload"] or {}
        size, failures = batch.get("pageSize", 4), batch.get("failures", 1)
        cleaned = [
            await clean_page(step, page, size=size, failures=failures)
            for page in range(1, batch.get("pages", 3) + 1)
        ]

        @step.do("load")
        async def load() -> dict[str, Any]:
            return add_up(cleaned)

        return await load()


async def clean_page(step: Any, page: int, *, size: int, failures: int) -> dict[str, Any]:
    """Run the two steps of a page."""

    @step.do(f"extract page {page}", config=_RETRIES)
    async def extract(ctx: Any) -> list[dict[str, Any]]:
        return read_page(page, size, is_available=ctx["attempt"] > failures)

    @step.do(f"transform page {page}")
    async def transform() -> dict[str, Any]:
        return clean(rows)

    rows = await extract()
    cleaned: dict[str, Any] = await transform()
    return cleaned


def read_page(page: int, size: int, *, is_available: bool) -> list[dict[str, Any]]:
    """Read a page from the source, which represents an external API. The last row is invalid."""
    if not is_available:
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
