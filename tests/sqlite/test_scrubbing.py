"""Scrubbed parts reach no table, whoever brings them, and the engine still gets its input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resolvers.base.limits import MAX_ERROR_MESSAGE
from resolvers.base.scrubbing import MARK, Scrubber
from resolvers.base.vocabulary import InstanceStatus
from resolvers.engine.reconciliation import reconcile
from resolvers.following.follower import Follower
from resolvers.ports.database import DatabaseError
from resolvers.ports.engine import EngineState
from tests.sqlite.test_following import part, work
from tests.support.client import finished
from tests.support.engines import RecordingEngine
from tests.support.writing import Writer

SECRET = "hunter2"
SCRUB = {"w": ["password", f"/{SECRET}/"]}
VALUE = {"password": "p4ss", "note": f"it is {SECRET}", "n": 1}
STORED = {"password": MARK, "note": f"it is {MARK}", "n": 1}
ERROR = {"name": "Denied", "message": f"no {SECRET}", "stack": f"at {SECRET}"}
SCRUBBED_ERROR = {"name": "Denied", "message": f"no {MARK}", "stack": f"at {MARK}"}


def writer(*bound: str, failure: str | None = None, scrub: Any = SCRUB) -> Writer:
    made = Writer(engine=RecordingEngine(*bound, failure=failure))
    made.client.services.scrubber = Scrubber.parse(scrub)
    return made


def engine(made: Writer) -> RecordingEngine:
    found = made.client.services.engine
    assert isinstance(found, RecordingEngine)
    return found


def stored(made: Writer) -> str:
    """All texts of all tables."""
    tables = ("instances", "runs", "steps", "attempts", "events", "workflows", "stacks")
    return repr([made.database.rows(f"SELECT * FROM {table}") for table in tables])


def assert_kept_out(made: Writer) -> None:
    assert SECRET not in stored(made)
    assert "p4ss" not in stored(made)


def engine_inputs(made: Writer) -> list[Any]:
    return [row[0] for row in made.database.rows("SELECT engine_input FROM instances")]


@pytest.mark.parametrize("by", ["workflow", "id"])
def test_reports_are_scrubbed(by: str) -> None:
    made = writer()
    made.create("RUNNING", input=VALUE, metadata=VALUE)
    named = {"workflow": "w"} if by == "workflow" else {}
    made.step("RETRYING", error=ERROR, **named)
    made.step("COMPLETED", output=VALUE, **named)
    step = {"instanceId": "i", "name": "t", "status": "FAILED", "error": ERROR, **named}
    instance = {"instanceId": "i", "output": VALUE, "outputKind": "CONVERTED", **named}
    made.track({"step": step}, {"instance": instance})
    made.update(status="ERRORED", error=ERROR, **named)
    assert_kept_out(made)
    read = made.read()
    assert [read[name] for name in ("input", "output", "metadata")] == [STORED] * 3
    assert read["error"] == SCRUBBED_ERROR
    kinds = "SELECT output_kind FROM instances UNION ALL SELECT output_kind FROM steps"
    assert made.database.rows(kinds) == [("SCRUBBED",), ("SCRUBBED",), (None,)]


def test_a_long_message_is_scrubbed_before_it_is_cut() -> None:
    made = writer()
    made.create("RUNNING")
    message = "x" * (MAX_ERROR_MESSAGE - 4) + SECRET
    made.update(status="ERRORED", error={"message": message})
    assert "hunt" not in stored(made)


def test_another_workflow_is_not_scrubbed() -> None:
    made = writer()
    made.update(workflow="v", output=VALUE, status="RUNNING")
    assert made.read()["output"] == VALUE
    assert made.database.rows("SELECT output_kind FROM instances") == [("JSON",)]


def test_a_value_that_was_cut_loses_its_preview() -> None:
    made = writer()
    made.create("RUNNING")
    cut = {"truncated": True, "bytes": 600_000, "preview": '{"password":"p4ss'}
    made.update(output=cut, outputKind="TRUNCATED")
    assert made.read()["output"] == {**cut, "preview": MARK}
    assert made.database.rows("SELECT output_kind FROM instances") == [("TRUNCATED",)]


def test_a_metadata_patch_still_removes_members() -> None:
    made = writer()
    made.create("RUNNING", metadata={"password": 1, "a": 2})
    made.update(metadata={"password": None})
    assert made.read()["metadata"] == {"a": 2}


# --- the input of the engine


def test_the_engine_gets_the_real_input_and_nobody_else() -> None:
    made = writer("w")
    result = made.start(instanceId="i", input=VALUE, metadata=VALUE)
    assert result["instance"]["input"] == STORED
    [(_, _, _, params)] = engine(made).calls
    assert json.loads(params) == VALUE
    assert engine_inputs(made) == [None]
    assert_kept_out(made)
    # A repetition does not start it with the stored input.
    made.start(instanceId="i", input=VALUE)
    assert len(engine(made).calls) == 1


def test_a_start_without_patterns_keeps_one_input() -> None:
    made = writer("v")
    made.start("v", instanceId="i", input=VALUE)
    assert made.read()["input"] == VALUE
    assert len(made.database.batches) == 2


def test_a_lost_start_is_made_again_with_the_real_input() -> None:
    made = writer("w", failure="away")
    result = made.start(instanceId="i", input=VALUE)
    assert result["__typename"] == "EngineUnavailable"
    assert made.read()["input"] == STORED
    [kept] = engine_inputs(made)
    assert json.loads(kept) == VALUE
    other = engine(made)
    other.failure = None
    other.calls.clear()
    made.start(instanceId="i", input="another")
    [(_, _, _, params)] = other.calls
    assert json.loads(params) == VALUE


@pytest.mark.parametrize("way", ["cron", "gone", "report"])
def test_the_kept_input_is_forgotten(way: str) -> None:
    made = writer("w", failure="away")
    made.start(instanceId="i", input=VALUE)
    made.database.connection.execute(
        "UPDATE instances SET updated_at='2001-01-01T00:00:00.000Z'"
        if way == "cron"
        else "UPDATE instances SET updated_at=strftime('%Y-%m-%dT%H:%M:%fZ','now','-2 days')"
    )
    found = engine(made)
    found.calls.clear()
    if way == "report":
        made.update(status="RUNNING")
    else:
        found.states["i"] = EngineState(None)
        found.failure = None if way == "cron" else "refused"
        finished(reconcile(made.database, found))
        assert json.loads(found.calls[0][3]) == VALUE
    assert engine_inputs(made) == [None]
    assert_kept_out(made)


@pytest.mark.parametrize("way", ["tracked only", "reported", "forgotten"])
def test_an_instance_whose_input_is_not_known_is_never_started(way: str) -> None:
    made = writer("w" if way == "forgotten" else "", scrub=SCRUB)
    if way == "reported":
        made.create("QUEUED", input=VALUE)
    else:
        made.start(instanceId="i", input=VALUE)
    later = RecordingEngine("w")
    later.states["i"] = EngineState(None)
    for days in (0.1, 2):
        at = f"strftime('%Y-%m-%dT%H:%M:%fZ','now','-{days} days')"
        made.database.connection.execute(f"UPDATE instances SET updated_at={at}")
        finished(reconcile(made.database, later))
    assert later.calls == []
    instance = made.read()
    assert instance["status"] == "ERRORED"
    assert "scrubbed" in instance["error"]["message"]


def test_an_input_with_the_text_of_a_mark_is_started() -> None:
    made = writer("w", scrub=None)
    made.start(instanceId="i", input={"seen": MARK})
    [(_, _, _, params)] = engine(made).calls
    assert json.loads(params) == {"seen": MARK}
    assert engine_inputs(made) == [None]


def test_the_real_input_is_kept_if_forgetting_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = writer("w")
    batch = made.database.batch

    async def failing(statements: Any, **more: Any) -> Any:
        if "engine_input=NULL" in statements[0].sql:
            raise DatabaseError("away")
        return await batch(statements, **more)

    monkeypatch.setattr(made.database, "batch", failing)
    assert made.start(instanceId="i", input=VALUE)["__typename"] == "InstancePayload"
    assert len(engine_inputs(made)) == 1
    monkeypatch.undo()
    made.update(status="RUNNING")
    assert_kept_out(made)


# --- following


def test_histories_are_scrubbed() -> None:
    made = writer("w", scrub=SCRUB)
    made.create("QUEUED")
    follower = Follower(made.database, Scrubber.parse(SCRUB))
    value, error = json.dumps(VALUE), ("Denied", f"no {SECRET}")
    events: list[dict[str, Any]] = [
        {"type": "workflow_queued"},
        {"type": "workflow_started", "value": value, "kind": "JSON"},
        {"type": "workflow_running"},
        {"type": "step_started", "step": "s-1"},
        {"type": "attempt_started", "step": "s-1", "attempt": 1},
        {
            "type": "attempt_errored",
            "step": "s-1",
            "attempt": 1,
            "error": error,
            "details": {"retryDelayMs": 1},
        },
        {"type": "attempt_started", "step": "s-1", "attempt": 2},
        {"type": "step_completed", "step": "s-1", "value": value, "kind": "CONVERTED"},
        {"type": "step_errored", "step": "t-1", "error": error},
        {"type": "workflow_completed", "value": '["ok"]', "kind": "JSON"},
    ]
    given = [{"id": n, "at": 1_800_000_000_000 + n, **event} for n, event in enumerate(events, 1)]
    begun = work(follower, {"begin": ("w", "i")})
    result = work(follower, part(begun["reading"], given))
    assert set(result) == {"due"}
    assert_kept_out(made)
    assert made.read()["input"] == STORED
    assert made.database.rows("SELECT output_kind FROM instances") == [("JSON",)]
    assert made.database.rows("SELECT output_kind FROM steps") == [("SCRUBBED",), (None,)]
    # The engine's message contains the reported one, although both are scrubbed.
    made.step("FAILED", "t", error=ERROR)
    assert_kept_out(made)
    [[stack]] = made.database.rows("SELECT stack FROM stacks")
    assert stack == SCRUBBED_ERROR["stack"]
    query = '{ instance(instanceId: "i") { step(name: "t") { error { name message stack } } } }'
    assert made.client(query)["instance"]["step"]["error"] == SCRUBBED_ERROR


def test_errors_of_histories_are_scrubbed_as_they_were_thrown() -> None:
    made = writer("w", scrub={"w": ["/^no .*/"]})
    made.create("QUEUED")
    follower = Follower(made.database, Scrubber.parse({"w": ["/^no .*/"]}))
    quoted = f'Step threw a NonRetryableError with message "Denied: no {SECRET}"'
    error = ("WorkflowFatalError", quoted)
    given = [
        {"id": 1, "at": 1_800_000_000_000, "type": "workflow_queued"},
        {"id": 2, "at": 1_800_000_000_001, "type": "workflow_running"},
        {"id": 3, "at": 1_800_000_000_002, "type": "workflow_errored", "error": error},
    ]
    work(follower, part(work(follower, {"begin": ("w", "i")})["reading"], given))
    assert_kept_out(made)
    assert made.read()["error"] == {"name": "Denied", "message": MARK, "stack": None}


def test_an_instance_of_others_is_scrubbed() -> None:
    made = writer("w")
    engine(made).states["i"] = EngineState(InstanceStatus.RUNNING)
    assert made.follow(metadata=VALUE)["__typename"] == "InstancePayload"
    assert_kept_out(made)
    assert made.read()["metadata"] == STORED
