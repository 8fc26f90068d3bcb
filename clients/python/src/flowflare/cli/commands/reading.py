"""`get`, `list`, `ref`, `stats`, `workflows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowflare.cli.options import InstanceId, InstanceWorkflow, Paging, Selection
from flowflare.cli.pages import note_rest, read_pages, read_run
from flowflare.cli.results import document, no_instance
from flowflare.cli.service import ask
from flowflare.cli.session import Session
from flowflare.cli.vocabulary import Order

if TYPE_CHECKING:
    from flowflare.client import FlowflareClient


def get(
    session: Session,
    instance_id: InstanceId,
    *,
    workflow: InstanceWorkflow = None,
    run: Annotated[
        int | None,
        typer.Option(
            "--run",
            min=1,
            metavar="N",
            help="Show this run, such as one before a restart. The current one by default.",
            show_default=False,
        ),
    ] = None,
    stack: Annotated[
        bool, typer.Option("--stack", help="Show the stack traces of errors.")
    ] = False,
) -> None:
    """Show an instance, with its steps as bars over time and its failed attempts."""
    if run is not None:
        _get_run(session, instance_id, workflow, number=run, stacks=stack)
        return
    instance = ask(session.settings, lambda client: client.get_instance(instance_id, workflow))
    if instance is None:
        raise no_instance(instance_id, workflow)
    if session.output.as_json:
        session.output.document(document(instance))
        return
    from flowflare.cli.render.timeline import show_instance  # noqa: PLC0415 - heavy

    show_instance(session.output, instance, stacks=stack)


def _get_run(
    session: Session, instance_id: str, workflow: str | None, *, number: int, stacks: bool
) -> None:
    """Print one run of an instance; as JSON, the instance with this run alone."""
    found = ask(
        session.settings, lambda client: read_run(client, instance_id, workflow, number=number)
    )
    if session.output.as_json:
        session.output.document(document(found))
        return
    from flowflare.cli.render.timeline import show_run  # noqa: PLC0415 - heavy

    show_run(session.output, found, stacks=stacks)


def list_instances(
    session: Session,
    *,
    selection: Selection,
    paging: Paging,
    order: Annotated[
        Order, typer.Option("--order", case_sensitive=False, help="Time to sort by.")
    ] = Order.CREATED,
    ascending: Annotated[bool, typer.Option("--asc", help="Oldest first.")] = False,
    total: Annotated[bool, typer.Option("--total", help="Also print the total number.")] = False,
) -> None:
    """List instances, newest first. An instance has to match all filters."""
    from flowflare.client import InstanceOrder, InstanceOrderField, OrderDirection  # noqa: PLC0415 - heavy

    chosen = selection.filter()
    order_by = InstanceOrder(
        field=InstanceOrderField[f"{order.name}_AT"],
        direction=OrderDirection.ASC if ascending else OrderDirection.DESC,
    )

    counting = total

    async def page(client: FlowflareClient, /, **window: Any) -> Any:
        # Counting may be expensive, so only the first page does it.
        nonlocal counting
        with_total, counting = counting, False
        return await client.list_instances(
            filter=chosen, order_by=order_by, with_total=with_total, **window
        )

    found = ask(session.settings, lambda client: read_pages(client, page, paging))
    if session.output.as_json:
        session.output.document(found.document())
        return
    from flowflare.cli.render.tables import show_instances  # noqa: PLC0415 - heavy

    show_instances(session.output, found.nodes)
    if total:
        session.note(f"{found.total} in total.")
    note_rest(session, found, paging)


def ref(
    session: Session,
    ref_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Type of the entity, such as order.")
    ],
    ref_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the entity, such as 1001.")],
    *,
    paging: Paging,
) -> None:
    """Show the instances that work on an entity such as an order, with counts by status."""

    reference: Any = None

    async def page(client: FlowflareClient, /, **window: Any) -> Any:
        nonlocal reference
        reference = await client.get_reference(ref_type=ref_type, ref_id=ref_id, **window)
        return reference.instances

    found = ask(session.settings, lambda client: read_pages(client, page, paging))
    if session.output.as_json:
        session.output.document({**document(reference), "instances": found.document()})
        return
    from flowflare.cli.render.tables import counts_text, show_instances  # noqa: PLC0415 - heavy

    if session.output.for_people:
        session.output.show(counts_text(reference.status_counts))
    show_instances(session.output, found.nodes)
    note_rest(session, found, paging)


def stats(
    session: Session,
    *,
    selection: Selection,
    slices: Annotated[
        int,
        typer.Option(
            "--slices", min=1, max=200, metavar="N", help="Number of slices of the timeline."
        ),
    ] = 24,
) -> None:
    """Show statistics: counts by status, durations, retries, and a timeline."""
    chosen = selection.filter()
    figures = ask(session.settings, lambda client: client.get_stats(filter=chosen, slices=slices))
    if session.output.as_json:
        session.output.document(document(figures))
        return
    from flowflare.cli.render.figures import show_stats  # noqa: PLC0415 - heavy

    show_stats(session.output, figures)


def workflows(
    session: Session,
    *,
    search: Annotated[
        str | None,
        typer.Option(
            "--search", metavar="PREFIX", help="Only workflows whose name begins with this."
        ),
    ] = None,
    paging: Paging,
) -> None:
    """List workflows by name, with the counts of their instances."""

    async def page(client: FlowflareClient, /, **window: Any) -> Any:
        return await client.list_workflows(with_total=False, search=search, **window)

    found = ask(session.settings, lambda client: read_pages(client, page, paging))
    if session.output.as_json:
        session.output.document(found.document())
        return
    from flowflare.cli.render.tables import show_workflows  # noqa: PLC0415 - heavy

    show_workflows(session.output, found.nodes)
    note_rest(session, found, paging)
