"""Domain code as coroutines that suspend on effects, and what runs them.

A coroutine here never touches an event loop: `await database.batch(…)` suspends it with an
Effect, whoever runs it performs the effect and resumes it. In the Worker a few lines of
JavaScript do that (`effects.mjs`), so a request costs no Python task and no promise
crosses the language border; effects and answers cross as JSON text.
"""

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

from resolvers.database import (
    DatabaseError,
    Outcome,
    OversizedError,
    Statement,
    refuse_absent,
)
from resolvers.engine import STATUSES, EngineError, Key, Seen
from resolvers.foreign_errors import (
    INSTANCE_EXISTS,
    NO_INSTANCE,
    OF_READ,
    TOO_BIG_MESSAGE,
)
from resolvers.json_text import decode, encode
from resolvers.limits import (
    D1_MAX_STRING_BYTES,
    ENGINE_CONCURRENCY,
    ENGINE_SETTLE_MS,
    ENGINE_TIMEOUT_MS,
    MAX_SUSPENDED_TASKS,
)
from resolvers.sql import HEAD
from resolvers.transitions import TERMINAL
from resolvers.vocabulary import InstanceStatus

# What JavaScript has to know of it all, as data.
SETTINGS = {
    "textBytes": D1_MAX_STRING_BYTES,
    "tooBig": TOO_BIG_MESSAGE,
    "ofRead": OF_READ.pattern,
    "head": HEAD,
    "engine": {
        "finished": [word for word, status in STATUSES.items() if status in TERMINAL],
        # What an action leads to, where the engine takes a moment for it.
        "leadsTo": {"pause": "paused", "terminate": "terminated"},
        "noInstance": NO_INSTANCE.pattern,
        "exists": INSTANCE_EXISTS.pattern,
    },
}


class Effect:
    """Something outside that a coroutine waits for; awaiting it gives the answer.

    `expected` is the answer where it is known unless the effect fails.
    """

    __slots__ = ("body", "expected")

    def __init__(self, body: Mapping[str, Any], expected: Any = None) -> None:
        self.body = body
        self.expected = expected

    def __await__(self) -> Generator["Effect", Any, Any]:
        return (yield self)


Task: TypeAlias = Coroutine[Effect, Any, Any]


class Handle(int):
    """A text that stayed outside: its number among those of the request."""


class EffectDatabase:
    """`database.Database` by effects. Subscribers hear of what it writes unless it is `silent`."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent

    async def batch(
        self, statements: Sequence[Statement], *, final: bool = False
    ) -> Sequence[Outcome]:
        """See the port."""
        body: dict[str, Any] = {"batch": [[s.sql, s.parameters, s.opaque] for s in statements]}
        if not self._silent and any(statement.writes for statement in statements):
            body["writes"] = True
        # Only opaque texts are kept outside, numbered in their order.
        handles = count()
        expected = {"outcomes": [(next(handles) if s.opaque else None, 0) for s in statements]}
        answer = await Effect(body, expected if final else None)
        if "error" in answer:
            raise DatabaseError(answer["error"])
        if "sizes" in answer:
            raise OversizedError(answer["sizes"])
        outcomes = [
            Outcome(Handle(text) if isinstance(text, int) else text, *meta)
            for text, *meta in answer["outcomes"]
        ]
        if final:
            refuse_absent(statements, outcomes)
        return outcomes


class EffectEngine:
    """`engine.Engine` by effects; `bindings` names the binding of each workflow.

    Where the configuration cannot be read there are none, and `problem` says what is wrong.
    """

    def __init__(self, bindings: Mapping[str, str], problem: str = "") -> None:
        self._bindings = bindings
        self._problem = problem
        self.workflows = frozenset(bindings)

    def unbound(self, workflow: str) -> str:
        """See the port."""
        if self._problem:
            return f"No Workflow is bound for {workflow!r}: {self._problem}."
        return (
            f"No Workflow is bound for {workflow!r}: its instances are tracked, not executed from"
            " here. To have them executed, bind the Workflow and name its binding in the variable"
            " WORKFLOWS."
        )

    async def create(self, workflow: str, instance_id: str, params: str) -> None:
        """See the port."""
        await self._ask(workflow, instance_id, "create", params)

    async def look(self, instances: Sequence[Key]) -> list[Seen | EngineError]:
        """See the port."""
        return await self._answers([self._call(*key, "look") for key in instances])

    async def act(self, workflow: str, instance_id: str, action: str) -> Seen:
        """See the port."""
        return await self._ask(workflow, instance_id, action)

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: str
    ) -> None:
        """See the port."""
        await self._ask(workflow, instance_id, "sendEvent", event_type, payload)

    async def _ask(self, workflow: str, instance_id: str, method: str, *given: str) -> Seen:
        [answer] = await self._answers([self._call(workflow, instance_id, method, *given)])
        if isinstance(answer, EngineError):
            raise answer
        return answer

    def _call(self, workflow: str, instance_id: str, method: str, *given: str) -> dict[str, Any]:
        binding = self._bindings[workflow]
        return {"binding": binding, "method": method, "id": instance_id, "arguments": given}

    @staticmethod
    async def _answers(calls: Sequence[Mapping[str, Any]]) -> list[Seen | EngineError]:
        body = {
            "calls": calls,
            "timeoutMs": ENGINE_TIMEOUT_MS,
            "settleMs": ENGINE_SETTLE_MS,
            "concurrency": ENGINE_CONCURRENCY,
        }
        answer = await Effect({"engine": body})
        return [_heard(given) for given in answer["answers"]]


def _heard(answer: Mapping[str, Any]) -> Seen | EngineError:
    told = answer.get("seen")
    seen = None
    if told is not None:
        word, error = told["status"], told.get("error")
        status = None if word is None else STATUSES.get(word, InstanceStatus.UNKNOWN)
        seen = Seen(status, told.get("output"), tuple(error) if error else None)
    if "error" in answer:
        return EngineError(answer["error"], seen)
    return seen or Seen(None)


class Runner:
    """Runs coroutines a step at a time, for a caller that speaks JSON text.

    A step is `{"task": n, …effect}` when an effect must be performed and task n resumed with its
    answer; `{"done": …}` when the coroutine has returned; or both without a task, when what it
    returns holds if the effect succeeds. If that one fails, start again with the failure.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._suspended: dict[int, tuple[Task, Callable[[Any], Any]]] = {}

    def start(
        self,
        coroutine: Task,
        present: Callable[[Any], Any] = lambda x: x,
        *,
        foresee: bool = False,
        failure: str = "",
    ) -> str:
        """Run to the first effect; `present` makes the result JSON-able.

        With `foresee` run on where the answer is known unless the effect fails: the caller
        must then be able to start again, with the answer to it as `failure`, JSON text.
        """
        task = next(self._numbers)
        if not failure:
            return self._advance(task, coroutine, present, None, foresee=foresee)
        coroutine.send(None)
        return self._advance(task, coroutine, present, decode(failure))

    def resume(self, task: int, answer: str) -> str:
        """Run on with the answer to the last effect."""
        coroutine, present = self._suspended.pop(task)
        return self._advance(task, coroutine, present, decode(answer))

    def _advance(
        self,
        task: int,
        coroutine: Task,
        present: Callable[[Any], Any],
        answer: Any,
        *,
        foresee: bool = False,
    ) -> str:
        try:
            effect = coroutine.send(answer)
        except StopIteration as stop:
            return encode({"done": present(stop.value)})
        if effect.expected is None or not foresee:
            if len(self._suspended) >= MAX_SUSPENDED_TASKS:
                # A client that goes away takes with it what would have resumed its task.
                oldest, _ = self._suspended.pop(next(iter(self._suspended)))
                oldest.close()
            self._suspended[task] = (coroutine, present)
            return encode({"task": task, **effect.body})
        try:
            coroutine.send(effect.expected)
        except StopIteration as stop:
            return encode({"done": present(stop.value), **effect.body})
        raise AssertionError("an effect said to be final was not")
