"""Commands: descriptions of I/O that a coroutine awaits and the runtime performs.

A coroutine here never touches an event loop: `await database.batch(…)` suspends it with a Command,
and the caller performs the command and resumes it. In the Worker a few lines of JavaScript do that
(see commands.mjs), so a request costs no Python task and no promise crosses the language border.
Commands and their results cross as JSON text.
"""

from collections.abc import Coroutine, Generator, Mapping
from typing import Any, TypeAlias


class Command:
    """I/O that a coroutine waits for; awaiting it returns the result.

    `expected` is the result in case of success, if that is known before the command is performed.
    """

    __slots__ = ("body", "expected")

    def __init__(self, body: Mapping[str, Any], expected: Any = None) -> None:
        self.body = body
        self.expected = expected

    def __await__(self) -> Generator["Command", Any, Any]:
        return (yield self)


Task: TypeAlias = Coroutine[Command, Any, Any]
