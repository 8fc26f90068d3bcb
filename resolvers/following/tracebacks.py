"""The errors of Python Workflows, whose messages in the engine are tracebacks.

Error("PythonError: Traceback (most recent call last):\\n  File … line 50, in charge\\n
shop.Declined: no money\\n")  → Declined("no money"), with the traceback as its stack
"""

import re

_PREFIX = "PythonError: "
_BEGINNING = "Traceback (most recent call last):\n"
# What follows the last frame: the exception's class in its module, and its message.
_LAST = re.compile(r".*\n[ \t][^\n]*\n([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL | re.ASCII)
# An exception that has crossed JavaScript: `Error: ` and what was thrown there.
_CROSSED = re.compile(r"(?:Error: )?([A-Za-z_]\w*): (.*)", re.DOTALL | re.ASCII)


def parse_traceback(message: str) -> tuple[str, str, str] | None:
    """The name, message and stack of the exception that a message shows; None for any other."""
    if not message.startswith(_PREFIX + _BEGINNING):
        return None
    stack = message.removeprefix(_PREFIX).rstrip()
    if (found := _LAST.fullmatch(stack)) is None:
        return None
    name, text = found[1].rpartition(".")[2], found[2] or ""
    if name == "JsException" and (crossed := _CROSSED.fullmatch(text)):
        name, text = crossed[1], crossed[2]
    # The SDK puts the name before the message when it raises an error of JavaScript again.
    return name, text.removeprefix(f"{name}: "), stack
