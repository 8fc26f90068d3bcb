"""Runs coroutines that suspend on commands, for a caller that exchanges JSON text."""

from collections.abc import Callable
from itertools import count
from typing import Any

from resolvers.base.json_text import decode, encode
from resolvers.base.limits import MAX_SUSPENDED_TASKS
from resolvers.runtime.commands import Task


class Runner:
    """Runs coroutines one step at a time.

    A step is one of

        {"task": n, …command}    perform the command and resume task n with its result
        {"done": …}              the coroutine has returned
        {"done": …, …command}    the return value is valid if the command succeeds; if the command
                                 fails, start again with its result
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
        """Run to the first command; `present` turns the return value into plain JSON values.

        With `speculate`, run on with the command's expected result if it has one. If the command
        then fails, the caller must start again with its result as `failure`, JSON text.
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
                # If a client disconnects, its task is never resumed.
                oldest, _ = self._suspended.pop(next(iter(self._suspended)))
                oldest.close()
            self._suspended[task] = (coroutine, present)
            return encode({"task": task, **command.body})
        try:
            coroutine.send(command.expected)
        except StopIteration as stop:
            return encode({"done": present(stop.value), **command.body})
        raise AssertionError("a coroutine awaited another command after a final one")
