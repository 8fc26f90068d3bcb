"""Errors of Workflows, as the engine tells them and as they were thrown."""

import pytest

from resolvers.following.thrown import Thrown, parse_thrown

FRAMES = """Traceback (most recent call last):
  File "/session/metadata/worker.py", line 86, in work
    raise Declined("declined")
"""
CAUSE = f"""{FRAMES}pyodide.ffi.JsException: Error: NonRetryableError: no such address

The above exception was the direct cause of the following exception:

{FRAMES}"""


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (f"{FRAMES}worker.Declined: declined\n", "Declined", "declined"),
        (f"{FRAMES}ValueError: ValueError: no items\n\n", "ValueError", "no items"),
        (f"{FRAMES}KeyError\n", "KeyError", ""),
        (f"{FRAMES}a.b.C: first\nsecond: third\n", "C", "first\nsecond: third"),
        (f"{CAUSE}workers.workflows.NonRetryableError: gone\n", "NonRetryableError", "gone"),
        (
            f"{FRAMES}pyodide.ffi.JsException: Error: NonRetryableError: gone\n",
            "NonRetryableError",
            "gone",
        ),
        (f"{FRAMES}pyodide.ffi.JsException: TypeError: gone\n", "TypeError", "gone"),
        (f"{FRAMES}pyodide.ffi.JsException: gone\n", "JsException", "gone"),
        (
            f"{FRAMES}pyodide.ffi.JsException: Error: PythonError: {FRAMES}worker.Declined: no\n",
            "Declined",
            "no",
        ),
    ],
)
def test_a_traceback_is_the_exception_that_it_ends_with(text: str, name: str, message: str) -> None:
    expected = Thrown(name, message, text.rstrip())
    assert parse_thrown("Error", f"PythonError: {text}") == expected


@pytest.mark.parametrize(
    "message",
    [
        "",
        "declined",
        "PythonError: declined",
        "PythonError: Traceback (most recent call last):\n",
        f"PythonError: {FRAMES}",
        f"PythonError: {FRAMES}not an exception\n",
        f"{FRAMES}worker.Declined: declined\n",
    ],
)
def test_any_other_message_is_left_as_it_is(message: str) -> None:
    assert parse_thrown("Own", message) == Thrown("Own", message)


@pytest.mark.parametrize("message", ["never again", "", 'a "quoted"\nline: two'])
def test_a_quoted_message_is_that_of_the_error(message: str) -> None:
    text = f'Step threw a NonRetryableError with message "NonRetryableError: {message}"'
    assert parse_thrown("WorkflowFatalError", text) == Thrown("NonRetryableError", message)
