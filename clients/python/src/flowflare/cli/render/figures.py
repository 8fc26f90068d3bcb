"""The output of `stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from flowflare.cli.render.bars import sparkline
from flowflare.cli.render.output import STATUS_STYLES
from flowflare.cli.render.tables import plain_table
from flowflare.cli.render.text import local, span, wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowflare.cli.render.output import Output
    from flowflare.client import InstanceStats

_LONGEST_BAR = 40
_SERIES = (("started", "cyan"), ("completed", "green"), ("errored", "red"))


def show_stats(output: Output, stats: InstanceStats) -> None:
    """Print the statistics: totals, counts by status as bars, durations, and a timeline."""
    if not output.for_people:
        output.rows(_rows(stats))
        return
    output.show(Text.assemble(("instances", "dim"), f"  {stats.total}"))
    if stats.duration_p50 is not None and stats.duration_p95 is not None:
        durations = f"  {span(stats.duration_p50)} median, {span(stats.duration_p95)} p95"
        output.show(Text.assemble(("took     ", "dim"), durations))
    output.show(Text.assemble(("retries  ", "dim"), f"  {stats.retry_count}"))
    if stats.total:
        output.show(Text())
        _show_counts(output, stats)
    if any(getattr(part, name) for part in stats.timeline for name, _ in _SERIES):
        output.show(Text())
        _show_timeline(output, stats)


def _rows(stats: InstanceStats) -> Sequence[Sequence[str]]:
    """Lines of a name and its value, then one for each slice of time."""
    durations = (("p50", stats.duration_p50), ("p95", stats.duration_p95))
    return [
        ["total", str(stats.total)],
        *([count.status.value, str(count.count)] for count in stats.status_counts),
        *(
            [name, "" if length is None else f"{length.total_seconds():.3f}"]
            for name, length in durations
        ),
        ["retries", str(stats.retry_count)],
        *(
            ["slice", wire(part.from_), str(part.started), str(part.completed), str(part.errored)]
            for part in stats.timeline
        ),
    ]


def _show_counts(output: Output, stats: InstanceStats) -> None:
    table = plain_table()
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    width = max(min(output.console.width - 32, _LONGEST_BAR), 0)
    greatest = max(count.count for count in stats.status_counts)
    block = "#" if output.ascii_only else "█"
    for count in stats.status_counts:
        style = STATUS_STYLES.get(count.status, "")
        length = max(round(count.count / greatest * width), 1) if count.count else 0
        table.add_row(
            Text(count.status.value, style=style),
            str(count.count),
            Text(block * length, style=style),
        )
    output.show(table)


def _show_timeline(output: Output, stats: InstanceStats) -> None:
    first, last = stats.timeline[0], stats.timeline[-1]
    for name, style in _SERIES:
        values = [getattr(part, name) for part in stats.timeline]
        line = Text.assemble((f"{name:<11}", "dim"))
        line.append(sparkline(values, ascii_only=output.ascii_only), style=style)
        line.append(f"  {sum(values)}")
        output.show(line)
    label = f"{'':<11}{local(first.from_)} to {local(last.to)}, {span(first.to - first.from_)} each"
    output.show(Text(label, style="dim"))
