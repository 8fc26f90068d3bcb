"""One poll, called as the shard calls it: its request, its result, and logs to read."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from resolvers.base.limits import MAX_POLL_EVENTS
from resolvers.ports.database import Database, Outcome, Statement
from resolvers.subscriptions.plans import SubscriptionPlan
from tests.support.client import Client, finished
from tests.support.d1 import SqliteD1
from tests.support.subscribing import events_plan
from tests.support.writing import Writer
from tracker_do import polling
from tracker_do.polls import Group, PollRequest, PollResult
from tracker_do.protocol import Position

ALL = events_plan()


def poll(
    database: Database,
    *groups: tuple[SubscriptionPlan, Position],
    live_position: int = 0,
    registered: bool = True,
    window: int = MAX_POLL_EVENTS,
) -> PollResult:
    """Poll for groups of plans at positions."""
    found = [Group(plan, position) for plan, position in groups]
    return finished(
        polling.poll(database, PollRequest("s", registered, live_position, found), window)
    )


def positions(result: PollResult) -> dict[int, Position]:
    """The new positions, by group."""
    return {number: advance.position for number, advance in result.advances.items()}


def texts(result: PollResult) -> dict[int, tuple[str, Any]]:
    """The texts to send, by group: cursor and value."""
    return {
        number: (advance.text[:16], json.loads(advance.text[16:]))
        for number, advance in result.advances.items()
        if advance.text is not None
    }


def cursors(result: PollResult, group: int) -> list[int]:
    """The positions of the events that a group gets."""
    found = texts(result)
    return [int(e["cursor"]) for e in found[group][1]["events"]] if group in found else []


class Interrupted:
    """A database, with something that happens between the batches of a poll."""

    def __init__(self, database: SqliteD1, between: Callable[[], object]) -> None:
        self._database = database
        self._between = between
        self.batches = 0

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """Run a batch (see `Database.batch`)."""
        if self.batches:
            self._between()
        self.batches += 1
        return await self._database.batch(statements, final=final)


def broken() -> SubscriptionPlan:
    """A plan whose statement no database runs."""
    return replace(of_instance(9), sql="SELECT nothing FROM nowhere", _parameters=())


def of_instance(number: int) -> SubscriptionPlan:
    """The events of one instance."""
    return events_plan(instanceId=f"i{number}")


def append(database: SqliteD1, position: int, count: int = 1) -> None:
    """So many events more, the last at this position, as if nothing lay before them."""
    database.connection.execute(
        "WITH RECURSIVE n(id) AS (VALUES (?1) UNION ALL SELECT id+1 FROM n WHERE id<?2)"
        " INSERT INTO events (id,at,type,instance,run,status)"
        " SELECT id,'2030-01-01T00:00:00.000Z','INSTANCE_UPDATED',1,1,'RUNNING' FROM n",
        (position - count + 1, position),
    )


def tracked(database: SqliteD1 | None = None) -> Writer:
    """A running instance `i`, by the event at position 1."""
    writer = Writer(Client(database))
    writer.create("RUNNING", reference={"refType": "t", "refId": "1"})
    return writer


def code(errors: Any) -> tuple[str, Any]:
    """The code of the only error, and what it names."""
    [error] = errors
    extensions = error["extensions"]
    return extensions["code"], extensions.get("limit") or extensions.get("argument")
