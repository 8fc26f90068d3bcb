"""`pause`, `resume`, `terminate`, `restart`, `send-event`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowflare.cli.options import InstanceId, InstanceWorkflow, Json, json_parser
from flowflare.cli.results import document, instance_of
from flowflare.cli.service import ask
from flowflare.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowflare.client import FlowflareClient, InstanceSummary


def pause(session: Session, instance_id: InstanceId, *, workflow: InstanceWorkflow = None) -> None:
    """Pause an instance: the running step ends, and the next one does not begin."""
    _act(session, lambda client: client.pause_workflow(instance_id, workflow))


def resume(session: Session, instance_id: InstanceId, *, workflow: InstanceWorkflow = None) -> None:
    """Resume a paused instance."""
    _act(session, lambda client: client.resume_workflow(instance_id, workflow))


def terminate(
    session: Session, instance_id: InstanceId, *, workflow: InstanceWorkflow = None
) -> None:
    """End an instance; it cannot be resumed."""
    _act(session, lambda client: client.terminate_workflow(instance_id, workflow))


def restart(
    session: Session, instance_id: InstanceId, *, workflow: InstanceWorkflow = None
) -> None:
    """Start an instance again from its beginning, with the same input, as its next run."""
    _act(session, lambda client: client.restart_workflow(instance_id, workflow))


def send_event(
    session: Session,
    instance_id: InstanceId,
    event_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Type of the event that the workflow waits for.")
    ],
    *,
    workflow: InstanceWorkflow = None,
    payload: Annotated[
        Json | None,
        typer.Option(
            "--payload",
            "-p",
            metavar="JSON|@FILE|-",
            parser=json_parser,
            help="Payload of the event; - reads standard input.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send an event to an instance that waits, or will wait, for it."""
    value = payload.value if payload is not None else None
    _act(
        session,
        lambda client: client.send_workflow_event(instance_id, event_type, value, workflow),
    )


def _act(session: Session, action: Callable[[FlowflareClient], Awaitable[Any]]) -> None:
    show_acted(session, instance_of(ask(session.settings, action)))


def show_acted(session: Session, instance: InstanceSummary) -> None:
    """Print an instance after an action: its id, its workflow and its status."""
    if session.output.as_json:
        session.output.document(document(instance))
    else:
        cells = [instance.instance_id, instance.workflow.name, instance.status.value]
        session.output.rows([cells])
