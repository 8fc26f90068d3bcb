"""Reports on an instance whose history in the engine is recorded have no effect on it."""

from collections.abc import Callable
from typing import Any

import pytest

from resolvers.access.principals import Restrictions, principal
from resolvers.base.scrubbing import Scrubber
from resolvers.base.vocabulary import InstanceStatus, Scope, StepStatus
from resolvers.following.follower import Follower
from tests.sqlite.test_following import KEY, History, part, work
from tests.support.engines import RecordingEngine
from tests.support.writing import INSTANCE, STEP, Writer

POSITION = '[1,0,"workflow_queued",0,[]]'
BEHIND = "2026-11-27T10:00:00.000Z"
ERROR = {"name": "TypeError", "message": "no", "stack": "TypeError: no\n  at pay"}
REPORTED_STATUSES = [status for status in StepStatus if status is not StepStatus.CANCELLED]
READ = f"query ($id: String!) {{ r: instance(instanceId: $id) {{ {INSTANCE} following"
STEPS = STEP.replace("error { message }", "error { message stack }")
READ += f" steps {{ {STEPS} }} runs {{ number error {{ message stack }} }} }} }}"


def follow(writer: Writer, instance_id: str = "i", *, behind: bool = False) -> None:
    """Have an instance be followed, as if the first part of its history were recorded."""
    writer.database.rows(
        "UPDATE instances SET followed=?1,behind_since=?2 WHERE instance_id=?3",
        POSITION,
        BEHIND if behind else None,
        instance_id,
    )


def followed(status: str = "RUNNING") -> Writer:
    """An instance that is followed, with a step `s` that has begun."""
    writer = Writer()
    writer.create("QUEUED")
    writer.step("RUNNING")
    writer.update(status=status)
    follow(writer)
    return writer


def read(writer: Writer, instance_id: str = "i") -> Any:
    return writer.client(READ, id=instance_id)["r"]


def untouched(writer: Writer) -> tuple[Any, ...]:
    """The state, the log, and all times."""
    times = writer.database.rows("SELECT updated_at,started_at,completed_at FROM instances")
    return writer.state(), writer.events(), times


INSTANCE_REPORTS: dict[str, dict[str, Any]] = {
    **{status: {"status": status} for status in InstanceStatus},
    "an output": {"output": 1},
    "an output with its status": {"status": "COMPLETED", "output": 1},
    "no output": {"output": None},
    "an error": {"error": {"message": "no"}},
    "an input": {"input": 1},
    "the end of a sleep": {"sleepUntil": BEHIND},
}


@pytest.mark.parametrize("status", InstanceStatus)
@pytest.mark.parametrize("name", INSTANCE_REPORTS)
def test_a_report_on_the_instance_has_no_effect(status: str, name: str) -> None:
    writer = followed(status)
    before = untouched(writer)
    result = writer.update(**INSTANCE_REPORTS[name])
    assert (result["__typename"], result["code"]) == ("InstanceFollowed", "FOLLOWED")
    assert result["instance"]["status"] == status
    assert writer.track({"instance": {"instanceId": "i", **INSTANCE_REPORTS[name]}}) == {
        "__typename": "TrackPayload",
        "applied": 0,
        "followed": True,
        "cursor": f"{writer.head():016}",
    }
    assert untouched(writer) == before


@pytest.mark.parametrize("given", [{}, {"attempt": 1}, {"attempt": 2}, {"index": 1}, {"output": 1}])
@pytest.mark.parametrize("status", REPORTED_STATUSES)
@pytest.mark.parametrize("name", ["s", "new"])
@pytest.mark.parametrize("instance_status", ["RUNNING", "COMPLETED"])
def test_a_report_on_a_step_has_no_effect(
    instance_status: str, name: str, status: str, given: dict[str, Any]
) -> None:
    writer = followed(instance_status)
    before = untouched(writer)
    error: dict[str, Any] = {"error": {"message": "no"}} if status in ("RETRYING", "FAILED") else {}
    result = writer.step(status, name, **given, **error)
    assert (result["__typename"], result["code"]) == ("InstanceFollowed", "FOLLOWED")
    step = {"instanceId": "i", "name": name, "status": status, **given, **error}
    result = writer.track({"step": step}, {"step": step})
    assert (result["applied"], result["followed"]) == (0, True)
    assert untouched(writer) == before


def test_the_failure_of_an_attempt_that_another_overtook_has_no_effect() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("RUNNING", attempt=1)
    writer.step("RUNNING", attempt=2)
    follow(writer)
    before = untouched(writer)
    writer.step("RETRYING", attempt=1, error={"message": "late"}, retryAt=BEHIND)
    assert untouched(writer) == before


TAKEN: dict[str, Any] = {
    "reference": {"refType": "order", "refId": "7"},
    "metadata": {"a": {"b": 1}, "gone": None},
}


@pytest.mark.parametrize("progress", [{}, {"status": "COMPLETED", "output": 1}])
@pytest.mark.parametrize("names", [["reference"], ["metadata"], ["reference", "metadata"]])
def test_reference_and_metadata_are_taken(names: list[str], progress: dict[str, Any]) -> None:
    writer = followed()
    writer.update(metadata={"gone": 1})
    head = writer.head()
    given = {name: TAKEN[name] for name in names}
    result = writer.update(**given, **progress)
    assert result["__typename"] == ("InstanceFollowed" if progress else "InstancePayload")
    expected: dict[str, Any] = {"metadata": {"gone": 1}, "reference": None}
    expected |= {name: {"a": {"b": 1}} if name == "metadata" else TAKEN[name] for name in names}
    for instance in (result["instance"], writer.read()):
        assert {name: instance[name] for name in expected} == expected
        assert (instance["status"], instance["output"]) == ("RUNNING", None)
    assert writer.types(head) == ["INSTANCE_UPDATED"]
    # A repetition changes nothing.
    update = {"instance": {"instanceId": "i", **given, **progress}}
    result = writer.track(update)
    assert (result["applied"], result["followed"]) == (0, True)


def test_metadata_that_would_be_too_large_is_refused() -> None:
    writer = followed()
    writer.update(metadata={"a": "x" * 300_000})
    before = untouched(writer)
    result = writer.update(status="PAUSED", metadata={"b": "x" * 300_000})
    assert (result["__typename"], result["code"]) == ("InvalidInput", "PAYLOAD_TOO_LARGE")
    assert untouched(writer) == before


def test_a_batch_is_applied_to_the_instances_that_are_not_followed() -> None:
    writer = followed()
    result = writer.track(
        {"instance": {"instanceId": "i", "status": "PAUSED", "metadata": {"a": 1}}},
        {"step": {"instanceId": "i", "name": "s", "status": "COMPLETED"}},
        {"instance": {"instanceId": "other", "workflow": "w", "status": "RUNNING"}},
        {"step": {"instanceId": "other", "name": "s", "status": "COMPLETED"}},
    )
    assert (result["applied"], result["followed"]) == (3, True)
    assert writer.read()["status"] == "RUNNING"
    assert [step["status"] for step in read(writer, "other")["steps"]] == ["COMPLETED"]
    result = writer.track({"instance": {"instanceId": "other", "status": "COMPLETED"}})
    assert (result["applied"], result["followed"]) == (1, False)


REFUSALS: dict[str, Callable[[Writer], Any]] = {
    "RunMismatch": lambda writer: writer.update(run=2, status="PAUSED", metadata={"a": 1}),
    "RunMismatch of a step": lambda writer: writer.step("COMPLETED", run=2),
    "RunMismatch of a batch": lambda writer: writer.track(
        {"instance": {"instanceId": "i", "metadata": {"a": 1}}},
        {"step": {"instanceId": "i", "name": "s", "status": "COMPLETED", "run": 2}},
    ),
    "NotFound": lambda writer: writer.update("absent", status="PAUSED"),
    "NotFound of a step": lambda writer: writer.step("COMPLETED", instance_id="absent"),
    "AmbiguousInstance": lambda writer: writer.update("twice", status="PAUSED"),
    "AmbiguousInstance of a step": lambda writer: writer.step("COMPLETED", instance_id="twice"),
    "AmbiguousInstance of a batch": lambda writer: writer.track(
        {"instance": {"instanceId": "i", "metadata": {"a": 1}}},
        {"instance": {"instanceId": "twice", "status": "COMPLETED"}},
    ),
    "InvalidInput": lambda writer: writer.update(status="PAUSED", metadata="x" * 600_000),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_other_refusals_stay_and_undo_everything(name: str) -> None:
    writer = followed()
    for workflow in ("a", "b"):
        writer.update("twice", workflow=workflow, status="RUNNING")
    follow(writer, "twice")
    before = untouched(writer)
    assert REFUSALS[name](writer)["__typename"] == name.partition(" ")[0]
    assert untouched(writer) == before


@pytest.mark.parametrize("behind", [False, True])
def test_reports_have_effect_unless_the_instance_is_followed(behind: bool) -> None:
    writer = Writer()
    writer.create("RUNNING")
    if behind:
        follow(writer, behind=True)
    assert read(writer)["following"] == ("BEHIND" if behind else "NOT_FOLLOWED")
    assert writer.step("COMPLETED")["__typename"] == "StepPayload"
    result = writer.update(status="COMPLETED", output=1, metadata={"a": 1})
    assert result["__typename"] == "InstancePayload"
    follow(writer)
    instance = read(writer)
    assert instance["following"] == "FOLLOWED"
    assert (instance["status"], instance["output"]) == ("COMPLETED", 1)
    assert [step["status"] for step in instance["steps"]] == ["COMPLETED"]


def test_the_followers_own_records_have_effect() -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.start(instanceId="i")
    follower = Follower(writer.database, Scrubber())
    history = History().task("s-1", failures=1)
    for count in (3, len(history.events)):
        begun = work(follower, {"begin": KEY})
        events = history.events[begun["after"] : count]
        work(follower, part(begun["reading"], events, began=history.began_ms))
        writer.step("FAILED", "s")
        writer.update(status="ERRORED")
    instance = read(writer)
    assert (instance["status"], instance["following"]) == ("RUNNING", "FOLLOWED")
    [step] = instance["steps"]
    assert (step["status"], len(step["attempts"])) == ("COMPLETED", 2)


@pytest.mark.parametrize(
    ("engine", "following"),
    [
        (RecordingEngine("w", follows=True), "FOLLOWED"),
        (RecordingEngine("w", follows=True, failure="it is away"), "NOT_FOLLOWED"),
        (RecordingEngine("w", follows=False), "NOT_FOLLOWED"),
        (RecordingEngine("other", follows=True), "NOT_FOLLOWED"),
    ],
)
def test_a_started_instance_is_followed_from_the_beginning_if_the_engine_has_it(
    engine: RecordingEngine, following: str
) -> None:
    writer = Writer(engine=engine)
    writer.start(instanceId="i")
    assert read(writer)["following"] == following
    followed = following == "FOLLOWED"
    result = writer.update(status="RUNNING")
    assert result["__typename"] == ("InstanceFollowed" if followed else "InstancePayload")
    assert writer.read()["status"] == ("QUEUED" if followed else "RUNNING")


def test_a_restricted_caller_is_told_of_its_own_instances_only() -> None:
    writer = followed()
    writer.update("other", workflow="w2", status="RUNNING")
    allowed = Restrictions(workflows=("w2",))
    restricted = Writer(writer.client.as_(principal(Scope.WRITE, restrictions=allowed)))
    assert restricted.update(status="PAUSED")["__typename"] == "NotFound"
    writer.update("i", workflow="w2", status="RUNNING")
    result = restricted.track({"instance": {"instanceId": "i", "status": "PAUSED"}})
    assert (result["applied"], result["followed"]) == (1, False)
    own = Restrictions(workflows=("w",))
    restricted = Writer(writer.client.as_(principal(Scope.WRITE, restrictions=own)))
    assert restricted.update(status="PAUSED")["__typename"] == "InstanceFollowed"
    assert restricted.step("COMPLETED")["__typename"] == "InstanceFollowed"
    result = restricted.track({"instance": {"instanceId": "i", "status": "PAUSED"}})
    assert (result["applied"], result["followed"]) == (0, True)


# The engine's message of an error contains the reported one, or is of another error.
RECORDED = {"no": True, "TypeError: no": True, 'A step threw "no"': True, "other": False}


@pytest.mark.parametrize("message", RECORDED)
@pytest.mark.parametrize("attempt", [{"attempt": 1}, {}])
@pytest.mark.parametrize("comes", ["before", "after"])
def test_a_stack_is_shown_with_the_error_of_the_same_message(
    comes: str, attempt: dict[str, Any], message: str
) -> None:
    writer = Writer()
    writer.create("RUNNING")
    recorded: dict[str, Any] = {"error": {"message": message}}

    def fail() -> None:
        writer.database.rows("UPDATE instances SET followed=NULL")
        writer.step("FAILED", attempt=1, **recorded)
        writer.update(status="ERRORED", **recorded)
        follow(writer)

    def report() -> None:
        assert writer.step("FAILED", error=ERROR, **attempt)["__typename"] == "InstanceFollowed"
        assert writer.update(status="ERRORED", error=ERROR)["__typename"] == "InstanceFollowed"

    writer.step("RUNNING")
    follow(writer)
    if comes == "before":
        report()
    fail()
    before = untouched(writer)
    if comes == "after":
        report()
    assert untouched(writer) == before
    stack = ERROR["stack"] if RECORDED[message] else None
    instance = read(writer)
    [step] = instance["steps"]
    assert instance["error"] == {"name": "Error", "message": message, "stack": stack}
    assert step["error"] == instance["error"]
    assert step["attempts"][0]["error"] == {"message": message, "stack": stack}
    assert instance["runs"] == [{"number": 1, "error": {"message": message, "stack": stack}}]


def test_a_stack_is_that_of_its_attempt() -> None:
    writer = Writer()
    writer.create("RUNNING")
    for attempt in (1, 2, 3):
        writer.step("RETRYING", attempt=attempt, error={"message": "no"})
    follow(writer)
    for attempt in (2, 1):
        error = {**ERROR, "stack": f"attempt {attempt}"}
        writer.step("RETRYING", attempt=attempt, error=error)
    [step] = read(writer)["steps"]
    stacks = [attempt["error"]["stack"] for attempt in step["attempts"]]
    assert stacks == ["attempt 1", "attempt 2", None]


def test_a_recorded_stack_is_never_overwritten() -> None:
    writer = Writer()
    writer.create("RUNNING")
    writer.step("FAILED", error=ERROR)
    follow(writer)
    other = {**ERROR, "stack": "other"}
    writer.step("FAILED", error=other)
    assert read(writer)["steps"][0]["error"] == ERROR
    update = {"instance": {"instanceId": "i", "error": ERROR}}
    assert writer.track(update)["applied"] == 1
    update["instance"]["error"] = other
    assert writer.track(update)["applied"] == 0
    assert writer.database.rows("SELECT stack FROM stacks WHERE step=''") == [(ERROR["stack"],)]


def test_a_stack_stays_with_its_run() -> None:
    writer = followed()
    writer.update(error=ERROR)
    writer.database.rows("UPDATE instances SET run=2,status='RUNNING',error='{\"message\":\"no\"}'")
    assert read(writer)["error"]["stack"] is None


def test_a_report_costs_one_round_trip() -> None:
    writer = followed()
    batches = writer.database.batches
    writes: list[tuple[Callable[[], Any], int]] = [
        (lambda: writer.update(status="PAUSED", metadata={"a": 1}, error=ERROR), 1),
        (lambda: writer.update(metadata={"a": 2}), 1),
        (lambda: writer.track({"step": {"instanceId": "i", "name": "s", "status": "FAILED"}}), 1),
        # As one that is refused.
        (lambda: writer.step("COMPLETED"), 2),
    ]
    for write, expected in writes:
        before = len(batches)
        write()
        assert len(batches) == before + expected
