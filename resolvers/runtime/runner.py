"""Runs coroutines that suspend on commands, for a caller that exchanges JSON text."""

from collections.abc import Callable
from itertools import count
from typing import Any

from resolvers.base.json_text import decode, encode
from resolvers.base.limits import MAX_SUSPENDED_TASKS
from resolvers.runtime.commands import Task


class Runner:
    """Runs coroutines one step at a time.

    A step is `{"task": n, …command}` if a command must be performed and task n resumed with its
    result; `{"done": …}` if the coroutine has returned; or a command with `done` and without a
    task, if the return value is valid once the command succeeds. If that command fails, the caller
    starts again with the failure.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._suspended: dict[int, tuple[Task, Callable[[Any], Any]]] = {}

    def start(
        self,
        coroutine: Task,
        present: Callable[[Any], Any] = lambda x: x,
        *,
        speculate: bool = False,
        failure: str = "",
    ) -> str:
        """Run to the first command; `present` makes the return value JSON-able.

        With `speculate`, run on where the command's result is known unless it fails. The caller
        must then be able to start again, with that result as `failure`, JSON text.
        """
        task = next(self._numbers)
        if not failure:
            return self._advance(task, coroutine, present, None, speculate=speculate)
        coroutine.send(None)
        return self._advance(task, coroutine, present, decode(failure))

    def resume(self, task: int, result: str) -> str:
        """Run on with the result of the last command."""
        coroutine, present = self._suspended.pop(task)
        return self._advance(task, coroutine, present, decode(result))

    def _advance(
        self,
        task: int,
        coroutine: Task,
        present: Callable[[Any], Any],
        result: Any,
        *,
        speculate: bool = False,
    ) -> str:
        try:
            command = coroutine.send(result)
        except StopIteration as stop:
            return encode({"done": present(stop.value)})
        if command.expected is None or not speculate:
            if len(self._suspended) >= MAX_SUSPENDED_TASKS:
                # If a client disconnects, nobody resumes its task.
                oldest, _ = self._suspended.pop(next(iter(self._suspended)))
                oldest.close()
            self._suspended[task] = (coroutine, present)
            return encode({"task": task, **command.body})
        try:
            coroutine.send(command.expected)
        except StopIteration as stop:
            return encode({"done": present(stop.value), **command.body})
        raise AssertionError("a coroutine awaited another command after a final one")
