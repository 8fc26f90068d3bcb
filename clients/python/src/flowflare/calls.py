"""Calls of a step's work: with its attempt, with the results of other steps, or with nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Work = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a step. `number` counts from 1; `context` is the engine's context."""

    number: int
    context: Mapping[str, Any] | None = None


async def call(work: Work, attempt: Attempt) -> Any:
    """Call the work, with the attempt if it takes a parameter, and await its result if need be."""
    result = work(attempt) if _takes_one(work) else work()
    return await result if inspect.isawaitable(result) else result


def _takes_one(work: Work) -> bool:
    try:
        parameters = inspect.signature(work).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is inspect.Parameter.empty for p in parameters)


class Decorated:
    """A function that `step.do(name)` decorated: calling it runs the step.

    As in Cloudflare's SDK, a parameter `ctx` gets the engine's context, and each other one the
    result of a step: the one in the same place of `depends`, or else the one of that name. A step
    runs once, however many other steps depend on it.
    """

    def __init__(
        self,
        function: Work,
        run: Callable[[Work], Awaitable[Any]],
        *,
        depends: Sequence[Decorated] | None,
        concurrent: bool,
        named: Mapping[str, Decorated],
    ) -> None:
        self.__name__ = getattr(function, "__name__", "step")
        self._function = function
        self._run = run
        self._concurrent = concurrent
        self._parameters = _sources(function, depends, named)
        self._outcome: Any = None

    async def __call__(self) -> Any:
        """Run the step, after the steps it depends on."""
        task = asyncio.ensure_future(self._with_dependencies())
        self._outcome = task
        return await task

    async def _with_dependencies(self) -> Any:
        needed = [source for source in self._parameters.values() if source is not None]
        if self._concurrent:
            results = await asyncio.gather(*(source.result() for source in needed))
        else:
            results = [await source.result() for source in needed]
        found = dict(zip((id(source) for source in needed), results, strict=True))

        def work(attempt: Attempt) -> Any:
            return self._function(
                *(
                    attempt.context if source is None else found[id(source)]
                    for source in self._parameters.values()
                )
            )

        return await self._run(work)

    async def result(self) -> Any:
        """The result of the step; runs it unless it has run or is running."""
        if self._outcome is None:
            return await self()
        return await self._outcome


def _sources(
    function: Work, depends: Sequence[Decorated] | None, named: Mapping[str, Decorated]
) -> dict[str, Decorated | None]:
    """The step that each parameter gets its result from; None for the engine's context."""
    names = list(inspect.signature(function).parameters)
    wanted = [name for name in names if name != "ctx"]
    if depends is None:
        for name in wanted:
            if name not in named:
                raise TypeError(f"The parameter {name!r} must be the name of an earlier step.")
        found = {name: named[name] for name in wanted}
    elif len(depends) != len(wanted):
        raise TypeError(
            f"depends has {len(depends)} steps, but the function has {len(wanted)} parameters."
        )
    else:
        found = dict(zip(wanted, depends, strict=True))
    return {name: found.get(name) for name in names}
