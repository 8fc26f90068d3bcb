"""A restart begins the next run; the runs before it stay readable, and nothing changes them."""

from typing import Any

import pytest

from resolvers.base.limits import MAX_RUN
from tests.support.engines import RecordingEngine
from tests.support.writing import Writer

_RUNS = """{ instance(instanceId: "i") { run status output steps { run name output }
  runs { number status output error { message } startedAt completedAt duration
    steps { run name status output attempts { number status } } }
  events(first: 100) { events { type run step { run name output } } } } }"""


def restarted(status: str | None = "COMPLETED") -> Writer:
    """An instance in its second run; the first ended with a status, or by the restart (None)."""
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING", input=1)
    writer.step("COMPLETED", "s5", output="first")
    writer.step("RETRYING", "retries", error={"message": "x"}, retryAt="2100-01-01T00:00:00Z")
    if status is not None:
        end: dict[str, Any] = {"output": "first"}
        if status == "ERRORED":
            end = {"error": {"message": "boom"}}
        writer.update(status=status, **end)
    assert writer.act("restart")["instance"]["run"] == 2
    return writer


@pytest.mark.parametrize("status", ["COMPLETED", "ERRORED", "TERMINATED", None])
def test_an_earlier_run_is_read_as_it_ended(status: str | None) -> None:
    writer = restarted(status)
    writer.update(status="RUNNING", run=2)
    writer.step("COMPLETED", "s5", output="second")
    read = writer.client(_RUNS)["instance"]
    assert (read["run"], read["status"], read["output"]) == (2, "RUNNING", None)
    assert read["steps"] == [{"run": 2, "name": "s5", "output": "second"}]
    second, first = read["runs"]
    assert (second["number"], second["status"], second["steps"][0]["output"]) == (
        2,
        "RUNNING",
        "second",
    )
    assert (first["number"], first["status"]) == (1, status or "TERMINATED")
    assert first["output"] == ("first" if status in ("COMPLETED", "TERMINATED") else None)
    assert first["error"] == ({"message": "boom"} if status == "ERRORED" else None)
    assert first["duration"] >= 0
    assert [(step["name"], step["status"]) for step in first["steps"]] == [
        ("s5", "COMPLETED"),
        ("retries", "CANCELLED"),
    ]
    events = read["events"]["events"]
    restart = [event["type"] for event in events].index("INSTANCE_RESTARTED")
    assert {event["run"] for event in events[:restart]} == {1}
    assert {event["run"] for event in events[restart:]} == {2}
    steps = [event["step"] for event in events if event["type"] == "STEP_COMPLETED"]
    assert steps == [
        {"run": 1, "name": "s5", "output": "first"},
        {"run": 2, "name": "s5", "output": "second"},
    ]
    assert "STEP_CANCELLED" in {event["type"] for event in events[:restart]}


_LATE: dict[str, dict[str, Any]] = {
    "a step": {"step": {"name": "s5", "status": "COMPLETED", "output": "OLD RUN"}},
    "a new step": {"step": {"name": "s6", "status": "RUNNING"}},
    "a failed attempt": {
        "step": {"name": "retries", "status": "RETRYING", "attempt": 1, "error": {"message": "y"}}
    },
    "an end": {"instance": {"status": "ERRORED", "error": {"message": "OLD RUN"}}},
    "no change": {"instance": {}},
    "the status it has": {"instance": {"status": "RUNNING"}},
    "metadata": {"instance": {"metadata": {"a": 1}}},
}


@pytest.mark.parametrize("run", [1, 3, MAX_RUN])
@pytest.mark.parametrize("named", [{}, {"workflow": "w"}])
@pytest.mark.parametrize("name", _LATE)
def test_a_report_about_another_run_changes_nothing(
    name: str, named: dict[str, str], run: int
) -> None:
    writer = restarted()
    writer.update(status="RUNNING")
    writer.step("RUNNING", "retries", attempt=3)
    state, head = writer.state(), writer.head()
    [(kind, given)] = _LATE[name].items()
    report = {**given, **named, "run": run}
    alone = writer.step(**report) if kind == "step" else writer.update(**report)
    batch = writer.track(
        {"step": {"instanceId": "i", "name": "good", "status": "RUNNING", "run": 2}},
        {kind: {"instanceId": "i", **report}},
    )
    for result in (alone, batch):
        assert (result["__typename"], result["code"], result["run"]) == (
            "RunMismatch",
            "RUN_MISMATCH",
            2,
        )
    assert (writer.state(), writer.head()) == (state, head)


@pytest.mark.parametrize("name", _LATE)
def test_a_report_that_names_the_current_run_is_as_one_that_names_none(name: str) -> None:
    [(kind, given)] = _LATE[name].items()
    states = []
    for run in ({}, {"run": 2}):
        writer = restarted()
        writer.update(status="RUNNING")
        writer.step("RUNNING", "retries", attempt=3)
        result = writer.track({kind: {"instanceId": "i", **given, **run}})
        assert result["__typename"] == "TrackPayload"
        states.append((writer.state(), result["applied"]))
    assert states[0] == states[1]


def test_an_instance_may_be_tracked_from_a_later_run_on() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    assert writer.update(workflow="w", run=4)["instance"]["run"] == 4
    assert writer.update(workflow="w", run=1)["code"] == "RUN_MISMATCH"
    writer.update(status="COMPLETED")
    assert writer.act("restart")["instance"]["run"] == 5
    runs = writer.client('{ instance(instanceId: "i") { runs { number } } }')["instance"]["runs"]
    assert runs == [{"number": 5}, {"number": 4}]


@pytest.mark.parametrize("run", [0, -1, MAX_RUN + 1])
def test_a_run_is_a_number_from_1(run: int) -> None:
    writer = Writer()
    writer.create("RUNNING")
    for result in (writer.update(run=run), writer.step("RUNNING", run=run)):
        assert (result["code"], result["path"]) == ("INVALID_INPUT", ["input", "run"])


def test_the_newest_runs_come_first_and_as_many_as_asked_for() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create("RUNNING")
    for _ in range(25):
        writer.update(status="COMPLETED")
        writer.act("restart")
    query = 'query ($n: Int) { instance(instanceId: "i") { runs(first: $n) { number } } }'
    for first, count in ((None, 20), (0, 0), (3, 3), (100, 26)):
        runs = writer.client(query, n=first)["instance"]["runs"]
        assert [run["number"] for run in runs] == list(range(26, 26 - count, -1))


def test_runs_are_paged_by_number() -> None:
    writer = restarted()
    query = """query ($n: Int) { instance(instanceId: "i") { runs(first: 1, before: $n) {
      number steps { name } } } }"""
    for before, numbers in ((None, [2]), (3, [2]), (2, [1]), (1, []), (MAX_RUN, [2])):
        runs = writer.client(query, n=before)["instance"]["runs"]
        assert [run["number"] for run in runs] == numbers


def test_a_step_of_an_earlier_run_is_found_by_its_run_and_its_global_id() -> None:
    writer = restarted()
    query = """query ($r: Int) { instance(instanceId: "i") { step(name: "s5", run: $r) {
      id run output } } }"""
    assert writer.client(query, r=None)["instance"]["step"] is None
    assert writer.client(query, r=2)["instance"]["step"] is None
    step = writer.client(query, r=1)["instance"]["step"]
    assert (step["run"], step["output"]) == (1, "first")
    node = "query ($id: ID!) { node(id: $id) { ... on WorkflowStep { run output } } }"
    found = writer.client(node, id=step["id"])["node"]
    assert found == {"run": 1, "output": "first"}
    assert writer.client(node, id=step["id"].replace(",1,", ",2,", 1))["node"] is None
