"""Running coroutines that suspend on effects, a step at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resolvers.database import DatabaseError, Statement
from resolvers.effects import EffectDatabase, EffectEngine, Runner
from resolvers.engine import STATUSES, EngineError, Seen
from resolvers.limits import MAX_SUSPENDED_TASKS
from resolvers.vocabulary import InstanceStatus
from schema.application import bound_workflows

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
    step = json.loads(Runner().start(attempt(), foresee=True, failure='{"error":"too big"}'))
    assert step == {"done": "failed: too big"}


def test_an_engine_that_refuses_raises_in_its_own_words() -> None:
    runner = Runner()
    engine = EffectEngine({"order": "ORDER"})
    step = json.loads(runner.start(engine.act("order", "i-1", "pause")))
    [call] = step["engine"]["calls"]
    assert call == {"binding": "ORDER", "method": "pause", "id": "i-1", "arguments": []}
    answer = {"error": "instance is busy", "seen": {"status": "waitingForPause"}}
    with pytest.raises(EngineError, match="instance is busy") as refused:
        runner.resume(step["task"], json.dumps({"answers": [answer]}))
    assert refused.value.seen == Seen(InstanceStatus.WAITING_FOR_PAUSE)


def test_what_the_engine_says_of_instances_comes_back_in_their_order() -> None:
    runner = Runner()
    engine = EffectEngine({"order": "ORDER", "mail": "MAIL"})
    looked: list[Seen | EngineError] = []

    async def look() -> None:
        looked.extend(await engine.look([("order", "a"), ("mail", "b"), ("mail", "c")]))

    step = json.loads(runner.start(look()))
    calls = step["engine"]["calls"]
    assert [(c["binding"], c["id"]) for c in calls] == [
        ("ORDER", "a"),
        ("MAIL", "b"),
        ("MAIL", "c"),
    ]
    answers = [
        {"seen": {"status": "complete", "output": "[1]"}},
        {"seen": {"status": "errored", "error": ["TypeError", "no"]}},
        {"error": "no answer"},
    ]
    runner.resume(step["task"], json.dumps({"answers": answers}))
    assert looked[0] == Seen(InstanceStatus.COMPLETED, output="[1]")
    assert looked[1] == Seen(InstanceStatus.ERRORED, error=("TypeError", "no"))
    assert str(looked[2]) == "no answer"


def test_the_engines_words_for_a_status_are_mapped_without_loss() -> None:
    assert len(set(STATUSES.values())) == len(STATUSES)
    # SLEEPING is what the tracker knows beyond the engine's `waiting`.
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
def test_the_bindings_of_workflows_are_an_object_or_its_json(
    value: object, bindings: dict[str, str]
) -> None:
    assert bound_workflows(value) == (bindings, "")


@pytest.mark.parametrize("value", ["order", "{", "[]", {"order": 1}, ["order"]])
def test_bindings_that_cannot_be_read_are_none_and_say_why(value: object) -> None:
    bindings, problem = bound_workflows(value)
    assert bindings == {}
    assert "WORKFLOWS" in EffectEngine(bindings, problem).unbound("order")
    assert problem in EffectEngine(bindings, problem).unbound("order")


def test_tasks_that_nobody_resumes_are_given_up_oldest_first() -> None:
    runner = Runner()
    tasks = [
        json.loads(runner.start(read("SELECT")))["task"] for _ in range(MAX_SUSPENDED_TASKS + 1)
    ]
    with pytest.raises(KeyError):
        runner.resume(tasks[0], '{"outcomes":[[0,0]]}')
    assert json.loads(runner.resume(tasks[1], '{"outcomes":[[0,0]]}')) == {"done": 0}
