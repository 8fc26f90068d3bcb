"""The output of `watch`: one line for each event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from flowflare.cli.render.output import STATUS_STYLES
from flowflare.cli.render.text import error_text, plain, step_text, wire
from flowflare.cli.results import document

if TYPE_CHECKING:
    from flowflare.cli.render.output import Output
    from flowflare.client import WorkflowEvent

_STYLES = {
    "STARTED": "cyan",
    "RESUMED": "cyan",
    "COMPLETED": "green",
    "FAILED": "red",
    "ERRORED": "red",
    "TERMINATED": "magenta",
    "CANCELLED": "magenta",
    "PAUSED": "yellow",
    "RESTARTED": "yellow",
}


def show_event(output: Output, event: WorkflowEvent) -> None:
    """Print an event as JSON, for people, or as tab-separated cells."""
    if output.as_json:
        output.document(document(event), indent=None)
    elif output.for_people:
        output.show(event_line(event))
    else:
        output.rows([event_row(event)])


def event_row(event: WorkflowEvent) -> list[str]:
    """The cells of an event in tab-separated lines; docs/cli.md lists them."""
    return [
        event.cursor,
        wire(event.at),
        event.instance.instance_id,
        event.instance.workflow.name,
        str(event.run),
        event.type.value,
        event.status.value,
        step_text(event.step) if event.step else "",
        "" if event.attempt is None else str(event.attempt),
        error_of(event),
    ]


def event_line(event: WorkflowEvent) -> Text:
    """`12:30:01  order-1002  order-processing  STEP_COMPLETED  charge card, try 3`."""
    line = Text.assemble((event.at.astimezone().strftime("%H:%M:%S"), "dim"))
    line.append(f"  {plain(event.instance.instance_id)}")
    line.append(f"  {plain(event.instance.workflow.name)}  ", style="dim")
    line.append(event.type.value, style=_STYLES.get(event.type.rpartition("_")[2], ""))
    if event.type == "INSTANCE_RESTARTED":
        line.append(f"  run {event.run}")
    if event.step is not None:
        line.append(f"  {plain(step_text(event.step))}")
    if event.attempt is not None:
        line.append(f", try {event.attempt}", style="dim")
    if event.type == "INSTANCE_UPDATED":
        line.append("  ")
        line.append(event.status.value, style=STATUS_STYLES.get(event.status, ""))
    if error := error_of(event):
        line.append(f"  {plain(error)}", style="red")
    return line


def error_of(event: WorkflowEvent) -> str:
    """The error in an event's data; empty without one."""
    from flowflare.client import WorkflowError  # noqa: PLC0415 - heavy

    error = event.data.get("error") if isinstance(event.data, dict) else None
    if not isinstance(error, dict):
        return ""
    name, message = error.get("name", "Error"), error.get("message", "")
    return error_text(WorkflowError(name=str(name), message=str(message), stack=None))
