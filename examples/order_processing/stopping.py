"""Lets the engine stop a run: its own exception goes back to it as it came."""

import functools
from typing import Any, TypeVar

from js import Error, Object
from pyodide.ffi import create_once_callable, to_js

# How the engine ends a run that is paused, terminated or restarted, at whatever it awaits.
_STOPS = "Aborting engine:"

W = TypeVar("W", bound=type[Any])


def is_stop(error: BaseException) -> bool:
    """Whether the engine ends the run: who asked for that records it, and nothing failed."""
    return _STOPS in str(error)


def stoppable(workflow: W) -> W:
    """Decorates a Workflow's class.

    An exception that leaves Python becomes a PythonError with a traceback for its message, which
    the local engine takes for the workflow's failure (workerd, 2026-11-25): a paused run could not
    be resumed.
    """
    # The SDK has wrapped it when the class was made; this goes around.
    run = workflow.run

    @functools.wraps(run)
    async def stoppable_run(self: Any, event: Any = None, step: Any = None, /) -> Any:
        try:
            return await run(self, event, step)
        except Exception as error:
            text = str(error)
            if not is_stop(error):
                raise
            return _rejected(text[text.index(_STOPS) :].strip())

    workflow.run = stoppable_run
    return workflow


def _rejected(message: str) -> Any:
    """What JavaScript awaits as a promise, and finds rejected. Pyodide would make a real promise a
    future of Python's, and its error a PythonError again."""
    error = Error.new(message)
    then = create_once_callable(lambda _, reject: reject(error))
    return to_js({"then": then}, dict_converter=Object.fromEntries)
