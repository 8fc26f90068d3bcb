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
from resolvers.following.history import Event, Position, StepKey
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


@dataclass(slots=True)
class Followed:
    """An instance as it was recorded: its row, its run, its position, and its open steps."""

    row: int
    run: int
    # None if nothing of the run's history is recorded.
    position: Position | None
    # The time of the first event, which tells the history of one run from that of the next.
    begun_ms: int
    translation: Translation

    @property
    def stored(self) -> str:
        """The text of the column `followed`; for UNREAD the column may be null, too."""
        # Texts are compared, so this is the form that SQLite writes, too.
        if self.position is None:
            return encode([0, 0, "", self.begun_ms])
        position, steps = self.position, self.translation.open.items()
        open_steps = [[key.name, key.occurrence, step.kind, step.until] for key, step in steps]
        return encode([position.number, position.at_ms, position.type, self.begun_ms, open_steps])


def select_followed(key: Key) -> Statement:
    """Select an instance as JSON text that `parse_followed` takes."""
    workflow, instance_id = key
    bound = Parameters()
    return bound.statement(
        "SELECT json_array(i.id,i.run,i.status,i.sleep_until,i.input IS NOT NULL,json(i.followed))"
        f" FROM instances i WHERE {bound.instance('i', instance_id, workflow)}"
    )


def parse_followed(text: str, key: Key) -> Followed:
    """Parse the text of `select_followed`."""
    workflow, instance_id = key
    row, run, status, sleep_until, has_input, followed = json.loads(text)
    number, at_ms, type_, begun_ms, *steps = followed or (0, 0, "", 0)
    translation = Translation(
        workflow,
        instance_id,
        InstanceStatus(status),
        sleep_until=sleep_until,
        has_input=bool(has_input),
    )
    for name, occurrence, kind, until in steps[0] if steps else ():
        translation.open[StepKey(name, occurrence)] = Open(StepKind(kind), until)
    position = Position(number, at_ms, type_) if number else None
    return Followed(row, run, position, begun_ms, translation)


def record_part(
    followed: Followed, before: str, updates: Sequence[tuple[Event, Update]]
) -> list[Statement]:
    """Make the statements of one part of the history.

    `followed` is the instance afterwards, and `before` the text of its position before.
    """
    bound = Parameters()
    statements = [
        bound.statement(
            f"INSERT INTO refusals SELECT {bound.bind(STALE)} WHERE NOT EXISTS (SELECT 1"
            f" FROM instances WHERE {_stands(followed, before, bound)})"
        )
    ]
    for event, update in updates:
        if isinstance(update, UpdateStep):
            write, _, *late = update_step(update, _SERVICE, at=event.at)
            statements += [write, *late]
        elif (change := change_instance(update, _SERVICE, at=event.at)) is not None:
            statements.append(change)
        if event.type in ENDS:
            statements += _end(followed, event.at)
    moved = Parameters()
    stored, row = moved.bind(followed.stored), moved.bind_integer(followed.row)
    changes = f"followed={stored},behind_since=NULL"
    if begun := [event.at for event, _ in updates if event.type == "workflow_running"]:
        # A report may have come first, and a resumption comes later.
        at = moved.bind(begun[0])
        changes += f",started_at=min(coalesce(started_at,{at}),{at})"
    statements.append(moved.statement(f"UPDATE instances SET {changes} WHERE id={row}"))
    return statements


def begin_next_run(followed: Followed, at: str) -> Statement:
    """Begin the next run of an instance whose history began again."""
    bound = Parameters()
    now = bound.bind(at)
    return bound.statement(
        f"UPDATE instances SET {NEXT_RUN},followed=NULL,updated_at={now}"
        f" WHERE {_stands(followed, followed.stored, bound)}"
    )


def _stands(followed: Followed, before: str, bound: Parameters) -> str:
    """SQL that is true of the instance's row if it is in this run, and recorded to `before`."""
    row, run = bound.bind_integer(followed.row), bound.bind_integer(followed.run)
    stored = f"coalesce(followed,{literal(UNREAD)})"
    return f"id={row} AND run={run} AND {stored}={bound.bind(before)}"


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
            f"UPDATE instances SET completed_at={at} WHERE id={its_row}"
            " AND completed_at IS NOT NULL"
        ),
    ]
