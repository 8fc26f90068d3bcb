"""Options that several commands share, and the parsers of their values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from flowflare.cli.errors import UsageMistake
from flowflare.cli.values import parse_duration, parse_instant, read_json
from flowflare.client import EventType, InstanceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowflare.client import EventFilter, InstanceFilter

T = TypeVar("T")
Pair = tuple[str, str]
"""A reference's type and id."""


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value that was given, which may be null; a missing option is None instead."""

    value: Any


def parser_of(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser for Typer, which shows only the messages of its own exceptions."""

    def parser(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parser


duration_parser = parser_of(parse_duration)
instant_parser = parser_of(parse_instant)
json_parser = parser_of(lambda text: Json(read_json(text)))

InstanceId = Annotated[str, typer.Argument(metavar="ID", help="The instance's id.")]
InstanceWorkflow = Annotated[
    str | None,
    typer.Option(
        "--workflow",
        "-w",
        metavar="NAME",
        help="The instance's workflow; needed only if several workflows use the id.",
        show_default=False,
    ),
]
Reference = Annotated[
    Pair | None,
    typer.Option(
        "--ref",
        metavar="TYPE ID",
        help="Type and id of the entity it works on, such as order 1001.",
    ),
]
Timeout = Annotated[
    timedelta | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        parser=duration_parser,
        help="Give up after this time: 90s, 1h30m. No limit by default.",
        show_default=False,
    ),
]
_instant: dict[str, Any] = {"metavar": "WHEN", "parser": instant_parser, "show_default": False}
_choices: dict[str, Any] = {"case_sensitive": False, "show_default": False}


Workflows = Annotated[
    list[str] | None,
    typer.Option(
        "--workflow", "-w", metavar="NAME", help="Only for this workflow; may be repeated."
    ),
]


class OptionGroup:
    """Base of dataclasses whose fields are options; a command gets one as a single argument."""


@dataclass(frozen=True, kw_only=True)
class Selection(OptionGroup):
    """Filters for instances: all members of the API's `InstanceFilter`."""

    workflow: Workflows = None
    status: Annotated[
        list[InstanceStatus] | None,
        typer.Option(
            "--status",
            "-s",
            metavar="STATUS",
            help="Only instances with this status; may be repeated.",
            **_choices,
        ),
    ] = None
    reference: Annotated[
        Pair | None,
        typer.Option(
            "--ref",
            metavar="TYPE ID",
            help="Only instances that work on this entity, such as order 1001.",
        ),
    ] = None
    ref_type: Annotated[
        str | None,
        typer.Option(
            "--ref-type",
            metavar="TYPE",
            help="Only instances that work on entities of this type.",
        ),
    ] = None
    ref_id: Annotated[
        str | None,
        typer.Option(
            "--ref-id", metavar="ID", help="Only instances that work on an entity with this id."
        ),
    ] = None
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="PREFIX",
            help="Only instances whose id, reference id or workflow name begins with this.",
        ),
    ] = None
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            help="Created at or after this time: 1h (ago), 2026-11-25T10:00:00Z.",
            **_instant,
        ),
    ] = None
    until: Annotated[
        datetime | None, typer.Option("--until", help="Created before this time.", **_instant)
    ] = None
    updated_since: Annotated[
        datetime | None,
        typer.Option("--updated-since", help="Last changed at or after this time.", **_instant),
    ] = None
    updated_until: Annotated[
        datetime | None,
        typer.Option("--updated-until", help="Last changed before this time.", **_instant),
    ] = None
    completed_since: Annotated[
        datetime | None,
        typer.Option("--completed-since", help="Ended at or after this time.", **_instant),
    ] = None
    completed_until: Annotated[
        datetime | None,
        typer.Option("--completed-until", help="Ended before this time.", **_instant),
    ] = None
    retrying: Annotated[
        bool | None,
        typer.Option(
            "--retrying/--not-retrying",
            help="Only instances with, or without, a step that waits for its next attempt.",
            show_default=False,
        ),
    ] = None
    stalled_for: Annotated[
        timedelta | None,
        typer.Option(
            "--stalled-for",
            metavar="DURATION",
            parser=duration_parser,
            help="Only unfinished instances that have not changed for at least this long.",
            show_default=False,
        ),
    ] = None

    def filter(self) -> InstanceFilter:
        """The API's filter. Raises UsageMistake for options that exclude each other."""
        from flowflare.client import DateTimeRange, InstanceFilter  # noqa: PLC0415 - heavy

        def between(since: datetime | None, until: datetime | None) -> DateTimeRange | None:
            return DateTimeRange(from_=since, to=until) if since or until else None

        return InstanceFilter(
            workflow=self.workflow or None,
            status=self.status or None,
            reference=reference_filter(self.reference, self.ref_type, self.ref_id),
            search=self.search,
            created_at=between(self.since, self.until),
            updated_at=between(self.updated_since, self.updated_until),
            completed_at=between(self.completed_since, self.completed_until),
            retrying=self.retrying,
            stalled_for=self.stalled_for,
        )


@dataclass(frozen=True, kw_only=True)
class EventSelection(OptionGroup):
    """Filters for events: all members of the API's `EventFilter` but the instance."""

    workflow: Workflows = None
    status: Annotated[
        list[InstanceStatus] | None,
        typer.Option(
            "--status",
            "-s",
            metavar="STATUS",
            help="Only events after which the instance has this status; may be repeated.",
            **_choices,
        ),
    ] = None
    type: Annotated[
        list[EventType] | None,
        typer.Option(
            "--type",
            "-t",
            metavar="TYPE",
            help="Only events of this type; may be repeated.",
            **_choices,
        ),
    ] = None
    reference: Annotated[
        Pair | None,
        typer.Option(
            "--ref",
            metavar="TYPE ID",
            help="Only events of instances that work on this entity, such as order 1001.",
        ),
    ] = None
    ref_type: Annotated[
        str | None,
        typer.Option(
            "--ref-type",
            metavar="TYPE",
            help="Only events of instances that work on entities of this type.",
        ),
    ] = None

    def filter(self, instance_id: str | None = None) -> EventFilter:
        """The API's filter."""
        from flowflare.client import EventFilter  # noqa: PLC0415 - heavy

        return EventFilter(
            instance_id=instance_id,
            workflow=self.workflow or None,
            status=self.status or None,
            type=self.type or None,
            reference=reference_filter(self.reference, self.ref_type, None),
        )


def reference_filter(reference: Pair | None, ref_type: str | None, ref_id: str | None) -> Any:
    """The API's `ReferenceFilter`; None without any of the options."""
    if reference is None and ref_type is None and ref_id is None:
        return None
    if reference is not None and (ref_type is not None or ref_id is not None):
        raise UsageMistake(
            "--ref cannot be combined with --ref-type or --ref-id", hint="It sets both."
        )
    from flowflare.client import ReferenceFilter  # noqa: PLC0415 - heavy

    wanted_type, wanted_id = reference or (ref_type, ref_id)
    return ReferenceFilter(ref_type=wanted_type, ref_id=wanted_id)


@dataclass(frozen=True, kw_only=True)
class Paging(OptionGroup):
    """The size and the position of a page of a list."""

    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="Maximum number to list.")
    ] = 20
    everything: Annotated[bool, typer.Option("--all", help="List all, without a maximum.")] = False
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", help="List only what follows this cursor."),
    ] = None
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="CURSOR", help="List only what precedes this cursor."),
    ] = None
