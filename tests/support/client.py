"""Operations through the executor, without HTTP."""

import json
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.access.principals import Principal, principal
from resolvers.base.errors import FlowflareError
from resolvers.base.scrubbing import Scrubber
from resolvers.base.vocabulary import Scope
from resolvers.executing.executor import Executor, Request
from resolvers.ports.database import Database
from resolvers.ports.engine import Engine, EngineError, EngineState, Key
from schema.build import core
from tests.support.d1 import SqliteD1

ADMIN = principal(Scope.ADMIN)
EXECUTOR = Executor(core)

T = TypeVar("T")


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, as SQLite answers at once, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise FlowflareError("the coroutine has suspended")


class NoEngine:
    """An engine without bound Workflows: instances are only tracked."""

    workflows: frozenset[str] = frozenset()
    follows = False

    def unbound(self, workflow: str) -> str:
        return "not bound"

    async def create(self, workflow: str, instance_id: str, params: str) -> None:
        raise EngineError("not bound")

    async def follow(self, instances: Sequence[Key], *, to_end: bool = False) -> None:
        pass

    async def get_statuses(self, instances: Sequence[Key]) -> list[EngineState | EngineError]:
        return [EngineError("not bound") for _ in instances]

    async def act(self, workflow: str, instance_id: str, action: str) -> EngineState:
        raise EngineError("not bound")

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: str
    ) -> None:
        raise EngineError("not bound")


class Services:
    """The services of an operation: database, engine, scrubber and gatekeeper."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine: Engine = NoEngine()
        self.scrubber = Scrubber()
        self.gatekeeper = Gatekeeper(admin="test-key")


class Client:
    """Executes operations of one caller on one database."""

    def __init__(self, database: SqliteD1 | None = None, caller: Principal = ADMIN) -> None:
        self.database = database or SqliteD1()
        self.caller = caller
        self.services = Services(self.database)

    def as_(self, caller: Principal) -> "Client":
        """A client of another caller on the same database."""
        return Client(self.database, caller)

    def text(self, query: str, **variables: Any) -> str:
        """Execute an operation and return the JSON text of `data`."""
        request = Request(query, variables)
        operation = EXECUTOR.operation(request)
        return "".join(finished(EXECUTOR.execute(operation, request, self.caller, self.services)))

    def __call__(self, query: str, **variables: Any) -> Any:
        """Execute an operation; `data`."""
        return json.loads(self.text(query, **variables))
