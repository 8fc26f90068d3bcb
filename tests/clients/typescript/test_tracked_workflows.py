"""`trackWorkflow` on the real engine: what happened is what Flowflare has, each thing once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.base.names import step_name
from tests.clients.typescript.scripts import attempts, happened, statuses, step, steps

if TYPE_CHECKING:
    from tests.clients.typescript.scripts import Scripts


def ran(name: str, attempt: int = 1) -> list[str]:
    """The events of a step that succeeds at once."""
    begins = [f"STEP_STARTED {name}", f"ATTEMPT_STARTED {name} {attempt}"]
    return [*begins, f"STEP_COMPLETED {name} {attempt}"]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_every_step_attempt_and_sleep_is_recorded_in_order(scripts: Scripts) -> None:
    instance = scripts.run(
        [
            {"do": "one", "returns": {"n": 1}},
            {"do": "two", "fails": 2},
            {"sleep": "nap", "for": 300},
            {"do": "three"},
        ]
    )
    assert instance["status"] == "COMPLETED"
    assert instance["output"] == {"results": [{"n": 1}, "two", None, "three"]}
    assert happened(instance) == [
        "INSTANCE_QUEUED",
        "INSTANCE_STARTED",
        *ran("one"),
        "STEP_STARTED two",
        "ATTEMPT_STARTED two 1",
        "ATTEMPT_FAILED two 1",
        "ATTEMPT_STARTED two 2",
        "ATTEMPT_FAILED two 2",
        "ATTEMPT_STARTED two 3",
        "STEP_COMPLETED two 3",
        "STEP_STARTED nap",
        "INSTANCE_SLEEPING",
        "STEP_COMPLETED nap",
        "INSTANCE_RESUMED",
        *ran("three"),
        "INSTANCE_COMPLETED",
    ]
    assert step(instance, "one")["output"] == {"n": 1}
    assert [s["index"] for s in instance["steps"]] == [1, 2, 3, 4]
    assert step(instance, "nap")["kind"] == "SLEEP"


def test_an_attempt_that_failed_has_its_error_and_the_time_of_the_next(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "pay", "fails": 1}])
    first, second = step(instance, "pay")["attempts"]
    assert first["error"]["name"] == "PaymentDeclined"
    assert first["error"]["message"] == "declined at attempt 1"
    assert "PaymentDeclined: declined at attempt 1\n    at " in first["error"]["stack"]
    assert instant(first["retryAt"]) <= instant(second["startedAt"])
    assert second["error"] is None
    assert step(instance, "pay")["retryPolicy"] == {"limit": 3, "delay": 50, "backoff": "CONSTANT"}


def test_a_workflow_that_fails_is_errored_with_the_error_of_its_step(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "pay", "fails": 9, "config": {"retries": retries(1)}}])
    assert attempts(instance, "pay") == [
        (1, "FAILED", "declined at attempt 1"),
        (2, "FAILED", "declined at attempt 2"),
    ]
    assert step(instance, "pay")["status"] == "FAILED"
    assert instance["status"] == "ERRORED"
    assert instance["error"]["name"] == "PaymentDeclined"
    assert "at " in instance["error"]["stack"]
    assert happened(instance)[-2:] == ["STEP_FAILED pay 2", "INSTANCE_ERRORED"]


def test_a_workflow_that_throws_between_steps_is_errored(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "one"}, {"throw": "out of stock"}])
    assert instance["status"] == "ERRORED"
    assert (instance["error"]["name"], instance["error"]["message"]) == (
        "PaymentDeclined",
        "out of stock",
    )


def test_a_non_retryable_error_ends_the_step_at_its_first_attempt(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "pay", "fatal": True}])
    assert attempts(instance, "pay") == [(1, "FAILED", "never again")]
    assert step(instance, "pay")["error"]["name"] == "NonRetryableError"
    assert instance["status"] == "ERRORED"


def test_a_workflow_continues_after_a_failed_step_that_it_catches(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "pay", "fatal": True, "optional": True}, {"do": "two"}])
    assert statuses(instance) == {"pay": "FAILED", "two": "COMPLETED"}
    assert instance["status"] == "COMPLETED"


def test_a_timeout_fails_the_attempt(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "slow", "hangs": 1, "config": {"timeout": 300}}])
    assert attempts(instance, "slow") == [
        (1, "FAILED", "Execution timed out after 300ms"),
        (2, "COMPLETED", None),
    ]


def test_a_delay_function_gives_the_time_of_the_next_attempt(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "pay", "fails": 1, "asks": True}])
    first, second = step(instance, "pay")["attempts"]
    assert first["error"]["message"] == "declined at attempt 1"
    assert instant(first["retryAt"]) <= instant(second["startedAt"])
    assert step(instance, "pay")["retryPolicy"] is None


def test_an_event_is_the_output_of_the_step_that_waits_for_it(scripts: Scripts) -> None:
    id_ = scripts.start([{"wait": "approval", "type": "approved"}, {"do": "publish"}])
    instance = scripts.reaches(id_, "approval")
    assert instance["status"] == "WAITING"
    scripts.send(id_, "approved")
    instance = scripts.finished(id_)
    assert step(instance, "approval")["kind"] == "WAIT_FOR_EVENT"
    assert step(instance, "approval")["output"] == {"by": "test"}
    assert happened(instance)[2:7] == [
        "STEP_STARTED approval",
        "INSTANCE_WAITING",
        "INSTANCE_UPDATED",
        "STEP_COMPLETED approval",
        "INSTANCE_RESUMED",
    ]


def test_a_missing_event_fails_the_step_that_waits_for_it(scripts: Scripts) -> None:
    wait = {"wait": "approval", "type": "approved", "timeout": "1 second", "optional": True}
    instance = scripts.run([wait, {"do": "remind"}])
    assert step(instance, "approval")["status"] == "FAILED"
    assert step(instance, "approval")["error"]["name"] == "WorkflowTimeoutError"
    assert instance["status"] == "COMPLETED"


def test_a_sleeping_instance_has_the_time_of_its_end(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one"}, {"sleep": "nap", "for": "1 hour"}])
    instance = scripts.reaches(id_, "nap")
    assert instance["status"] == "SLEEPING"
    started = instant(step(instance, "nap")["startedAt"])
    assert abs((instant(instance["sleepUntil"]) - started).total_seconds() - 3600) < 30
    scripts.act("terminateWorkflow", id_)


def test_steps_with_the_same_name_are_numbered(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "page"}, {"do": "page"}, {"sleep": "page", "for": 1}])
    assert steps(instance) == [("page", number, "COMPLETED") for number in (1, 2, 3)]


def test_a_step_whose_own_name_ends_in_a_number_is_another_step(scripts: Scripts) -> None:
    names = ["load", "load (2)", "load"]
    actions = [{"do": name, "returns": value} for name, value in zip(names, "ABC", strict=True)]
    instance = scripts.run(actions)
    assert [(s["name"], s["occurrence"], s["output"]) for s in instance["steps"]] == [
        ("load", 1, "A"),
        ("load (2)", 1, "B"),
        ("load", 2, "C"),
    ]


def test_every_name_that_the_engine_takes_is_recorded(scripts: Scripts) -> None:
    long = "n" * 256
    lines = {"sleep": "two\nlines", "for": 1}
    halves = [{"half": 0xD83D}, {"half": 0xDE00}]
    numbers = [{"do": 1}, {"sleep": 1, "for": 10}]
    actions = [{"do": ""}, *[{"do": long}] * 3, lines, {"do": "z" * 300, "optional": True}]
    actions += [*halves, *numbers]
    id_ = scripts.start(actions)
    assert scripts.end(id_)["status"] == "complete"
    assert steps(scripts.finished(id_)) == [
        (step_name(""), 1, "COMPLETED"),
        *((long, number, "COMPLETED") for number in (1, 2, 3)),
        (step_name("two\nlines"), 1, "COMPLETED"),
        (step_name("z" * 300), 1, "FAILED"),
        (step_name("\ud83d"), 1, "COMPLETED"),
        (step_name("\ude00"), 1, "COMPLETED"),
        ("1", 1, "COMPLETED"),
        ("1", 2, "COMPLETED"),
    ]


def test_workflows_may_have_instances_with_the_same_id(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "load", "returns": "first"}, {"do": "more"}])
    scripts.start([{"do": "load", "returns": "second"}], workflow="js-twin", id_=id_)
    first = scripts.finished(id_)
    second = scripts.finished(id_, workflow="js-twin")
    assert first["output"] == {"results": ["first", "more"]}
    assert second["output"] == {"results": ["second"]}
    assert statuses(first) == {"load": "COMPLETED", "more": "COMPLETED"}
    assert statuses(second) == {"load": "COMPLETED"}
    assert happened(second) == [
        "INSTANCE_QUEUED",
        "INSTANCE_STARTED",
        *ran("load"),
        "INSTANCE_COMPLETED",
    ]


def test_parallel_steps_are_all_recorded(scripts: Scripts) -> None:
    together = [{"do": "a", "takes": 50}, {"do": "b", "fails": 1}, {"sleep": "c", "for": 700}]
    instance = scripts.run([{"together": together}, {"do": "after"}])
    assert statuses(instance) == dict.fromkeys(["a", "b", "c", "after"], "COMPLETED")
    assert [s["name"] for s in instance["steps"]] == ["a", "b", "c", "after"]
    events = happened(instance)
    # While a task runs the instance is RUNNING; once only the sleep is left, it is SLEEPING.
    assert events.index("STEP_COMPLETED b 2") < last(events, "INSTANCE_SLEEPING")
    assert events[-4:] == [*ran("after"), "INSTANCE_COMPLETED"]


def test_a_result_over_the_limit_is_recorded_with_its_size_and_a_preview(scripts: Scripts) -> None:
    instance = scripts.run([{"do": "big", "returns": 600_000}])
    output = step(instance, "big")["output"]
    assert output == {"truncated": True, "bytes": 600_002, "preview": '"' + "x" * 999}
    assert instance["output"]["truncated"] is True


@pytest.mark.parametrize("levels", [1_000, 8_000, 100_000])
def test_a_deep_result_is_accepted_or_refused_as_without_tracking(
    scripts: Scripts, levels: int
) -> None:
    bystander = scripts.start([{"wait": "hear", "type": "heard"}])
    scripts.reaches(bystander, "hear")
    actions = [{"do": "build", "config": {"retries": retries(0)}, "deep": levels}]
    bare = scripts.end(scripts.start(actions, bare=True))
    id_ = scripts.start(actions)
    own, instance = scripts.end(id_), scripts.finished(id_)
    assert (own["status"], own.get("error")) == (bare["status"], bare.get("error"))
    build = step(instance, "build")
    if own["status"] == "complete":
        assert instance["status"] == "COMPLETED"
        assert build["output"].keys() & {"truncated", "unserializable"}
    else:
        assert (instance["status"], build["status"]) == ("ERRORED", "FAILED")
        assert build["error"]["message"] in own["error"]["message"]
    scripts.send(bystander, "heard")
    assert scripts.finished(bystander)["status"] == "COMPLETED"


def test_members_with_names_of_built_in_properties_are_recorded(scripts: Scripts) -> None:
    names = ["__proto__", "constructor", "toString", "hasOwnProperty"]
    value = json.loads('{"__proto__": {"a": 1}, "constructor": 2, "toString": null}')
    actions = [{"do": name, "returns": value} for name in [*names, *names]]
    instance = scripts.run(actions)
    assert instance["status"] == "COMPLETED"
    assert instance["input"]["actions"] == actions
    assert instance["output"] == {"results": [value] * 8}
    assert steps(instance) == [(name, number, "COMPLETED") for number in (1, 2) for name in names]
    assert [step["output"] for step in instance["steps"]] == [value] * 8


def test_an_output_that_the_engine_refuses_is_its_error(scripts: Scripts) -> None:
    id_ = scripts.start([{"end": "function"}])
    instance = scripts.finished(id_)
    assert (instance["status"], instance["output"]) == ("ERRORED", None)
    assert instance["error"]["name"] == "DataCloneError"
    assert scripts.end(id_)["error"]["name"] == "DataCloneError"


def test_a_sensitive_result_is_not_recorded(scripts: Scripts) -> None:
    instance = scripts.run(
        [{"do": "secret", "returns": "hunter2", "config": {"sensitive": "output"}}]
    )
    secret = step(instance, "secret")
    assert (secret["output"], secret["outputKind"]) == (None, "REDACTED")


def test_an_instance_that_the_engine_created_is_tracked_with_its_fields(scripts: Scripts) -> None:
    id_ = scripts.create([{"do": "one"}])
    instance = scripts.finished(id_)
    assert instance["workflow"] == {"name": "js-script"}
    assert instance["reference"] == {"refType": "script", "refId": id_}
    assert instance["input"] == {"actions": [{"do": "one"}]}
    assert happened(instance) == ["INSTANCE_STARTED", *ran("one"), "INSTANCE_COMPLETED"]


def test_a_step_costs_at_most_one_call(scripts: Scripts) -> None:
    names = [f"step {number}" for number in range(8)]
    id_ = scripts.start([{"do": name, "takes": 20} for name in names])
    instance = scripts.finished(id_)
    assert statuses(instance) == dict.fromkeys(names, "COMPLETED")
    # One more reads the service's record, and one reports the end.
    assert len(scripts.calls(id_)) <= len(names) + 2


def test_a_step_is_visible_while_it_runs(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "long", "hangs": 1}])
    instance = scripts.reaches(id_, "long")
    assert instance["status"] == "RUNNING"
    scripts.act("terminateWorkflow", id_)


def test_a_pause_in_a_sleep_and_the_replay_after_it_repeat_nothing(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one"}, {"sleep": "nap", "for": 3000}, {"do": "two"}])
    scripts.until(id_, lambda found: found["status"] == "SLEEPING")
    assert scripts.act("pauseWorkflow", id_) == "PAUSED"
    scripts.act("resumeWorkflow", id_)
    instance = scripts.finished(id_)
    assert instance["status"] == "COMPLETED"
    assert happened(instance) == [
        "INSTANCE_QUEUED",
        "INSTANCE_STARTED",
        *ran("one"),
        "STEP_STARTED nap",
        "INSTANCE_SLEEPING",
        "INSTANCE_PAUSED",
        "INSTANCE_RESUMED",
        "INSTANCE_SLEEPING",
        "STEP_COMPLETED nap",
        "INSTANCE_RESUMED",
        *ran("two"),
        "INSTANCE_COMPLETED",
    ]


def test_a_restart_begins_a_run_with_steps_of_its_own(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one"}, {"wait": "word", "type": "go"}, {"do": "two"}])
    scripts.reaches(id_, "word")
    assert scripts.act("restartWorkflow", id_) == "QUEUED"
    scripts.until(id_, lambda found: found["run"] == 2 and found["status"] == "WAITING")
    scripts.send(id_, "go")
    instance = scripts.finished(id_)
    second, first = instance["runs"]
    assert (first["number"], first["status"]) == (1, "TERMINATED")
    assert statuses(first) == {"one": "COMPLETED", "word": "CANCELLED"}
    assert (second["number"], second["status"]) == (2, "COMPLETED")
    assert second["output"] == {"results": ["one", {"by": "test"}, "two"]}
    assert statuses(second) == dict.fromkeys(["one", "word", "two"], "COMPLETED")
    assert "INSTANCE_ERRORED" not in happened(instance)


def test_a_report_that_arrives_after_a_restart_changes_nothing(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one"}, {"wait": "word", "type": "go"}], gate="late 3")
    scripts.until_calls(id_, 3)
    scripts.act("restartWorkflow", id_)
    scripts.until(id_, lambda found: found["run"] == 2 and found["status"] == "WAITING")
    scripts.send(id_, "go")
    before = scripts.finished(id_)
    late = scripts.tell("deliver", id_)
    assert late["data"]["track"]["code"] == "RUN_MISMATCH"
    assert late["data"]["track"]["run"] == 2
    assert scripts.finished(id_) == before


def test_a_replay_finds_steps_whose_names_are_stored_in_another_form(scripts: Scripts) -> None:
    actions = [{"sleep": "", "for": 1}, {"sleep": "a\nnap", "for": 3000}]
    id_ = scripts.start(actions)
    empty, nap = (step_name(action["sleep"]) for action in actions)
    scripts.reaches(id_, nap)
    scripts.act("pauseWorkflow", id_)
    scripts.act("resumeWorkflow", id_)
    instance = scripts.finished(id_)
    assert [event for event in happened(instance) if event.startswith("STEP")] == [
        f"STEP_STARTED {empty}",
        f"STEP_COMPLETED {empty}",
        f"STEP_STARTED {nap}",
        f"STEP_COMPLETED {nap}",
    ]
    # A report that repeats the end of a step is refused.
    assert f"{id_}: " not in scripts.server.log


def test_a_pause_lets_the_running_step_end(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one", "takes": 2500}, {"do": "two"}])
    scripts.reaches(id_, "one")
    assert scripts.act("pauseWorkflow", id_) in ("WAITING_FOR_PAUSE", "PAUSED")
    instance = scripts.until(id_, lambda found: found["status"] == "PAUSED")
    assert statuses(instance) == {"one": "COMPLETED"}
    scripts.act("resumeWorkflow", id_)
    instance = scripts.finished(id_)
    assert happened(instance).count("INSTANCE_PAUSED") == 1
    assert [event for event in happened(instance) if "STEP" in event] == [
        event for event in [*ran("one"), *ran("two")] if "STEP" in event
    ]
    assert "INSTANCE_ERRORED" not in happened(instance)


def test_a_pause_and_a_resumption_by_the_engine_alone_are_recorded(
    scripts: Scripts,
) -> None:
    id_ = scripts.start([{"do": "one"}, {"sleep": "nap", "for": 3000}, {"do": "two"}])
    scripts.until(id_, lambda found: found["status"] == "SLEEPING")
    scripts.tell("pause", id_)
    scripts.until(id_, lambda found: found["status"] == "PAUSED")
    scripts.tell("resume", id_)
    instance = scripts.finished(id_)
    assert happened(instance)[5:] == [
        "STEP_STARTED nap",
        "INSTANCE_SLEEPING",
        "INSTANCE_PAUSED",
        "INSTANCE_RESUMED",
        "INSTANCE_SLEEPING",
        "STEP_COMPLETED nap",
        "INSTANCE_RESUMED",
        *ran("two"),
        "INSTANCE_COMPLETED",
    ]


def test_an_end_by_the_engine_is_not_an_error_of_the_workflow(scripts: Scripts) -> None:
    id_ = scripts.start([{"do": "one", "hangs": 1}, {"do": "two"}])
    scripts.reaches(id_, "one")
    assert scripts.act("terminateWorkflow", id_) == "TERMINATED"
    instance = scripts.finished(id_)
    assert instance["error"] is None
    assert happened(instance)[-1] == "INSTANCE_TERMINATED"


def retries(limit: int) -> dict[str, Any]:
    return {"limit": limit, "delay": 50, "backoff": "constant"}


def last(events: list[str], event: str) -> int:
    return len(events) - 1 - events[::-1].index(event)


def test_a_race_that_ends_the_run_cancels_the_step_that_waits_to_retry(scripts: Scripts) -> None:
    retries = {"limit": 3, "delay": 60_000, "backoff": "constant"}
    slow = {"do": "slow", "fails": 3, "config": {"retries": retries}}
    instance = scripts.run([{"race": [slow, {"do": "fast", "takes": 500}]}])
    assert (instance["status"], instance["output"]) == ("COMPLETED", {"results": ["fast"]})
    assert statuses(instance) == {"slow": "CANCELLED", "fast": "COMPLETED"}
    assert step(instance, "slow")["nextRetryAt"] is None
    assert attempts(instance, "slow") == [(1, "FAILED", "declined at attempt 1")]
    assert happened(instance)[-2:] == ["STEP_CANCELLED slow 1", "INSTANCE_COMPLETED"]
