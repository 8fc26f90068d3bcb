"""The runner advances coroutines that await commands, one step at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resolvers.base.limits import MAX_SUSPENDED_TASKS
from resolvers.base.scrubbing import Scrubber
from resolvers.base.vocabulary import InstanceStatus, OutputKind
from resolvers.ports.database import DatabaseError, Statement
from resolvers.ports.engine import STATUSES, EngineError, EngineState
from resolvers.runtime.database import CommandDatabase
from resolvers.runtime.engine import CommandEngine
from resolvers.runtime.runner import Runner
from schema.application import bound_workflows

DATABASE = CommandDatabase()


async def read(sql: str, *, final: bool = False) -> Any:
    """Run one opaque statement and return its text."""
    [outcome] = await DATABASE.batch([Statement(sql, ("a", 1), opaque=True)], final=final)
    return outcome.text


async def attempt() -> str:
    """Run a final statement and return its text, or its failure as text."""
    try:
        return str(await read("SELECT", final=True))
    except DatabaseError as error:
        return f"failed: {error}"


def test_a_task_suspends_on_its_command_and_ends_with_its_result() -> None:
    runner = Runner()
    step = json.loads(runner.start(read("SELECT ?1")))
    assert step == {"task": step["task"], "batch": [["SELECT ?1", ["a", 1], True]]}
    end = runner.resume(step["task"], '{"outcomes":[[3,0]]}')
    assert json.loads(end) == {"done": 3}


def test_a_final_batch_is_speculated_only_where_the_caller_can_start_again() -> None:
    runner = Runner()
    step = json.loads(runner.start(attempt(), speculate=True))
    assert step == {"done": "0", "batch": [["SELECT", ["a", 1], True]]}
    assert "task" in json.loads(runner.start(attempt()))


def test_a_final_statement_without_a_row_fails() -> None:
    runner = Runner()
    step = json.loads(runner.start(attempt()))
    end = runner.resume(step["task"], '{"outcomes":[[null,0]]}')
    assert json.loads(end) == {"done": "failed: no row"}


def test_a_task_that_starts_again_gets_the_failure() -> None:
    step = json.loads(Runner().start(attempt(), speculate=True, failure='{"error":"too big"}'))
    assert step == {"done": "failed: too big"}


def test_a_refusal_of_the_engine_is_raised_with_its_message_and_state() -> None:
    runner = Runner()
    engine = CommandEngine({"order": "ORDER"}, scrubber=Scrubber())
    step = json.loads(runner.start(engine.act("order", "i-1", action="pause")))
    [request] = step["engine"]["requests"]
    assert request == {
        "workflow": "order",
        "binding": "ORDER",
        "method": "pause",
        "id": "i-1",
        "arguments": [],
    }
    result = {"error": "instance is busy", "state": {"status": "waitingForPause"}}
    with pytest.raises(EngineError, match="instance is busy") as refused:
        runner.resume(step["task"], json.dumps({"results": [result]}))
    assert refused.value.state == EngineState(InstanceStatus.WAITING_FOR_PAUSE)


def test_statuses_of_several_engines_are_returned_in_order() -> None:
    runner = Runner()
    engine = CommandEngine({"order": "ORDER", "mail": "MAIL"}, scrubber=Scrubber())
    states: list[EngineState | EngineError] = []

    async def get_statuses() -> None:
        states.extend(await engine.get_statuses([("order", "a"), ("mail", "b"), ("mail", "c")]))

    step = json.loads(runner.start(get_statuses()))
    requests = step["engine"]["requests"]
    assert [(r["binding"], r["id"]) for r in requests] == [
        ("ORDER", "a"),
        ("MAIL", "b"),
        ("MAIL", "c"),
    ]
    results = [
        {"state": {"status": "complete", "output": ["[1]", "JSON"]}},
        {"state": {"status": "errored", "error": ["TypeError", "no"]}},
        {"error": "no answer"},
    ]
    runner.resume(step["task"], json.dumps({"results": results}))
    assert states[0] == EngineState(InstanceStatus.COMPLETED, "[1]", OutputKind.JSON)
    assert states[1] == EngineState(InstanceStatus.ERRORED, error=("TypeError", "no"))
    assert str(states[2]) == "no answer"


def test_every_status_of_the_engine_maps_to_a_different_tracked_status() -> None:
    assert len(set(STATUSES.values())) == len(STATUSES)
    # The engine says `waiting` of an instance that sleeps.
    assert set(STATUSES.values()) == set(InstanceStatus) - {InstanceStatus.SLEEPING}


@pytest.mark.parametrize(
    ("value", "bindings"),
    [
        ({"order": "ORDER"}, {"order": "ORDER"}),
        ('{"order": "ORDER"}', {"order": "ORDER"}),
        ("", {}),
        (None, {}),
    ],
)
def test_workflow_bindings_may_be_an_object_or_json(
    value: object, bindings: dict[str, str]
) -> None:
    assert bound_workflows(value) == (bindings, "")


@pytest.mark.parametrize("value", ["order", "{", "[]", {"order": 1}, ["order"]])
def test_invalid_bindings_are_empty_and_the_engine_says_why(value: object) -> None:
    bindings, problem = bound_workflows(value)
    assert bindings == {}
    assert "WORKFLOWS" in CommandEngine(bindings, problem, scrubber=Scrubber()).unbound("order")
    assert problem in CommandEngine(bindings, problem, scrubber=Scrubber()).unbound("order")


def test_the_oldest_of_too_many_suspended_tasks_is_dropped() -> None:
    runner = Runner()
    tasks = [
        json.loads(runner.start(read("SELECT")))["task"] for _ in range(MAX_SUSPENDED_TASKS + 1)
    ]
    with pytest.raises(KeyError):
        runner.resume(tasks[0], '{"outcomes":[[0,0]]}')
    assert json.loads(runner.resume(tasks[1], '{"outcomes":[[0,0]]}')) == {"done": 0}


def test_what_the_engine_reports_is_scrubbed() -> None:
    scrubber = Scrubber.parse({"order": ["password", "/hunter2/"]})
    engine = CommandEngine({"order": "ORDER", "mail": "MAIL"}, scrubber=scrubber)
    runner = Runner()
    states: list[EngineState | EngineError] = []

    async def get_statuses() -> None:
        states.extend(await engine.get_statuses([("order", "a"), ("order", "b"), ("mail", "c")]))

    step = json.loads(runner.start(get_statuses()))
    output = ['{"password":1}', "CONVERTED"]
    failed = {"status": "errored", "error": ["hunter2", "no hunter2"]}
    results = [
        {"state": {"status": "complete", "output": output}},
        {"error": "hunter2 is away", "state": failed},
        {"state": {"status": "complete", "output": output}},
    ]
    runner.resume(step["task"], json.dumps({"results": results}))
    mark = "[SCRUBBED]"
    assert states[0] == EngineState(
        InstanceStatus.COMPLETED, f'{{"password":"{mark}"}}', OutputKind.SCRUBBED
    )
    assert isinstance(states[1], EngineError)
    assert str(states[1]) == f"{mark} is away"
    assert states[1].state == EngineState(InstanceStatus.ERRORED, error=(mark, f"no {mark}"))
    assert states[2] == EngineState(
        InstanceStatus.COMPLETED, '{"password":1}', OutputKind.CONVERTED
    )
