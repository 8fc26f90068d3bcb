"""`watch`, and the part of it that `start --wait` uses."""

from __future__ import annotations

import shlex
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from flowflare.cli.errors import CliError, ExitCode, UsageMistake
from flowflare.cli.options import EventSelection, Timeout
from flowflare.cli.render.text import error_text
from flowflare.cli.results import no_instance
from flowflare.cli.service import ask
from flowflare.cli.session import Session
from flowflare.cli.vocabulary import FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowflare.client import (
        EventFilter,
        FlowflareClient,
        InstanceSummary,
        WorkflowEvent,
        WorkflowInstance,
    )


def watch(
    session: Session,
    instance_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="Watch this instance until it has finished.", show_default=False
        ),
    ] = None,
    *,
    selection: EventSelection,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="CURSOR",
            help="Print the events after this one first, then live events.",
        ),
    ] = None,
    timeout: Timeout = None,
) -> None:
    """Print events as they happen, each once, even if the connection is lost.

    With an ID it ends when the instance ends: with exit code 0 if it has completed, 1 if not;
    --workflow is needed if instances of several workflows have the ID. Without an ID, Ctrl-C ends
    it. --json writes one line for each event; --after with the cursor of
    the last event continues where it stopped.
    """
    if after is not None and not _is_cursor(after):
        raise UsageMistake(
            f"--after must be a cursor of 16 digits, not {after!r}",
            hint="--json prints the cursor of each event.",
        )
    show = _shown_by(session)
    if instance_id is None:
        chosen = selection.filter()
        ask(session.settings, lambda client: _follow(client, chosen, after, show), timeout=timeout)
        return

    if len(selection.workflow or []) > 1:
        raise UsageMistake("With an ID, --workflow may be given only once")

    async def follow(client: FlowflareClient) -> WorkflowInstance:
        # The head of the log is read first, so that no event is lost until the instance is read.
        head = after or (await client.get_log_head()).cursor
        return await _follow_one(
            client, instance_id, selection, head=head, replays=after is not None, show=show
        )

    end(session, ask(session.settings, follow, timeout=timeout))


async def follow_to_its_end(
    session: Session, client: FlowflareClient, instance: InstanceSummary, *, head: str
) -> WorkflowInstance:
    """Wait for the instance to finish, and return it; a terminal shows its events after `head`."""
    selection = EventSelection(workflow=[instance.workflow.name])
    show = None if session.output.as_json else _shown_by(session)
    return await _follow_one(client, instance.instance_id, selection, head=head, show=show)


def end(session: Session, instance: InstanceSummary) -> None:
    """Print how an instance has ended, and exit with the code for it."""
    status = instance.status.value
    if status == "COMPLETED":
        session.note(f"{instance.instance_id} is {status}.")
        raise typer.Exit(ExitCode.OK)
    reason = f": {error_text(instance.error)}" if instance.error is not None else ""
    get = shlex.join(["flowflare", "get", instance.instance_id, "-w", instance.workflow.name])
    raise CliError(f"{instance.instance_id} is {status}{reason}", hint=f"`{get}` shows its steps.")


def _shown_by(session: Session) -> Callable[[WorkflowEvent], None]:
    from flowflare.cli.render.events import show_event  # noqa: PLC0415 - heavy

    output = session.output
    return lambda event: show_event(output, event)


async def _follow(
    client: FlowflareClient,
    chosen: EventFilter,
    after: str | None,
    show: Callable[[WorkflowEvent], None],
) -> None:
    async with aclosing(client.watch_events(filter=chosen, after=after)) as pages:
        async for page in pages:
            for event in page.events:
                show(event)


async def _follow_one(
    client: FlowflareClient,
    instance_id: str,
    selection: EventSelection,
    *,
    head: str,
    replays: bool = False,
    show: Callable[[WorkflowEvent], None] | None,
) -> WorkflowInstance:
    """Wait for the instance to finish, showing its events after `head`, and return it.

    If it has finished already, nothing is shown unless the past is to be replayed.
    """
    instance = await _instance(client, instance_id, next(iter(selection.workflow or []), None))
    if instance.status in FINISHED and not replays:
        return instance
    # From here on the workflow is named: another one may get an instance with the id.
    workflow = instance.workflow.name
    chosen = replace(selection, workflow=[workflow]).filter(instance_id)
    async with aclosing(client.watch_events(filter=chosen, after=head)) as pages:
        async for page in pages:
            for event in page.events:
                if show is not None:
                    show(event)
                if event.status not in FINISHED:
                    continue
                # The instance may have been restarted after this event.
                instance = await _instance(client, instance_id, workflow)
                if instance.run == event.run:
                    return instance
    return instance


async def _instance(
    client: FlowflareClient, instance_id: str, workflow: str | None
) -> WorkflowInstance:
    instance = await client.get_instance(instance_id, workflow)
    if instance is None:
        raise no_instance(instance_id, workflow)
    return instance


def _is_cursor(text: str) -> bool:
    return len(text) == 16 and text.isascii() and text.isdigit()
