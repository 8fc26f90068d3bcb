"""`pause`, `resume`, `terminate`, `restart`, `send-event`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowflare.cli.options import InstanceId, Json, json_parser
from flowflare.cli.results import document, instance_of
from flowflare.cli.service import ask
from flowflare.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowflare.client import FlowflareClient


def pause(session: Session, instance_id: InstanceId) -> None:
    """Pause an instance: the step that runs ends, the next one does not begin."""
    _act(session, lambda client: client.pause_workflow(instance_id=instance_id))


def resume(session: Session, instance_id: InstanceId) -> None:
    """Let a paused instance go on."""
    _act(session, lambda client: client.resume_workflow(instance_id=instance_id))


def terminate(session: Session, instance_id: InstanceId) -> None:
    """End an instance for good."""
    _act(session, lambda client: client.terminate_workflow(instance_id=instance_id))


def restart(session: Session, instance_id: InstanceId) -> None:
    """Begin an instance again, with the same input; its steps are removed."""
    _act(session, lambda client: client.restart_workflow(instance_id=instance_id))


def send_event(
    session: Session,
    instance_id: InstanceId,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="What the workflow waits for.")],
    *,
    payload: Annotated[
        Json | None,
        typer.Option(
            "--payload",
            "-p",
            metavar="JSON|@FILE|-",
            parser=json_parser,
            help="What the event carries; - is standard input.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send an event to an instance that waits for it, or will."""
    value = payload.value if payload is not None else None
    _act(
        session,
        lambda client: client.send_workflow_event(
            instance_id=instance_id, type=event_type, payload=value
        ),
    )


def _act(session: Session, action: Callable[[FlowflareClient], Awaitable[Any]]) -> None:
    instance = instance_of(ask(session.settings, action))
    if session.output.as_json:
        session.output.document(document(instance))
    else:
        session.output.line(f"{instance.instance_id}\t{instance.status.value}")
