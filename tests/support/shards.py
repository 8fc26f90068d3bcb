"""The real shard of the tracker in Node, and the Python of the tracker in this process.

shard_host.mjs runs the modules of the Worker on stand-ins for the platform. They call the functions
that tracker.py installs, and a `SqliteD1` as D1.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from resolvers.access.gatekeeper import token_claims
from resolvers.base.vocabulary import Scope
from resolvers.executing.executor import Request
from resolvers.ports.database import DatabaseError, Statement
from resolvers.runtime.database import CommandDatabase
from resolvers.runtime.settings import SETTINGS
from scripts.project import VENV_BIN, tool_environment
from tests.support.client import ADMIN, Client, Services, finished
from tests.support.closing import Closing
from tests.support.d1 import SqliteD1
from tests.support.serving import Host
from tests.support.subscribers import Subscriber, Subscription
from tests.support.subscribing import head_of

if TYPE_CHECKING:
    from resolvers.access.principals import Principal

_HERE = Path(__file__).parent
_NUMBERS = count(1)
_MAX_BATCHES = 2_000  # in one operation


class ShardHost(Closing):
    """The Node program, which runs one shard after the other."""

    def __init__(self) -> None:
        self._errors = TemporaryFile()  # noqa: SIM115  # open as long as the program runs
        platform, program = _HERE / "cloudflare_workers.mjs", _HERE / "shard_host.mjs"
        self._process = subprocess.Popen(
            [VENV_BIN / "node", "--import", platform, program],
            env=tool_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def close(self) -> None:
        """End the program."""
        self._process.communicate(timeout=10)
        self._errors.close()

    def ask(self, message: Sequence[Any], respond: Callable[[str, list[Any]], Any]) -> Any:
        """Have an operation done. `respond` answers the calls of Python until it is."""
        self._send(message)
        while True:
            received = self._receive()
            if "call" not in received:
                break
            try:
                self._send({"value": respond(received["call"], received["given"])})
            except DatabaseError as error:
                self._send({"error": str(error)})
        if "failed" in received:
            raise AssertionError(received["failed"])
        return received

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._errors.seek(0)
        raise AssertionError(f"the shard's program has ended: {self._errors.read().decode()}")


@pytest.fixture(scope="module", name="shard_host")
def shard_host_fixture() -> Iterator[ShardHost]:
    """The program that runs the shards of a module."""
    with ShardHost() as host:
        yield host


class Connection:
    """A connection as its client sees it."""

    def __init__(self, shard: Shard, number: int, caller: Principal) -> None:
        self._shard = shard
        self._ids = count(1)
        self.number = number
        self.caller = caller
        self.is_reading = True
        # The lengths of the texts that it has not read, and true if the object that sent some of
        # them was evicted: it is not known any more to whom how much was sent.
        self.unread: list[int] = []
        self.is_unread_forgotten = False
        self.is_acknowledged = False
        self.subscribers: dict[str, Subscriber] = {}
        # Code and reason of the server's close.
        self.closed: tuple[int, str] | None = None

    def send(self, frame: dict[str, Any]) -> None:
        """Send a message."""
        self._shard.ask("message", self.number, json.dumps(frame))

    def subscribe(
        self, subscription: Subscription, after: int | None = None, *, by_variable: bool = False
    ) -> Subscriber:
        """Subscribe from now on, or behind a position."""
        earliest = self._shard.head if after is None else after
        subscriber = Subscriber(subscription, earliest, latest=after)
        return self._subscribe(subscriber, after, by_variable=by_variable)

    def resume(self, earlier: Subscriber, *, by_variable: bool = False) -> Subscriber:
        """Subscribe behind the last result of a subscriber whose connection has ended. They are
        one, as their client sees it."""
        subscriber = replace(earlier, position="", results=earlier.results[:])
        return self._subscribe(subscriber, earlier.cursor, by_variable=by_variable)

    def _subscribe(
        self, subscriber: Subscriber, after: int | None, *, by_variable: bool
    ) -> Subscriber:
        operation_id = str(next(self._ids))
        self.subscribers[operation_id] = subscriber
        payload = subscriber.subscription.payload(after, by_variable=by_variable)
        self.send({"type": "subscribe", "id": operation_id, "payload": payload})
        return subscriber

    def complete(self, subscriber: Subscriber) -> None:
        """End a subscription."""
        operation_id = next(key for key, value in self.subscribers.items() if value is subscriber)
        del self.subscribers[operation_id]
        self.send({"type": "complete", "id": operation_id})

    def read(self, is_reading: bool = True) -> None:
        """Read what was sent and is sent from now on; or nothing of it."""
        self.is_reading = is_reading
        self.is_unread_forgotten &= not is_reading
        self._shard.ask("read", self.number, is_reading)

    def close(self, *, is_lost: bool = False) -> None:
        """Close the connection; or lose it."""
        del self._shard.connections[self.number]
        self._shard.ask("close", self.number, is_lost)

    def take(self, frame: dict[str, Any]) -> None:
        """A frame has come."""
        match frame["type"]:
            case "connection_ack":
                self.is_acknowledged = True
            case "next":
                # One that was sent before the server knew of the end may still come.
                if frame["id"] in self.subscribers:
                    self.subscribers[frame["id"]].take(frame["payload"])
            case "error":
                self.subscribers.pop(frame["id"]).errors = frame["payload"]
            case kind:
                assert kind in {"ping", "pong"}, frame


class Shard:
    """A shard, its database and its clients. Each method returns once nothing happens any more."""

    def __init__(self, host: ShardHost, database: SqliteD1 | None = None, **limits: int) -> None:
        """`limits` are those of JavaScript that are not the defaults (see settings.py)."""
        self.database = database or SqliteD1()
        self.connections: dict[int, Connection] = {}
        # Called before each batch of the shard, with its number in the operation, from 0.
        self.before_batch: Callable[[int], object] = lambda _: None
        # The number of the next batches that fail.
        self.failing = 0
        # When the alarm is due; how many answers of D1 and notifications of writes are held.
        self.alarm_at: int | None = None
        self.answers = 0
        self.notifications = 0
        # The messages that the shard has logged.
        self.logged: list[str] = []
        self._host = host
        self._lent = _Lent(self.database)
        self._numbers = count(1)
        self._batches = 0
        self._failure: BaseException | None = None
        data = json.loads(self._start_isolate())
        assert limits.keys() <= data["limits"].keys()
        data["limits"] |= limits
        self.ask("begin", f"shard-{next(_NUMBERS)}", json.dumps(data), SETTINGS)

    # --- clients

    def connect(self, caller: Principal = ADMIN) -> Connection:
        """Open a connection, and have it acknowledged."""
        number = next(self._numbers)
        connection = self.connections[number] = Connection(self, number, caller)
        self.ask("open", number)
        payload = {"authorization": f"Bearer {self._lent.credential(caller)}"}
        connection.send({"type": "connection_init", "payload": payload})
        assert connection.is_acknowledged
        return connection

    def subscribers(self) -> list[tuple[Connection, Subscriber]]:
        """All that there are."""
        return [
            (connection, subscriber)
            for connection in self.connections.values()
            for subscriber in connection.subscribers.values()
        ]

    def execute(self, query: str, **variables: Any) -> Any:
        """The `data` of a request that another client sends to the Worker; a write notifies."""
        return json.loads(self.ask("execute", json.dumps([query, variables])))

    # --- the platform

    def notify(self, prefetched: dict[str, Any] | None = None) -> None:
        """Notify the shard."""
        self.ask("notify", *([] if prefetched is None else [json.dumps(prefetched)]))

    def fire_alarm(self) -> None:
        """Let the alarm fire."""
        self.ask("alarm")

    def evict(self, *, with_isolate: bool = False) -> None:
        """Evict the object, and its isolate with what is cached there; what it does is lost."""
        if with_isolate:
            self._start_isolate()
        for connection in self.connections.values():
            connection.is_unread_forgotten |= not connection.is_reading
        self.ask("evict")

    def hold_answers(self) -> None:
        """Hold what D1 answers the shard from now on."""
        self.ask("hold")

    def release_answers(self, *, hold: bool = False) -> None:
        """Let the answers that were held reach the shard; and those that follow, unless `hold`."""
        self.ask("release", hold)

    def hold_notifications(self, are_held: bool) -> None:
        """Hold the notifications of writes from now on, or do not."""
        self.ask("holdNotifications", are_held)

    def deliver(self, index: int, *, is_lost: bool = False) -> None:
        """Let a notification that is held reach the shard, or be lost."""
        self.ask("deliver", index, is_lost)

    def status(self) -> dict[str, Any]:
        """The shard's status."""
        status: dict[str, Any] = self.ask("status")
        return status

    @property
    def head(self) -> int:
        """The position of the last event there was."""
        return head_of(self.database)

    def ask(self, *message: Any) -> Any:
        """Have the program do an operation."""
        self._batches = 0
        received = self._host.ask(message, self._respond)
        if self._failure is not None:
            raise self._failure
        self._take(**received["report"])
        return received["value"]

    def _respond(self, call: str, given: list[Any]) -> Any:
        try:
            match call:
                case "batch":
                    return self._batch(*given)
                case "function":
                    return self._functions[given[0]](*given[1:])
                case "execute":
                    return self._lent.begin(*given)
            raise AssertionError(call)
        except DatabaseError:
            raise
        except BaseException as error:
            self._failure = self._failure or error
            raise DatabaseError("a test has failed") from error

    def _batch(self, statements: list[tuple[str, list[Any]]]) -> list[tuple[Any, int]]:
        self.before_batch(self._batches)
        self._batches += 1
        assert self._batches < _MAX_BATCHES, "the shard does not stop polling"
        if self.failing:
            self.failing -= 1
            raise DatabaseError("D1_ERROR: Network connection lost.")
        batch = [Statement(sql, tuple(parameters)) for sql, parameters in statements]
        return [(outcome.text, outcome.changes) for outcome in finished(self.database.batch(batch))]

    def _take(
        self,
        *,
        frames: list[tuple[int, str]],
        closes: list[tuple[int, int, str]],
        logged: list[str],
        positions: list[tuple[int, list[Any]]],
        unread: list[tuple[int, list[int]]],
        alarm: int | None,
        answers: int,
        notifications: int,
    ) -> None:
        self.alarm_at, self.answers, self.notifications = alarm, answers, notifications
        self.logged += logged
        for number, text in frames:
            if number in self.connections:
                self.connections[number].take(json.loads(text))
        for number, code, reason in closes:
            self.connections[number].closed = (code, reason)
        for number, lengths in unread:
            self.connections[number].unread = lengths
        for number, subscriptions in positions:
            own = self.connections[number].subscribers
            if self.connections[number].closed is None:
                assert {operation_id for operation_id, _ in subscriptions} == own.keys()
            for operation_id, (_, position) in subscriptions:
                own[operation_id].note_position(position, head=self.head)

    def _start_isolate(self) -> str:
        """Install the functions of tracker.py anew; the settings that it hands over."""
        installed: list[Any] = []
        edge = SimpleNamespace(install=lambda *given: installed.extend(given))
        with patch.object(_TRACKER, "_EDGE", edge):
            _TRACKER._servers.clear()
            _TRACKER._install(self._lent)
        data, *self._functions = installed
        return str(data)


class RemoteClient(Client):
    """A client whose requests are executed by the Worker in Node."""

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard.database)
        self._shard = shard

    def __call__(self, query: str, **variables: Any) -> Any:
        """`data`."""
        return self._shard.execute(query, **variables)


class _Lent(Host):
    """The services that the Worker gives the tracker; JavaScript performs its commands."""

    max_sockets = 1_000

    def __init__(self, database: SqliteD1) -> None:
        super().__init__(database)
        gatekeeper = self.services.gatekeeper
        self.services = Services(CommandDatabase())
        self.services.gatekeeper = gatekeeper

    def credential(self, caller: Principal) -> str:
        """A key or token of a caller."""
        if caller is ADMIN:
            return "admin"
        claims = token_claims([Scope.READ], caller.restrictions, int(time.time()) + 3_600)
        return self.services.gatekeeper.issue(claims)

    def begin(self, request: str, failure: str) -> str:
        """Execute a request up to its first command, as the Worker does for HTTP."""
        query, variables = json.loads(request)
        asked = Request(query, variables)
        operation = self.executor.operation(asked)
        task = self.executor.execute(operation, asked, ADMIN, self.services)
        step: str = _TRACKER._RUNNER.start(task, list, speculate=True, failure=failure)
        return step


def _import_tracker() -> Any:
    """Import tracker.py, with a stand-in for the runtime's package."""
    workers = ModuleType("workers")
    workers.__dict__.update(DurableObject=object, import_from_javascript=lambda _: None)
    with patch.dict(sys.modules, {"workers": workers}):
        return importlib.import_module("tracker_do.tracker")


_TRACKER = _import_tracker()
