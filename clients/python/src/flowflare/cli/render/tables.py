"""Lists: a table on a terminal, tab-separated lines otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from flowflare.cli.render.output import STATUS_STYLES, status_text
from flowflare.cli.render.text import ago, error_text, plain, span, wire
from flowflare.cli.vocabulary import is_unbound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowflare.cli.render.output import Output
    from flowflare.client import InstanceKey, InstanceSummary, StatusCount, WorkflowSummary

NARROW = 72
"""Width of a terminal below which a table has fewer columns."""


def plain_table() -> Table:
    """A table without frames, with bold headings."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))


def show_instances(output: Output, instances: Sequence[InstanceSummary]) -> None:
    """Print a list of instances."""
    if not output.for_people:
        output.rows(map(instance_row, instances))
        return
    if not instances:
        output.show(Text("No instances.", style="dim"))
        return
    is_narrow = output.console.width < NARROW
    table = plain_table()
    table.add_column("Instance", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("Workflow", no_wrap=True, overflow="ellipsis", ratio=2)
    if not is_narrow:
        table.add_column("Reference", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("Status", no_wrap=True, min_width=10)
    if not is_narrow:
        table.add_column("Created", no_wrap=True, min_width=7, justify="right")
        table.add_column("Took", no_wrap=True, min_width=6, justify="right")
    now = datetime.now(UTC)
    for instance in instances:
        took = span(instance.duration) if instance.duration is not None else ""
        table.add_row(
            plain(instance.instance_id),
            plain(instance.workflow.name),
            *([] if is_narrow else [plain(reference_text(instance))]),
            _status(instance),
            *([] if is_narrow else [ago(min(instance.created_at, now), now), took]),
        )
    output.show(table)


def _status(instance: InstanceSummary) -> Text:
    status = status_text(instance.status.value)
    return status.append(", unbound", style="dim") if is_unbound(instance) else status


def instance_row(instance: InstanceSummary) -> list[str]:
    """The cells of an instance in tab-separated lines; docs/cli.md lists them."""
    return [
        instance.instance_id,
        instance.workflow.name,
        instance.status.value,
        reference_text(instance),
        wire(instance.created_at),
        wire(instance.updated_at),
        wire(instance.completed_at),
        "" if instance.duration is None else f"{instance.duration.total_seconds():.3f}",
        error_text(instance.error) if instance.error else "",
        "unbound" if is_unbound(instance) else "",
    ]


def reference_text(instance: InstanceKey) -> str:
    """An instance's reference as commands accept it: `order 1001`."""
    if instance.reference is None:
        return ""
    return f"{instance.reference.ref_type} {instance.reference.ref_id}"


def counts_text(counts: Iterable[StatusCount]) -> Text:
    """Counts by status in one line: `COMPLETED 12  ERRORED 1`."""
    parts = [
        Text(f"{count.status.value} {count.count}", style=STATUS_STYLES.get(count.status, ""))
        for count in counts
        if count.count
    ]
    return Text("  ").join(parts) if parts else Text("none", style="dim")


def show_workflows(output: Output, workflows: Sequence[WorkflowSummary]) -> None:
    """Print a list of workflows, with the counts of their instances."""
    if not output.for_people:
        output.rows(
            [
                workflow.name,
                str(sum(count.count for count in workflow.status_counts)),
                " ".join(f"{c.status.value}={c.count}" for c in workflow.status_counts if c.count),
                workflow.latest_instance.instance_id if workflow.latest_instance else "",
                "" if workflow.retention_days is None else str(workflow.retention_days),
                workflow.description or "",
                _bound(workflow),
            ]
            for workflow in workflows
        )
        return
    if not workflows:
        output.show(Text("No workflows.", style="dim"))
        return
    is_narrow = output.console.width < NARROW
    table = plain_table()
    table.add_column("Workflow", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("Instances", overflow="fold", ratio=3)
    if not is_narrow:
        table.add_column("Latest", no_wrap=True, min_width=7)
        table.add_column("Kept", no_wrap=True, min_width=7)
        table.add_column("Bound", no_wrap=True, min_width=5)
        table.add_column("Description", no_wrap=True, overflow="ellipsis", ratio=2)
    now = datetime.now(UTC)
    for workflow in workflows:
        latest = workflow.latest_instance
        table.add_row(
            plain(workflow.name),
            counts_text(workflow.status_counts),
            *(
                []
                if is_narrow
                else [
                    ago(min(latest.created_at, now), now) if latest else "",
                    _kept(workflow.retention_days),
                    _bound(workflow),
                    plain(workflow.description or ""),
                ]
            ),
        )
    output.show(table)


def _bound(workflow: WorkflowSummary) -> str:
    return "yes" if workflow.bound else "track only" if workflow.track_only else "no"


def _kept(days: int | None) -> str:
    return "forever" if days is None else "1 day" if days == 1 else f"{days} days"
