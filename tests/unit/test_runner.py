"""Running coroutines that suspend on effects, a step at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resolvers.database import DatabaseError, Statement
from resolvers.effects import EffectDatabase, EffectEngine, Runner
from resolvers.engine import EngineError
from resolvers.limits import MAX_SUSPENDED_TASKS

DATABASE = EffectDatabase()


async def read(sql: str, *, final: bool = False) -> Any:
    """The text of one opaque statement."""
    [outcome] = await DATABASE.batch([Statement(sql, ("a", 1), opaque=True)], final=final)
    return outcome.text


async def attempt() -> str:
    """What a batch comes to, its failure included."""
    try:
        return str(await read("SELECT", final=True))
    except DatabaseError as error:
        return f"failed: {error}"


def test_a_task_suspends_on_its_effect_and_ends_with_its_result() -> None:
    runner = Runner()
    step = json.loads(runner.start(read("SELECT ?1")))
    assert step == {"task": step["task"], "batch": [["SELECT ?1", ["a", 1], True]]}
    end = runner.resume(step["task"], '{"outcomes":[[3,0]]}')
    assert json.loads(end) == {"done": 3}


def test_a_final_effect_is_foreseen_only_where_the_caller_can_begin_again() -> None:
    runner = Runner()
    step = json.loads(runner.start(attempt(), foresee=True))
    assert step == {"done": "0", "batch": [["SELECT", ["a", 1], True]]}
    assert "task" in json.loads(runner.start(attempt()))


def test_a_final_statement_without_a_row_has_failed_whoever_runs_it() -> None:
    runner = Runner()
    step = json.loads(runner.start(attempt()))
    end = runner.resume(step["task"], '{"outcomes":[[null,0]]}')
    assert json.loads(end) == {"done": "failed: no row"}


def test_a_task_that_begins_again_is_told_what_failed() -> None:
    step = json.loads(Runner().start(attempt(), foresee=True, failure="too big"))
    assert step == {"done": "failed: too big"}


def test_an_engine_that_refuses_raises_in_its_own_words() -> None:
    runner = Runner()
    engine = EffectEngine({"order": "ORDER"})
    step = json.loads(runner.start(engine.act("order", "i-1", "pause")))
    assert step["engine"] == ["ORDER", "pause", "i-1"]
    with pytest.raises(EngineError, match="no such instance"):
        runner.resume(step["task"], '{"error":"no such instance"}')


def test_tasks_that_nobody_resumes_are_given_up_oldest_first() -> None:
    runner = Runner()
    tasks = [
        json.loads(runner.start(read("SELECT")))["task"] for _ in range(MAX_SUSPENDED_TASKS + 1)
    ]
    with pytest.raises(KeyError):
        runner.resume(tasks[0], '{"outcomes":[[0,0]]}')
    assert json.loads(runner.resume(tasks[1], '{"outcomes":[[0,0]]}')) == {"done": 0}
