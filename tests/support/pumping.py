"""A shard's position and subscribers, moved as pump.mjs and members.mjs advance them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from resolvers.base.limits import MAX_POLL_EVENTS, MAX_UNREAD_CHARACTERS
from resolvers.ports.database import Outcome, Statement
from resolvers.subscriptions.plans import SubscriptionPlan
from tests.support.client import finished
from tests.support.d1 import SqliteD1
from tests.support.subscribing import events_plan, head_of
from tests.support.writing import Writer
from tracker_do import polling
from tracker_do.polls import Advance, Group, PollRequest, PollResult
from tracker_do.protocol import Position

ALL = events_plan()


@dataclass(eq=False)
class Member:
    """A subscriber, with what it was told: how far each text brought it, and the text's value."""

    plan: SubscriptionPlan
    position: Position
    # Its plan's name: those of the same name share it.
    name: str = ""
    told: list[tuple[int, Any]] = field(default_factory=list)
    # Behind which position it hears of events; of one that begins now, once a round was made.
    begun: int | None = None
    errors: Any = None
    unread: int = 0
    gone: bool = False

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of all pages it was told, checked as they came."""
        return [event for _, page in self.told for event in page["events"]]

    def take(self, reached: int, text: str) -> None:
        """A text; of a page, that it follows what came before."""
        cursor, value = text[:16], json.loads(text[16:])
        if not self.plan.principal.is_restricted:
            assert cursor == f"{reached:016}"
        elif cursor.strip():
            # That of an event of its own.
            assert int(cursor) <= reached
            reached = int(cursor)
        before = self.told[-1][0] if self.told else self.begun or 0
        if self.plan.selects_events:
            assert self.begun is not None, "a page before the subscriber has begun"
            assert value["cursor"] == f"{reached:016}"
            positions = [int(event["cursor"]) for event in value["events"]]
            assert positions, "a page without events"
            assert positions == sorted(set(positions))
            assert before < positions[0] <= positions[-1] <= reached
        else:
            assert before <= reached
        self.told.append((reached, value))


class Interrupted:
    """A database, with something that happens between the batches of a round."""

    def __init__(self, database: SqliteD1, between: Callable[[], object] | None) -> None:
        self._database = database
        self._between = between
        self.heads: list[int] = []

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """See the port."""
        if self.heads and self._between is not None:
            self._between()
        self.heads.append(head_of(self._database))
        return await self._database.batch(statements, final=final)


class Pump:
    """A shard and its subscribers."""

    def __init__(self, database: SqliteD1, most: int = MAX_POLL_EVENTS) -> None:
        self.database = database
        self._most = most
        self.position = 0
        self.registered = False
        self.window = self._most
        self.more = False
        # By plan and position, in the order in which the groups came to be.
        self._groups: dict[tuple[str, str], dict[Member, None]] = {}

    @property
    def members(self) -> list[Member]:
        """All that have not gone."""
        return [member for group in self._groups.values() for member in group]

    def join(self, plan: SubscriptionPlan, name: str = "", after: int | None = None) -> Member:
        """A subscriber that begins now, or behind a position."""
        position = "" if after is None else str(after)
        member = Member(plan, position, name or str(id(plan)), begun=after)
        self._enter(member)
        return member

    def leave(self, member: Member) -> None:
        """A subscriber goes."""
        member.gone = True
        self._exit(member)

    def read(self) -> None:
        """All clients have read what they were sent."""
        for member in self.members:
            member.unread = 0

    def wake(self) -> None:
        """The object was evicted: what it held in memory alone begins anew."""
        self.window = self._most
        self.read()

    def groups(self) -> list[tuple[Group, list[Member]]]:
        """The groups a round is made for: without those that have pages to read."""
        found = []
        for group in self._groups.values():
            members = [
                member
                for member in group
                if member.position is None or member.unread < MAX_UNREAD_CHARACTERS
            ]
            if members:
                found.append((Group(members[0].plan, members[0].position), members))
        return found

    def look(
        self,
        groups: list[tuple[Group, list[Member]]],
        between: Callable[[], object] | None = None,
    ) -> PollResult:
        """A poll, not yet delivered."""
        database = Interrupted(self.database, between)
        request = PollRequest("s", self.registered, self.position, [group for group, _ in groups])
        result = finished(polling.poll(database, request, self.window))
        assert self.position <= result.live_position <= database.heads[0]
        for number, advance in result.advances.items():
            if groups[number][0].position == "":
                reached = _reached(result, advance)
                assert reached == database.heads[0], "who begins now begins at the head"
        return result

    def deliver(self, groups: list[tuple[Group, list[Member]]], result: PollResult) -> None:
        """Move everybody, and tell them."""
        numbers = [*result.advances, *result.refused]
        assert len(numbers) == len(set(numbers)), "moved and refused"
        self.window, self.position, self.registered = result.window, result.live_position, True
        self.more = result.more
        for number, advance in result.advances.items():
            for member in groups[number][1]:
                if member.gone:
                    continue
                self._move(member, advance.position)
                if member.begun is None:
                    member.begun = _reached(result, advance)
                if advance.text is not None:
                    member.take(_reached(result, advance), advance.text)
                    member.unread += len(advance.text)
        for number, errors in result.refused.items():
            for member in groups[number][1]:
                member.errors = errors
                self.leave(member)

    def round(self) -> PollResult:
        """One round."""
        groups = self.groups()
        result = self.look(groups)
        self.deliver(groups, result)
        return result

    def settle(self) -> None:
        """Rounds until there is nothing to read, while everybody reads."""
        # At worst a group and an event each.
        for _ in range(9 + len(self._groups) * (head_of(self.database) + 1)):
            self.round()
            self.read()
            if not self.more:
                return
        places = [member.position for member in self.members]
        raise AssertionError(f"still more to read: at {self.position}, {places}")

    def _move(self, member: Member, position: Position) -> None:
        if position == member.position and type(position) is type(member.position):
            return
        self._exit(member)
        member.position = position
        self._enter(member)

    def _enter(self, member: Member) -> None:
        self._groups.setdefault((member.name, json.dumps(member.position)), {})[member] = None

    def _exit(self, member: Member) -> None:
        key = (member.name, json.dumps(member.position))
        group = self._groups[key]
        del group[member]
        if not group:
            del self._groups[key]


def _reached(result: PollResult, advance: Advance) -> int:
    """Where a advance leads to."""
    return result.live_position if advance.position is None else int(advance.position)


def of_instance(number: int) -> SubscriptionPlan:
    """The events of one instance."""
    return events_plan(instanceId=f"i{number}")


def append(database: SqliteD1, position: int, count: int = 1) -> None:
    """So many events more, the last at this position, as if nothing lay before them."""
    database.connection.execute(
        "WITH RECURSIVE n(id) AS (VALUES (?1) UNION ALL SELECT id+1 FROM n WHERE id<?2)"
        " INSERT INTO events (id,at,type,instance,status)"
        " SELECT id,'2030-01-01T00:00:00.000Z','INSTANCE_UPDATED',1,'RUNNING' FROM n",
        (position - count + 1, position),
    )


def tracked() -> Writer:
    """A running instance `i`, by the event at position 1."""
    writer = Writer()
    writer.create("RUNNING", reference={"refType": "t", "refId": "1"})
    return writer


def code(errors: Any) -> tuple[str, Any]:
    """The code of the only error, and what it names."""
    [error] = errors
    extensions = error["extensions"]
    return extensions["code"], extensions.get("limit") or extensions.get("argument")
