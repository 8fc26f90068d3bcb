"""The service is away, slow, or killed: the workflow goes on, and nothing is missing or doubled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.typescript.scripts import attempts, happened, statuses
from tests.clients.typescript.test_tracked_workflows import ran

if TYPE_CHECKING:
    from tests.clients.typescript.scripts import Scripts

ACTIONS = [{"do": "one"}, {"do": "two", "fails": 1}, {"do": "three"}]
EVENTS = [
    "INSTANCE_QUEUED",
    "INSTANCE_STARTED",
    *ran("one"),
    "STEP_STARTED two",
    "ATTEMPT_STARTED two 1",
    "ATTEMPT_FAILED two 1",
    "ATTEMPT_STARTED two 2",
    "STEP_COMPLETED two 2",
    *ran("three"),
    "INSTANCE_COMPLETED",
]


@pytest.mark.parametrize("gate", ["broken 3", "lost 3", "slow 2"])
def test_calls_that_fail_are_made_again_in_order(scripts: Scripts, gate: str) -> None:
    instance = scripts.run(ACTIONS, gate=gate)
    assert happened(instance) == EVENTS


def test_reports_left_at_the_end_are_delivered_in_a_step_of_the_engine(scripts: Scripts) -> None:
    id_ = scripts.start(ACTIONS, gate="broken")
    calls = scripts.until_calls(id_, 7)
    assert {call["query"].split("(")[0] for call in calls} == {"query State"}
    scripts.tell("open", id_)
    instance = scripts.finished(id_)
    assert happened(instance) == EVENTS


def test_a_workflow_that_cannot_be_tracked_runs_nevertheless(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one"}, {"do": "two"}], untracked=True)
    assert scripts.until_engine(id_, "complete")["output"] == {"results": ["one", "two"]}
    scripts.server.wait_for_log(f"[flowflare] {id_} is not tracked: ")


def test_a_service_that_refuses_is_given_up_at_once(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one"}, {"do": "two"}], gate="refused")
    scripts.until_engine(id_, "complete")
    assert len(scripts.calls(id_)) == 1
    scripts.server.wait_for_log(f"[flowflare] {id_}: 6 report(s) could not be delivered: ")
    assert scripts.server.key not in scripts.server.log


@dataclass(frozen=True)
class Survivors:
    """Instances that were under way when the server was killed, once they have finished."""

    sleeping: Any
    running: Any
    unreported: Any


@pytest.fixture(scope="module")
def survivors(scripts: Scripts) -> Survivors:
    """Kill the server in the middle of a sleep, of a step, and of an outage; start it again."""
    # Its reports never arrive before the crash, but the engine has the results.
    unreported = scripts.start(
        [
            {"do": "one", "returns": {"n": 1}},
            {"do": "two", "fatal": True, "optional": True},
            {"wait": "word", "type": "go"},
        ],
        gate="broken",
    )
    scripts.until_engine_steps(unreported, 1)
    running = scripts.start([{"do": "one"}, {"do": "two", "hangs": 1}, {"do": "three"}])
    scripts.reaches(running, "two")
    sleeping = scripts.start([{"do": "one"}, {"sleep": "nap", "for": 3000}, {"do": "two"}])
    scripts.until(sleeping, lambda found: found["status"] == "SLEEPING")
    scripts.server.crash()
    scripts.server.start()
    scripts.tell("open", unreported)
    for id_ in (sleeping, running, unreported):
        scripts.tell("wake", id_)
    scripts.reaches(unreported, "word")
    scripts.send(unreported, "go")
    return Survivors(*(scripts.finished(id_) for id_ in (sleeping, running, unreported)))


def test_a_crash_in_a_sleep_loses_and_repeats_nothing(survivors: Survivors) -> None:
    assert happened(survivors.sleeping) == [
        "INSTANCE_QUEUED",
        "INSTANCE_STARTED",
        *ran("one"),
        "STEP_STARTED nap",
        "INSTANCE_SLEEPING",
        "STEP_COMPLETED nap",
        "INSTANCE_RESUMED",
        *ran("two"),
        "INSTANCE_COMPLETED",
    ]


def test_a_crash_in_a_step_is_an_attempt_that_was_interrupted(survivors: Survivors) -> None:
    instance = survivors.running
    interrupted = "The engine began the next attempt before this one had ended."
    assert attempts(instance, "two") == [(1, "FAILED", interrupted), (2, "COMPLETED", None)]
    assert statuses(instance) == dict.fromkeys(["one", "two", "three"], "COMPLETED")
    assert happened(instance).count("STEP_STARTED one") == 1


def test_reports_lost_in_a_crash_are_made_from_the_engines_results(survivors: Survivors) -> None:
    instance = survivors.unreported
    assert statuses(instance) == {"one": "COMPLETED", "two": "FAILED", "word": "COMPLETED"}
    assert [step["output"] for step in instance["steps"]] == [{"n": 1}, None, {"by": "test"}]
    assert instance["status"] == "COMPLETED"
    assert [event for event in happened(instance) if " one" in event] == ran("one")
