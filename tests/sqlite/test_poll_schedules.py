"""Whatever comes between, every subscriber hears of everything, in order and once."""

import re
from typing import Any, ClassVar
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
from resolvers.subscriptions import plans
from tests.support.client import ADMIN, Client
from tests.support.shards import Connection, RemoteClient, Shard, ShardHost, shard_host_fixture
from tests.support.subscribers import Subscriber, Subscription
from tests.support.subscribing import INSTANCE, PAGE, REFERENCE, read_window
from tests.support.writing import Writer
from tracker_do import poll_json, polling

__all__ = ["shard_host_fixture"]
# To find the shortest schedule that fails takes minutes.
pytestmark = pytest.mark.timeout(600)

_EVENTS = f"""subscription ($f: EventFilter, $after: EventCursor) {{
  workflowEvents(filter: $f, after: $after) {{ {PAGE} cursor hasMore }} }}"""
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
_LOGS = {
    name: Subscription(name, _EVENTS, {"f": members}, caller)
    for name, (caller, members) in _FILTERS.items()
}
_OBJECTS = {
    each.name: each
    for each in (
        Subscription("instance a", INSTANCE, {"id": "a"}),
        Subscription("instance c", INSTANCE, {"id": "c"}),
        Subscription("hidden", INSTANCE, {"id": "a"}, _LIMITED),
        Subscription("reference", REFERENCE, {"t": "t", "id": "1"}),
        Subscription("part of it", REFERENCE, {"t": "t", "id": "1"}, _LIMITED),
    )
}
_ALL = {**_LOGS, **_OBJECTS}
_FRAME = 100  # characters of a frame beside its text, at most
# Messages that the shard and the Worker may log: failures that the schedules cause.
_EXPECTED = re.compile("(could not read the log|was not reached).*: Network connection lost")


@pytest.fixture(scope="module", autouse=True)
def schedules_host(shard_host: ShardHost) -> None:
    """Schedules are no functions that take fixtures."""
    Schedule.host = shard_host


def selected(shard: Shard, subscriber: Subscriber) -> list[dict[str, Any]]:
    """The events that a subscriber ought to have got, if it began at the first moment it may."""
    caller, members = _FILTERS[subscriber.subscription.name]
    query = "query ($f: EventFilter, $a: EventCursor) {"
    query += f" events(filter: $f, after: $a, first: 1000) {{ {PAGE} }} }}"
    client = Client(shard.database, caller)
    page = client(query, f=members, a=f"{subscriber.earliest:016}")["events"]
    events: list[dict[str, Any]] = page["events"]
    return events


def steady(subscriber: Subscriber, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the events whose instance was elsewhere when others read them."""
    if subscriber.subscription.name not in _BY_REFERENCE:
        return events
    return [event for event in events if event["instance"]["instanceId"] != "e"]


class Schedule(RuleBasedStateMachine):
    """A shard whose windows, replays, statements and backlogs are small enough to be used up."""

    host: ClassVar[ShardHost]

    def __init__(self) -> None:
        super().__init__()
        self._patches: list[Any] = []
        self._outputs = 0
        # Their number at the last end of a connection or of the object.
        self._outputs_before = 0

    @initialize(
        window=st.integers(1, 3),
        replays=st.integers(1, 2),
        statements=st.sampled_from((1, 3, 100, 100)),
        unread=st.sampled_from((500, 2_000, 1_000_000)),
        names=st.lists(st.sampled_from(sorted(_LOGS)), min_size=1, max_size=3),
    )
    def begin(
        self, window: int, replays: int, statements: int, unread: int, names: list[str]
    ) -> None:
        self._patches = [
            patch.object(polling, "MAX_POLL_EVENTS", window),
            patch.object(polling, "MAX_POLL_REPLAYS", replays),
            patch.object(polling, "MAX_POLL_STATEMENTS", statements),
            patch.object(plans, "MAX_POLL_EVENTS", window),
            # Writes read for all subscribers.
            patch.object(poll_json, "MAX_PREFETCH_STATEMENTS", statements),
            patch.object(poll_json, "MAX_PREFETCH_NODES", 100_000),
        ]
        for patched in self._patches:
            patched.start()
        self.shard = Shard(
            self.host, pollEvents=window, pollReplays=replays, unreadCharacters=unread
        )
        self._unread, self._window = unread, window
        # One writes as the Worker does; of the other's writes nobody is notified.
        self.worker = Writer(RemoteClient(self.shard))
        self.silent = Writer(Client(self.shard.database))
        for name in names:
            self.shard.connect(_LOGS[name].caller).subscribe(_LOGS[name])

    # --- the log

    def _write(self, writer: Writer, names: str) -> None:
        for name in names:
            self._outputs += 1
            writer.update(name, **_INSTANCES[name], output=self._outputs)

    @rule(
        names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=5).map("".join),
        notifications=st.sampled_from(("come", "are late", "are lost")),
    )
    def write(self, names: str, notifications: str) -> None:
        self.shard.hold_notifications(notifications != "come")
        before = self.shard.notifications
        self._write(self.worker, names)
        if notifications == "are lost":
            while self.shard.notifications > before:
                self.shard.deliver(before, is_lost=True)
        self.shard.hold_notifications(False)

    @rule(names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=5).map("".join))
    def write_silently(self, names: str) -> None:
        self._write(self.silent, names)

    @rule(name=st.sampled_from("abcd"), step=st.sampled_from("st"), silently=st.booleans())
    def step(self, name: str, step: str, silently: bool) -> None:
        writer = self.silent if silently else self.worker
        self._write(writer, name)
        for status in ("RUNNING", "RETRYING", "RUNNING"):
            writer.step(status, step, name)

    @rule(ref_id=st.sampled_from(("1", "2", None)), silently=st.booleans())
    def advance(self, ref_id: str | None, silently: bool) -> None:
        self._outputs += 1
        reference = None if ref_id is None else {"refType": "t", "refId": ref_id}
        moved = {**_MOVING, "reference": reference, "output": self._outputs}
        (self.silent if silently else self.worker).track({"instance": moved})

    # --- notifications

    @precondition(lambda self: self.shard.notifications)
    @rule(data=st.data(), is_lost=st.booleans())
    def notification_comes(self, data: st.DataObject, is_lost: bool) -> None:
        """One that was held, in any order."""
        numbers = st.integers(0, self.shard.notifications - 1)
        self.shard.deliver(data.draw(numbers, label="comes"), is_lost=is_lost)

    def _calm_down(self) -> None:
        """Let everybody read and catch up, so that the next write prefetches if any does."""
        self.shard.release_answers()
        for connection in self.shard.connections.values():
            connection.read()
        while self.shard.notifications:
            self.shard.deliver(0)
        self._write(self.worker, "a")

    @rule(
        comes=st.just("") | st.sampled_from(sorted(_ALL)),
        order=st.permutations(range(3)),
        lost=st.sets(st.integers(0, 2), max_size=1),
        data=st.data(),
    )
    def notifications_cross(
        self, comes: str, order: list[int], lost: set[int], data: st.DataObject
    ) -> None:
        """Writes whose notifications come in another order, or not: the first has prefetched,
        perhaps for other subscribers than there are by then."""
        self._calm_down()
        if comes:
            self._subscribe(comes, data)
        self.shard.hold_notifications(True)
        self._write(self.worker, "abc")
        self.shard.hold_notifications(False)
        waiting = list(range(self.shard.notifications))
        for number in order:
            if number in waiting:
                self.shard.deliver(waiting.index(number), is_lost=number in lost)
                waiting.remove(number)

    @rule(names=st.sampled_from(("a", "ab")))
    def write_during_a_poll(self, names: str) -> None:
        """A write that has prefetched notifies while a poll is not delivered yet."""
        self._calm_down()
        self.shard.hold_answers()
        self.shard.notify()
        self._write(self.worker, names)
        self.shard.release_answers()

    @rule()
    def notify(self) -> None:
        self.shard.notify()

    @precondition(lambda self: self.shard.alarm_at is not None)
    @rule()
    def alarm(self) -> None:
        self.shard.fire_alarm()

    @rule(count=st.integers(1, 2))
    def database_fails(self, count: int) -> None:
        self.shard.failing = count
        self.shard.notify()
        assert self.shard.alarm_at is not None
        self.shard.failing = 0

    # --- subscribers

    def _connection(self, caller: Principal, data: st.DataObject) -> Connection:
        """One of the caller's, or a new one."""
        found = [c for c in self.shard.connections.values() if c.caller is caller]
        number = data.draw(st.integers(0, len(found)), label="connection")
        return found[number] if number < len(found) else self.shard.connect(caller)

    def _subscribe(self, name: str, data: st.DataObject, after: int | None = None) -> Subscriber:
        connection = self._connection(_ALL[name].caller, data)
        by_variable = after is not None and data.draw(st.booleans(), label="by variable")
        return connection.subscribe(_ALL[name], after, by_variable=by_variable)

    @rule(name=st.sampled_from(sorted(_LOGS)), data=st.data())
    def subscribe_from_now(self, name: str, data: st.DataObject) -> None:
        self._subscribe(name, data)

    @rule(names=st.lists(st.sampled_from(sorted(_LOGS)), min_size=1, max_size=4), data=st.data())
    def subscribe_from_a_cursor(self, names: list[str], data: st.DataObject) -> None:
        for name in names:
            after = data.draw(st.integers(0, self.shard.head), label="after")
            self._subscribe(name, data, after)

    @rule(name=st.sampled_from(sorted(_OBJECTS)), data=st.data())
    def subscribe_to_an_object(self, name: str, data: st.DataObject) -> None:
        self._subscribe(name, data)

    @precondition(lambda self: len(self.shard.subscribers()) > 2)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        subscribers = self.shard.subscribers()
        number = data.draw(st.integers(0, len(subscribers) - 1), label="ends")
        connection, subscriber = subscribers[number]
        connection.complete(subscriber)

    # --- connections

    def _draw_connection(self, data: st.DataObject) -> Connection:
        connections = list(self.shard.connections.values())
        return connections[data.draw(st.integers(0, len(connections) - 1), label="connection")]

    @precondition(lambda self: self.shard.connections and self._has_written())
    @rule(data=st.data(), is_lost=st.booleans(), again=st.booleans())
    def disconnect(self, data: st.DataObject, is_lost: bool, again: bool) -> None:
        """A connection ends, and its client resumes behind the last results that it has read."""
        self._outputs_before = self._outputs
        connection = self._draw_connection(data)
        connection.close(is_lost=is_lost)
        if not again:
            return
        resumed = self.shard.connect(connection.caller)
        for earlier in connection.subscribers.values():
            if earlier.cursor is None or not earlier.subscription.selects_events:
                resumed.subscribe(earlier.subscription)
            else:
                resumed.resume(earlier)

    @precondition(lambda self: self.shard.connections)
    @rule(data=st.data())
    def stop_reading(self, data: st.DataObject) -> None:
        self._draw_connection(data).read(False)

    @precondition(lambda self: self.shard.connections)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self._draw_connection(data).read()

    # --- the object

    def _has_written(self) -> bool:
        """True if there is something to lose: ends are not to follow one another too often."""
        return self._outputs > self._outputs_before

    @precondition(_has_written)
    @rule(with_isolate=st.booleans())
    def evict(self, with_isolate: bool) -> None:
        self._outputs_before = self._outputs
        self.shard.evict(with_isolate=with_isolate)

    @rule()
    def hold_answers(self) -> None:
        """From now on a poll has read, and is not delivered yet."""
        self.shard.hold_answers()

    @rule(hold=st.sampled_from((False, False, True)))
    def release_answers(self, hold: bool) -> None:
        self.shard.release_answers(hold=hold)

    @precondition(_has_written)
    @rule(batches=st.integers(1, 3), with_isolate=st.booleans())
    def lose_a_poll(self, batches: int, with_isolate: bool) -> None:
        """The object ends when D1 has answered, before the result is stored."""
        self._outputs_before = self._outputs
        self.shard.hold_answers()
        self.shard.notify()
        for _ in range(batches - 1):
            self.shard.release_answers(hold=True)
        self.shard.evict(with_isolate=with_isolate)
        self.shard.release_answers()

    @rule(
        names=st.sampled_from(("a", "bc", "dddd")),
        comes=st.sampled_from(("", *_ALL)),
        goes=st.integers(0, 5),
        data=st.data(),
    )
    def while_others_come_and_go(
        self, names: str, comes: str, goes: int, data: st.DataObject
    ) -> None:
        """Writes between the batches of a poll; subscribers, before it is delivered."""

        def write(number: int) -> None:
            # No more often: each write is a reason to poll again.
            if number < 3:
                self._write(self.silent, names)

        self.shard.hold_answers()
        self.shard.notify()
        if comes:
            self._subscribe(comes, data)
        if goes < len(subscribers := self.shard.subscribers()):
            connection, subscriber = subscribers[goes]
            connection.complete(subscriber)
        self.shard.before_batch = write
        self.shard.release_answers()
        self.shard.before_batch = lambda _: None

    # --- what holds

    @invariant()
    def nobody_is_refused_or_ahead_of_the_log(self) -> None:
        head = self.shard.head
        for connection in self.shard.connections.values():
            assert connection.closed is None
            if not connection.is_unread_forgotten:
                # Once so much is unread, nothing is sent but a ping.
                texts = [length - _FRAME for length in connection.unread if length > _FRAME]
                assert sum(texts[:-1]) < self._unread
            for subscriber in connection.subscribers.values():
                assert subscriber.position is None or int(subscriber.position or 0) <= head
        for line in self.shard.logged:
            assert _EXPECTED.search(line), line

    def teardown(self) -> None:
        try:
            if self._patches:
                self._end()
        finally:
            for patched in self._patches:
                patched.stop()

    def _end(self) -> None:
        """In the end all are live, and have heard of everything."""
        self.shard.release_answers()
        for connection in self.shard.connections.values():
            connection.read()
        self.shard.notify()
        self.nobody_is_refused_or_ahead_of_the_log()
        subscribers = [subscriber for _, subscriber in self.shard.subscribers()]
        if not subscribers:
            return
        assert self.shard.status()["position"] == self.shard.head
        assert [subscriber.position for subscriber in subscribers] == [None] * len(subscribers)
        for subscriber in subscribers:
            if subscriber.subscription.selects_events:
                self._check_events(subscriber)
            else:
                plan = subscriber.subscription.plan
                now = read_window(self.shard.database, plan, 0, 0, initial=True)
                assert subscriber.results[-1][1] == now, subscriber.subscription.name

    def _check_events(self, subscriber: Subscriber) -> None:
        """A subscriber has got all events since it began, and the same as a query gives."""
        name = subscriber.subscription.name
        assert all(len(page["events"]) <= self._window for _, page in subscriber.results), name
        expected = steady(subscriber, selected(self.shard, subscriber))
        events = steady(subscriber, subscriber.events)
        before = len(expected) - len(events)
        assert before >= 0, name
        assert events == expected[before:], name
        assert subscriber.latest is not None
        missed = [int(event["cursor"]) for event in expected[:before]]
        assert all(cursor <= subscriber.latest for cursor in missed), name


TestSchedule = Schedule.TestCase
TestSchedule.settings = settings(
    max_examples=100,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


# --- single schedules


def test_a_write_that_prefetches_saves_the_poll(shard_host: ShardHost) -> None:
    shard = Shard(shard_host)
    worker = Writer(RemoteClient(shard))
    subscribers = [shard.connect().subscribe(_ALL[name]) for name in ("all", "instance a")]
    for output in range(2):
        worker.update("a", **_INSTANCES["a"], output=output)
    before = shard.status()
    worker.update("a", output=2)
    after = shard.status()
    assert (after["polls"], after["prefetched"]) == (before["polls"], before["prefetched"] + 1)
    assert [cursor for cursor, _ in subscribers[0].results] == [1, 2, 3]
    assert subscribers[1].results[-1] == (3, {"instanceId": "a", "status": "QUEUED", "output": 2})


def test_a_write_of_more_events_than_a_poll_reads_is_polled_for(
    shard_host: ShardHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (polling, plans):
        monkeypatch.setattr(module, "MAX_POLL_EVENTS", 2)
    shard = Shard(shard_host, pollEvents=2)
    worker = Writer(RemoteClient(shard))
    subscriber = shard.connect().subscribe(_ALL["all"])
    for output in range(2):
        worker.update("a", **_INSTANCES["a"], output=output)
    before = shard.status()
    many = [{"instanceId": "a", **_INSTANCES["a"], "output": output} for output in (2, 3, 4)]
    worker.track(*[{"instance": update} for update in many])
    assert [cursor for cursor, _ in subscriber.results] == [1, 2, 4, 5]
    assert shard.status()["prefetched"] == before["prefetched"]


def test_the_live_position_outlives_the_connections_that_keep_it(shard_host: ShardHost) -> None:
    shard = Shard(shard_host)
    silent = Writer(Client(shard.database))
    silent.create("RUNNING")
    connections = [shard.connect() for _ in range(6)]
    subscribers = [connection.subscribe(_LOGS["all"]) for connection in connections]
    for connection in connections[:5]:
        connection.close()
    silent.update(output=1)
    shard.evict()
    shard.notify()
    assert connections[-1].closed is None
    assert [len(subscriber.events) for subscriber in subscribers] == [0] * 5 + [1]


def test_a_client_that_reads_nothing_is_sent_nothing_after_an_eviction_either(
    shard_host: ShardHost,
) -> None:
    shard = Shard(shard_host, unreadCharacters=1_000)
    worker = Writer(RemoteClient(shard))
    connection = shard.connect()
    subscriber = connection.subscribe(_LOGS["all"])
    connection.read(False)
    for output in range(9):
        worker.update("a", **_INSTANCES["a"], output=output)
    unread = connection.unread
    assert 0 < len(unread) < 9
    shard.evict()
    worker.update("a", output=9)
    assert connection.unread == unread
    connection.read()
    assert (len(subscriber.events), subscriber.position) == (10, None)
