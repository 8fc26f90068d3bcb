"""Whatever comes between, every subscriber hears of everything, in order and once."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from resolvers.access.principals import Principal, Restrictions, principal
from resolvers.base.vocabulary import Scope
from resolvers.subscriptions.plans import SubscriptionPlan
from tests.support.client import ADMIN, Client
from tests.support.pumping import Member, Pump
from tests.support.subscribing import INSTANCE, PAGE, REFERENCE, events_plan, plan_of, read_window
from tests.support.writing import Writer
from tracker_do import polling

# To find the shortest schedule that fails takes minutes.
pytestmark = pytest.mark.timeout(600)

_LIMITED = principal(Scope.READ, restrictions=Restrictions(workflows=("v",)))
# An instance keeps what filters look at, so that who reads late reads the same.
_INSTANCES: dict[str, dict[str, Any]] = {
    "a": {"workflow": "w", "reference": {"refType": "t", "refId": "1"}},
    "b": {"workflow": "v", "reference": {"refType": "t", "refId": "1"}},
    "c": {"workflow": "v", "reference": {"refType": "t", "refId": "2"}},
    "d": {"workflow": "w", "reference": None},
}
# One that goes from reference to reference.
_MOVING = {"instanceId": "e", "workflow": "v"}
_FILTERS: dict[str, tuple[Principal, dict[str, Any]]] = {
    "all": (ADMIN, {}),
    "of a workflow": (ADMIN, {"workflow": ["v"]}),
    "about a reference": (ADMIN, {"reference": {"refType": "t", "refId": "1"}}),
    "about an instance": (ADMIN, {"instanceId": "d"}),
    "types": (ADMIN, {"type": ["STEP_STARTED", "INSTANCE_QUEUED"], "workflow": ["w", "v"]}),
    "limited": (_LIMITED, {"reference": {"refType": "t"}}),
    "nothing": (ADMIN, {"workflow": []}),
}
_BY_REFERENCE = ("about a reference", "limited")
_LOGS: dict[str, SubscriptionPlan] = {
    name: events_plan(caller, **members) for name, (caller, members) in _FILTERS.items()
}
_OBJECTS: dict[str, SubscriptionPlan] = {
    "instance a": plan_of(INSTANCE, id="a"),
    "instance c": plan_of(INSTANCE, id="c"),
    "hidden": plan_of(INSTANCE, caller=_LIMITED, id="a"),
    "reference": plan_of(REFERENCE, t="t", id="1"),
    "part of it": plan_of(REFERENCE, caller=_LIMITED, t="t", id="1"),
}


def selected(database: Any, member: Member) -> list[dict[str, Any]]:
    """The events a subscriber ought to have heard of."""
    caller, members = _FILTERS[member.name]
    query = "query ($f: EventFilter, $a: EventCursor) {"
    query += f" events(filter: $f, after: $a, first: 1000) {{ {PAGE} }} }}"
    page = Client(database, caller)(query, f=members, a=f"{member.begun:016}")["events"]
    events: list[dict[str, Any]] = page["events"]
    return events


def steady(member: Member, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the events whose instance was elsewhere when others read them."""
    if member.name not in _BY_REFERENCE:
        return events
    return [event for event in events if event["instance"]["instanceId"] != "e"]


class Schedule(RuleBasedStateMachine):
    """A shard in little: windows, replays and statements are few enough to be used up."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = Writer()
        self.joined: list[Member] = []
        self._patches: list[Any] = []
        self._outputs = 0

    @initialize(window=st.integers(1, 3), replays=st.integers(1, 2), statements=st.integers(1, 4))
    def begin(self, window: int, replays: int, statements: int) -> None:
        sizes = {
            "MAX_POLL_EVENTS": window,
            "MAX_POLL_REPLAYS": replays,
            "MAX_POLL_STATEMENTS": statements,
        }
        self._patches = [patch.object(polling, name, value) for name, value in sizes.items()]
        for patched in self._patches:
            patched.start()
        self.pump = Pump(self.writer.database, window)

    # --- the log

    def _write(self, names: str) -> None:
        for name in names:
            self._outputs += 1
            self.writer.update(name, **_INSTANCES[name], output=self._outputs)

    @rule(names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=5).map("".join))
    def write(self, names: str) -> None:
        self._write(names)

    @rule(name=st.sampled_from("abcd"), step=st.sampled_from("st"))
    def step(self, name: str, step: str) -> None:
        self._write(name)
        for status in ("RUNNING", "RETRYING", "RUNNING"):
            self.writer.step(status, step, name)

    @rule(ref_id=st.sampled_from(("1", "2", None)))
    def advance(self, ref_id: str | None) -> None:
        self._outputs += 1
        reference = None if ref_id is None else {"refType": "t", "refId": ref_id}
        moved = {**_MOVING, "reference": reference, "output": self._outputs}
        self.writer.track({"instance": moved})

    # --- subscribers

    def _join(self, plan: SubscriptionPlan, name: str, after: int | None) -> None:
        self.joined.append(self.pump.join(plan, name, after))

    @rule(name=st.sampled_from(sorted(_LOGS)))
    def follow_from_now(self, name: str) -> None:
        self._join(_LOGS[name], name, None)

    @rule(names=st.lists(st.sampled_from(sorted(_LOGS)), min_size=1, max_size=4), data=st.data())
    def follow_from_a_cursor(self, names: list[str], data: st.DataObject) -> None:
        for name in names:
            after = data.draw(st.integers(0, self.writer.head()), label="after")
            self._join(_LOGS[name], name, after)

    @rule(name=st.sampled_from(sorted(_OBJECTS)))
    def follow_an_object(self, name: str) -> None:
        self._join(_OBJECTS[name], name, None)

    @precondition(lambda self: self.pump.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        numbers = st.integers(0, len(self.pump.members) - 1)
        self.pump.leave(self.pump.members[data.draw(numbers, label="leaves")])

    @precondition(lambda self: self.pump.members)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """A connection is lost, and its client resumes where the last text brought it."""
        numbers = st.integers(0, len(self.pump.members) - 1)
        member = self.pump.members[data.draw(numbers, label="comes back")]
        if not member.told:
            return
        self.pump.leave(member)
        selects_events = member.plan.selects_events
        self._join(member.plan, member.name, member.told[-1][0] if selects_events else None)
        if selects_events:
            # One subscriber, as its client sees it.
            self.joined[-1].told = member.told[:]
            self.joined[-1].begun = member.begun

    @rule()
    def read(self) -> None:
        self.pump.read()

    # --- polls

    @precondition(lambda self: self.pump.groups())
    @rule(count=st.integers(1, 4))
    def rounds(self, count: int) -> None:
        for _ in range(count):
            if self.pump.groups():
                self.pump.round()

    @precondition(lambda self: self.pump.groups())
    @rule()
    def lost(self) -> None:
        """A round that came to nothing: the object ended before it was stored."""
        self.pump.look(self.pump.groups())
        self.pump.wake()

    @precondition(lambda self: self.pump.groups())
    @rule(
        names=st.sampled_from(("a", "bc", "dddd")),
        comes=st.sampled_from(("", *_LOGS, *_OBJECTS)),
        goes=st.integers(0, 5),
    )
    def while_others_come_and_go(self, names: str, comes: str, goes: int) -> None:
        """Writes between the batches of a round; subscribers, before it is delivered."""
        groups = self.pump.groups()
        result = self.pump.look(groups, lambda: self._write(names))
        if comes:
            self._join({**_LOGS, **_OBJECTS}[comes], comes, None)
        if goes < len(self.pump.members):
            self.pump.leave(self.pump.members[goes])
        self.pump.deliver(groups, result)

    # --- what holds

    @invariant()
    def nobody_is_refused_or_ahead_of_the_log(self) -> None:
        head = self.writer.head()
        for member in self.joined:
            assert member.errors is None, member.errors
            assert member.position is None or int(member.position or 0) <= head

    def teardown(self) -> None:
        try:
            if self._patches:
                self._end()
        finally:
            for patched in self._patches:
                patched.stop()

    def _end(self) -> None:
        """In the end all are live, and have heard of everything."""
        members = self.pump.members
        if not members:
            return
        self.pump.read()
        self.pump.settle()
        head = self.writer.head()
        assert self.pump.position == head
        assert [member.position for member in members] == [None] * len(members)
        for member in members:
            if member.plan.selects_events:
                expected = selected(self.writer.database, member)
                assert steady(member, member.events) == steady(member, expected), member.name
            else:
                now = read_window(self.writer.database, member.plan, 0, 0, initial=True)
                assert member.told[-1][1] == now, member.name


TestSchedule = Schedule.TestCase
TestSchedule.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
