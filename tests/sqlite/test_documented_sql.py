"""The examples in docstrings of `resolvers`: a GraphQL operation and the SQL that it becomes.

An example is four paragraphs: "Example:", the operation (indented), "becomes" and perhaps a
condition, and the statements (indented, separated by semicolons). "…" matches anything, and white
space does not matter.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports.engine import EngineState
from tests.support.engines import RecordingEngine
from tests.support.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNNING = EngineState(InstanceStatus.RUNNING)
_COMPLETE = EngineState(InstanceStatus.COMPLETED)
# Each module that must have an example, and the state that its engine reports of instance `i-1`.
_MODULES = {
    "compiling.compiler": _RUNNING,
    "compiling.planners.events": _RUNNING,
    "compiling.planners.expressions": _RUNNING,
    "compiling.planners.filters": _RUNNING,
    "compiling.planners.pages": _RUNNING,
    "compiling.planners.payloads": _RUNNING,
    "compiling.planners.roots": _RUNNING,
    "compiling.planners.sizes": _RUNNING,
    "compiling.planners.stats": _RUNNING,
    "engine.records": EngineState(InstanceStatus.PAUSED),
    "engine.repairs": _COMPLETE,
    "writing.instances": _RUNNING,
    "writing.steps": _RUNNING,
    "writing.workflows": _RUNNING,
}


def example(text: str) -> tuple[str, list[str]]:
    """The operation and the statements of a docstring's example."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    begin = paragraphs.index("Example:") + 1
    operation, conclusion, statements = paragraphs[begin : begin + 3]
    assert conclusion.startswith("becomes"), conclusion
    return operation, [" ".join(part.split()) for part in statements.split(";")]


def pattern(statement: str) -> re.Pattern[str]:
    """A pattern that matches the statements a documented one stands for."""
    return re.compile(".*".join(re.escape(part) for part in compact(statement).split("…")))


def compact(text: str) -> str:
    """The text without white space."""
    return re.sub(r"\s", "", text)


def run(operation: str, state: EngineState) -> list[str]:
    """The SQL that an operation runs, where instance `i-1` of workflow `order` is running."""
    engine = RecordingEngine("order")
    engine.states["i-1"] = state
    writer = Writer(engine=engine)
    writer.update("i-1", workflow="order", status="RUNNING")
    writer.database.batches.clear()
    writer.client(operation)
    return [statement.sql for batch in writer.database.batches for statement in batch]


def mismatch(text: str, state: EngineState) -> str:
    """The first statement of an example that nothing run after the one before it matches."""
    operation, documented = example(text)
    statements = iter(run(operation, state))
    for statement in documented:
        if not any(pattern(statement).fullmatch(compact(sql)) for sql in statements):
            return statement
    return ""


@pytest.mark.parametrize("name", _MODULES)
def test_an_example_becomes_the_documented_sql(name: str) -> None:
    text = importlib.import_module(f"resolvers.{name}").__doc__
    assert text is not None
    assert mismatch(text, _MODULES[name]) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("status=?1", "status=?2"),
        lambda text: text.replace("'WAITING')", "'WAITING'"),
        lambda text: text.replace('"i-1"', '"i-2"'),
    ],
)
def test_an_example_that_is_not_true_is_found(change: Callable[[str], str]) -> None:
    text = importlib.import_module("resolvers.engine.records").__doc__
    assert text is not None
    assert mismatch(change(text), EngineState(InstanceStatus.PAUSED)) != ""
