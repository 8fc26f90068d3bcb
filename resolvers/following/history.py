"""The events of an instance's history, as the engine reports them.

The engine numbers the events of an instance from 1 (developers.cloudflare.com/workflows, "Subscribe
to events"). A restart begins the history again, so a number may come to stand for another event.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from resolvers.base.instants import format_instant
from resolvers.base.scrubbing import Rules
from resolvers.base.vocabulary import OutputKind
from resolvers.following.thrown import Thrown, parse_thrown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The step's occurrence follows its name: the third `load` is `load-3`.
_STEP = re.compile(r"(.*)-([1-9]\d{0,5})", re.DOTALL | re.ASCII)
# The end of the year 9999, after which instants have no text.
_LAST_MS = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Position:
    """The last event of a history that was recorded: its number, and what it was."""

    number: int
    at_ms: int
    type: str


@dataclass(frozen=True, slots=True)
class StepKey:
    """A step of a run."""

    name: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `step` is absent if it is about the instance."""

    position: Position
    step: StepKey | None = None
    attempt: int | None = None
    # JSON text, as are all values, and what it is of the value.
    value: str | None = None
    kind: OutputKind | None = None
    error: Thrown | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The engine's word for what has happened."""
        return self.position.type

    @property
    def at(self) -> str:
        """The engine's time of the event."""
        return instant(self.position.at_ms)

    def after(self, milliseconds: float) -> str:
        """The instant so long after the event."""
        return instant(self.position.at_ms + milliseconds)


def instant(epoch_ms: float) -> str:
    """The text of an instant, from the milliseconds since 1970."""
    return format_instant(_EPOCH + timedelta(milliseconds=min(max(epoch_ms, 0), _LAST_MS)))


def epoch_ms(text: str) -> int:
    """The milliseconds since 1970 of the text of an instant."""
    return round((datetime.fromisoformat(text) - _EPOCH) / timedelta(milliseconds=1))


def parse_event(given: Mapping[str, Any]) -> Event:
    """Parse an event as history.mjs describes it."""
    name, error = given.get("step"), given.get("error")
    return Event(
        Position(given["id"], given["at"], given["type"]),
        None if name is None else _parse_step(name),
        given.get("attempt"),
        given.get("value"),
        OutputKind(given["kind"]) if "kind" in given else None,
        parse_thrown(error[0], error[1]) if error else None,
        given.get("details") or {},
    )


def scrub_event(event: Event, rules: Rules) -> Event:
    """Replace the parts of an event that are not to be stored."""
    if not rules:
        return event
    if (error := event.error) is not None:
        stack = None if error.stack is None else rules.text(error.stack)
        scrubbed_error = Thrown(rules.text(error.name), rules.text(error.message), stack)
        event = replace(event, error=scrubbed_error)
    if event.value is not None:
        scrubbed = rules.json(event.value)
        kind = scrubbed.kind_of(event.kind)
        event = replace(event, value=scrubbed.value, kind=kind)
    return event


def _parse_step(name: str) -> StepKey:
    found = _STEP.fullmatch(name)
    return StepKey(found[1], int(found[2])) if found else StepKey(name, 1)
