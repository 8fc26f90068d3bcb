"""Errors as the Workflow threw them, from the texts that the engine makes of them.

The message of an exception of a Python Workflow is its traceback, and that of a NonRetryableError
is quoted:

    PythonError: Traceback (most recent call last): … shop.Declined: no money
        → Declined, no money
    Step threw a NonRetryableError with message "NonRetryableError: gone"
        → NonRetryableError, gone
"""

import re
from dataclasses import dataclass

_PREFIX = "PythonError: "
_BEGINNING = "Traceback (most recent call last):\n"
# What follows the last frame: the exception's class in its module, and its message.
_LAST = re.compile(r".*\n[ \t][^\n]*\n([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL | re.ASCII)
# An exception that has crossed JavaScript: `Error: ` and what was thrown there.
_CROSSED = re.compile(r"(?:Error: )?([A-Za-z_]\w*): (.*)", re.DOTALL | re.ASCII)
_QUOTED = re.compile(
    r'Step threw an? [A-Za-z]+ with message "([A-Za-z_]\w*): (.*)"', re.DOTALL | re.ASCII
)


@dataclass(frozen=True, slots=True)
class Thrown:
    """An error's name, message and stack."""

    name: str
    message: str
    stack: str | None = None


def parse_thrown(name: str, message: str) -> Thrown:
    """The error that was thrown, from the engine's name and message; those if they are its own."""
    if (quoted := _QUOTED.fullmatch(message)) is not None:
        return Thrown(quoted[1], quoted[2])
    if message.startswith(_PREFIX + _BEGINNING):
        stack = message.removeprefix(_PREFIX).rstrip()
        if (last := _LAST.fullmatch(stack)) is not None:
            return _exception(last[1].rpartition(".")[2], last[2] or "", stack)
    return Thrown(name, message)


def _exception(name: str, message: str, stack: str) -> Thrown:
    if name == "JsException" and (crossed := _CROSSED.fullmatch(message)):
        name, message = crossed[1], crossed[2]
    # The SDK puts the name before the message when it raises an error of JavaScript again.
    return Thrown(name, message.removeprefix(f"{name}: "), stack)
