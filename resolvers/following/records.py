"""The statements that record a part of an instance's history, at most once.

The instance's row has the position that its history was recorded to, and a batch is refused unless
the row still has the position and the run that the part begins from. So two followers, or a part
that is sent twice, end in the same rows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from resolvers.access.principals import Principal
from resolvers.base.json_text import encode
from resolvers.base.vocabulary import InstanceStatus, StepKind
from resolvers.following.history import Event, Position, StepKey, epoch_ms, instant
from resolvers.following.translation import ENDS, Open, Translation, Update
from resolvers.ports.database import Statement
from resolvers.ports.engine import Key
from resolvers.ports.sql import UNREAD, literal
from resolvers.writing.inputs import UpdateStep
from resolvers.writing.instances import NEXT_RUN, change_instance
from resolvers.writing.statements import Parameters
from resolvers.writing.steps import update_step

# Every instance is visible to the service itself.
_SERVICE = Principal(frozenset())
# The reason with which a batch is refused that does not begin where the row is.
STALE = '{"refusal":"stale history"}'


@dataclass(frozen=True, slots=True)
class Place:
    """The row of an instance, its run, and the text of the column `followed`."""

    row: int
    run: int
    stored: str
    # When the run began, if that is recorded.
    began_at: str | None


@dataclass(slots=True)
class Followed:
    """An instance as it was recorded: its row, its run, its position, and its open steps."""

    row: int
    run: int
    # None if nothing of the run's history is recorded.
    position: Position | None
    # The time of the event with which the run begins, which tells its history from that of the next
    # run; 0 if it has not been recorded.
    begun_ms: int
    translation: Translation
    is_behind: bool = False

    @property
    def is_consistent(self) -> bool:
        """True if the recorded status is the one that the history leads to."""
        return self.position is not None and self.translation.is_after(self.position.type)

    @property
    def place(self) -> Place:
        """The place that its history was recorded to."""
        began_at = instant(self.begun_ms) if self.begun_ms else None
        return Place(self.row, self.run, self._stored, began_at)

    @property
    def _stored(self) -> str:
        """The text of the column `followed`; for UNREAD the column may be null, too."""
        # Texts are compared, so this is the form that SQLite writes, too.
        if self.position is None:
            return encode([0, 0, "", self.begun_ms])
        position, steps = self.position, self.translation.open.items()
        open_steps = [[key.name, key.occurrence, step.kind, step.until] for key, step in steps]
        return encode(
            [
                *(position.number, position.at_ms, position.type, self.begun_ms),
                open_steps,
                list(self.translation.rests.items()),
            ]
        )


def select_followed(key: Key) -> Statement:
    """Select an instance as JSON text that `parse_followed` takes."""
    workflow, instance_id = key
    bound = Parameters()
    return bound.statement(
        "SELECT json_array(i.id,i.run,i.status,i.sleep_until,i.input IS NOT NULL,json(i.followed),"
        "i.updated_at,i.behind_since IS NOT NULL)"
        f" FROM instances i WHERE {bound.instance('i', instance_id, workflow)}"
    )


def parse_followed(text: str, key: Key) -> tuple[Followed, int]:
    """Parse the text of `select_followed`; also returns the time of the row's last change."""
    workflow, instance_id = key
    row, run, status, sleep_until, has_input, followed, updated_at, is_behind = json.loads(text)
    number, at_ms, type_, begun_ms, *state = followed or (0, 0, "", 0)
    open_steps, rests = state or ((), ())
    translation = Translation(
        workflow,
        instance_id,
        InstanceStatus(status),
        sleep_until=sleep_until,
        has_input=bool(has_input),
        rests=dict(rests),
    )
    for name, occurrence, kind, until in open_steps:
        translation.open[StepKey(name, occurrence)] = Open(StepKind(kind), until)
    position = Position(number, at_ms, type_) if number else None
    followed_ = Followed(row, run, position, begun_ms, translation, bool(is_behind))
    return followed_, epoch_ms(updated_at)


def require(places: Sequence[Place]) -> Statement:
    """Refuse the batch unless each instance is still in its place."""
    bound = Parameters()
    rows = encode([[place.row, place.run, place.stored] for place in places])
    return bound.statement(
        f"INSERT INTO refusals SELECT {bound.bind(STALE)} WHERE EXISTS (SELECT 1"
        f" FROM json_each({bound.bind(rows)}) e LEFT JOIN instances i ON i.id=e.value->>0"
        f" AND i.run=e.value->>1 AND coalesce(i.followed,{literal(UNREAD)})=e.value->>2"
        " WHERE i.id IS NULL)"
    )


def move(places: Sequence[Place]) -> Statement:
    """Store the places that the histories are recorded to."""
    bound = Parameters()
    rows = encode([[place.row, place.stored, place.began_at] for place in places])
    return bound.statement(
        "UPDATE instances SET followed=e.value->>1,behind_since=NULL,"
        # A report may have come before the engine's event.
        "started_at=iif(started_at>e.value->>2,e.value->>2,started_at)"
        f" FROM json_each({bound.bind(rows)}) e WHERE instances.id=e.value->>0"
    )


def set_times(times: Sequence[tuple[Place, str]]) -> Statement:
    """Store the times of the last changes, which the triggers leave out for followed instances."""
    bound = Parameters()
    rows = encode([[place.row, at] for place, at in times])
    return bound.statement(
        f"UPDATE instances SET updated_at=e.value->>1 FROM json_each({bound.bind(rows)}) e"
        " WHERE instances.id=e.value->>0 AND updated_at<e.value->>1"
    )


def write_updates(followed: Followed, updates: Sequence[tuple[Event, Update]]) -> list[Statement]:
    """Make the statements of the updates that events amount to."""
    statements: list[Statement] = []
    for event, update in updates:
        if isinstance(update, UpdateStep):
            write, _, *late = update_step(update, _SERVICE, at=event.at)
            statements += [write, *late]
        elif (change := change_instance(update, _SERVICE, at=event.at)) is not None:
            statements.append(change)
        if event.type in ENDS:
            statements += _end(followed, event.at)
    return statements


def begin_next_run(followed: Followed, at: str) -> Statement:
    """Begin the next run of an instance whose history began again."""
    bound = Parameters()
    now, place = bound.bind(at), followed.place
    row, run = bound.bind_integer(place.row), bound.bind_integer(place.run)
    return bound.statement(
        f"UPDATE instances SET {NEXT_RUN},followed={literal(UNREAD)},updated_at={now}"
        f" WHERE id={row} AND run={run} AND followed={bound.bind(place.stored)}"
    )


def catch_up(place: Place) -> Statement:
    """Record that the history of an instance can be read again."""
    bound = Parameters()
    row = bound.bind_integer(place.row)
    return bound.statement(f"UPDATE instances SET behind_since=NULL WHERE id={row}")


def fall_behind(key: Key, at: str) -> Statement:
    """Record that the history of an instance has not been readable since a time."""
    workflow, instance_id = key
    bound = Parameters()
    return bound.statement(
        f"UPDATE instances SET behind_since={bound.bind(at)}"
        f" WHERE {bound.instance('instances', instance_id, workflow)}"
        " AND followed IS NOT NULL AND behind_since IS NULL"
    )


def _end(followed: Followed, at: str) -> list[Statement]:
    """Give a run that has ended the engine's time, if an action recorded its end before.

    Steps whose beginning was recorded after that action end as well.
    """
    steps, instance = Parameters(), Parameters()
    now = steps.bind(at)
    row, run = steps.bind_integer(followed.row), steps.bind_integer(followed.run)
    at, its_row = instance.bind(at), instance.bind_integer(followed.row)
    return [
        steps.statement(
            f"UPDATE steps SET status='CANCELLED',next_retry_at=NULL,completed_at={now},"
            f"updated_at={now} WHERE instance={row} AND run={run}"
            " AND status IN ('PENDING','RUNNING','RETRYING')"
        ),
        instance.statement(
            f"UPDATE instances SET completed_at={at} WHERE id={its_row} AND completed_at<>{at}"
        ),
    ]
