"""Lists, read page by page, and single runs of an instance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flowflare.cli.errors import Missing, UsageMistake
from flowflare.cli.results import document, no_instance

if TYPE_CHECKING:
    from flowflare.cli.options import Paging
    from flowflare.cli.session import Session
    from flowflare.client import FlowflareClient, GetRunsInstance

LARGEST_PAGE = 100
"""The API's limit (docs/limits.md)."""


class ReadPage(Protocol):
    """Reads one page of a connection: `first` and `after`, or `last` and `before`."""

    async def __call__(self, client: FlowflareClient, /, **window: Any) -> Any:
        """The page."""


@dataclass(slots=True)
class Found:
    """The content of several pages of a connection."""

    nodes: list[Any] = field(default_factory=list)
    has_next: bool = False
    has_previous: bool = False
    start: str | None = None
    end: str | None = None
    total: int | None = None

    def document(self) -> dict[str, Any]:
        """The connection as the API would return it in a single page."""
        page_info = {
            "hasNextPage": self.has_next,
            "hasPreviousPage": self.has_previous,
            "startCursor": self.start,
            "endCursor": self.end,
        }
        total = {} if self.total is None else {"totalCount": self.total}
        return {"nodes": [document(node) for node in self.nodes], "pageInfo": page_info, **total}


async def read_pages(client: FlowflareClient, read: ReadPage, paging: Paging) -> Found:
    """Read as many pages as `paging` requires."""
    if paging.after is not None and paging.before is not None:
        raise UsageMistake("--after and --before cannot be combined", hint="Give one of them.")
    backwards = paging.before is not None
    cursor = paging.before if backwards else paging.after
    size, position = ("last", "before") if backwards else ("first", "after")
    found = Found()
    while paging.everything or len(found.nodes) < paging.limit:
        wanted = LARGEST_PAGE if paging.everything else paging.limit - len(found.nodes)
        before = cursor
        page = await read(client, **{size: min(wanted, LARGEST_PAGE), position: cursor})
        info = page.page_info
        is_first = cursor == (paging.before if backwards else paging.after)
        if is_first:
            found.total = getattr(page, "total_count", None)
        if backwards:
            found.nodes = [*page.nodes, *found.nodes]
            found.start, found.has_previous = info.start_cursor, info.has_previous_page
            if is_first:
                found.end, found.has_next = info.end_cursor, info.has_next_page
            cursor, has_more = info.start_cursor, info.has_previous_page
        else:
            found.nodes += page.nodes
            found.end, found.has_next = info.end_cursor, info.has_next_page
            if is_first:
                found.start, found.has_previous = info.start_cursor, info.has_previous_page
            cursor, has_more = info.end_cursor, info.has_next_page
        # A page may be empty although more follows, but then its cursor has moved.
        if not has_more or cursor in (None, before):
            break
    return found


async def read_run(
    client: FlowflareClient, instance_id: str, workflow: str | None, *, number: int
) -> GetRunsInstance:
    """Read an instance with one of its runs. Raises CliError if there is no such run."""
    instance = await client.get_runs(instance_id, workflow, 1, number + 1)
    if instance is None:
        raise no_instance(instance_id, workflow)
    if [run.number for run in instance.runs] != [number]:
        raise Missing(
            f"There is no run {number} of {instance_id!r}",
            hint=f"The current one is {instance.run}.",
        )
    return instance


def note_rest(session: Session, found: Found, paging: Paging) -> None:
    """Print the option that shows the next page, if a terminal shows the output."""
    if not session.output.for_people:
        return
    if paging.before is not None and found.has_previous:
        session.note(f"More: --before {found.start}")
    elif paging.before is None and found.has_next:
        session.note(f"More: --after {found.end}, or --all")
