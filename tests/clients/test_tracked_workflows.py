"""Python Workflows of another Worker, tracked over its service binding, on the real engine."""

from __future__ import annotations

import json
import logging
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowflare import Flowflare, track_step
from resolvers.base.names import step_name
from scripts.local_server import LocalServer
from tests.clients.runs import Log, act, log_of, sent_to, shown, start, until
from tests.support.servers import REPORTS_ALONE
from tests.worker.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).parent / "tracked_worker"
INVOICE: Log = [
    ("INSTANCE_QUEUED", None, None),
    ("INSTANCE_STARTED", None, None),
    ("STEP_STARTED", "total", None),
    ("ATTEMPT_STARTED", "total", 1),
    ("STEP_COMPLETED", "total", 1),
    ("STEP_STARTED", "charge", None),
    ("ATTEMPT_STARTED", "charge", 1),
    ("ATTEMPT_FAILED", "charge", 1),
    ("ATTEMPT_STARTED", "charge", 2),
    ("ATTEMPT_FAILED", "charge", 2),
    ("ATTEMPT_STARTED", "charge", 3),
    ("STEP_COMPLETED", "charge", 3),
    ("STEP_STARTED", "hold", None),
    ("INSTANCE_SLEEPING", None, None),
    ("STEP_COMPLETED", "hold", None),
    ("INSTANCE_RESUMED", None, None),
    ("STEP_STARTED", "approval", None),
    ("INSTANCE_WAITING", None, None),
    ("STEP_COMPLETED", "approval", None),
    ("INSTANCE_RESUMED", None, None),
]
# The two mails are in parallel: their events interleave.
MAILS: Log = [
    ("STEP_STARTED", "mail", None),
    ("ATTEMPT_STARTED", "mail", 1),
    ("STEP_COMPLETED", "mail", 1),
    ("STEP_STARTED", "mail #2", None),
    ("ATTEMPT_STARTED", "mail #2", 1),
    ("STEP_COMPLETED", "mail #2", 1),
]


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service with the Worker beside it."""
    with LocalServer(vars=REPORTS_ALONE, beside=[WORKER]) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of the service."""
    with Api(server) as caller:
        yield caller


def assert_invoice_log(log: Log) -> None:
    """The events of a whole run of SendInvoice, in order and each once."""
    assert log[: len(INVOICE)] == INVOICE
    mails = log[len(INVOICE) : -1]
    assert sorted(mails, key=str) == sorted(MAILS, key=str)
    for name in ("mail", "mail #2"):
        own = [event for event in mails if event[1] == name]
        assert own == [event for event in MAILS if event[1] == name]
    assert log[-1] == ("INSTANCE_COMPLETED", None, None)


def test_every_step_attempt_sleep_and_wait_is_recorded(api: Api) -> None:
    instance_id = start(api, "send-invoice", fail=2)
    waiting = until(api, instance_id, "WAITING")
    assert waiting["steps"][-1]["status"] == "RUNNING"
    act(api, "sendWorkflowEvent", instance_id, type="approved", payload={"by": "Ada"})
    instance = until(api, instance_id)

    assert_invoice_log(log_of(instance))
    assert sent_to(instance) == 1
    assert (instance["status"], instance["error"]) == ("COMPLETED", None)
    assert instance["input"] == {"fail": 2}
    assert instance["output"] == {
        "total": 25,
        "payment": "payment-3",
        "by": "Ada",
        "mails": ["to the customer", "to the books"],
    }
    steps = instance["steps"]
    assert [(shown(step), step["kind"], step["index"]) for step in steps] == [
        ("total", "TASK", 1),
        ("charge", "TASK", 2),
        ("hold", "SLEEP", 3),
        ("approval", "WAIT_FOR_EVENT", 4),
        ("mail", "TASK", 5),
        ("mail #2", "TASK", 6),
    ]
    assert {step["status"] for step in steps} == {"COMPLETED"}
    total, charge, hold, approval, *mails = steps
    assert (total["output"], hold["output"]) == ({"total": 25}, None)
    assert approval["output"] == {"by": "Ada"}
    assert [mail["output"] for mail in mails] == ["to the customer", "to the books"]

    assert charge["retryPolicy"] == {"limit": 2, "delay": 100, "backoff": "EXPONENTIAL"}
    first, second, third = charge["attempts"]
    for number, attempt, following in ((1, first, second), (2, second, third)):
        assert attempt["status"] == "FAILED"
        assert attempt["error"]["name"] == "Declined"
        assert attempt["error"]["message"] == f"declined at attempt {number}"
        # The stack begins in the workflow's own code.
        assert attempt["error"]["stack"].splitlines()[1].endswith("in charge")
        assert attempt["startedAt"] <= attempt["endedAt"] <= following["startedAt"]
        assert attempt["startedAt"] < attempt["retryAt"] <= following["startedAt"]
    assert (third["status"], third["error"], third["retryAt"]) == ("COMPLETED", None, None)


@pytest.mark.parametrize(
    ("way", "name", "message", "attempts"),
    [
        ("final", "Declined", "declined", 2),
        ("never", "Bounced", "no such address", 1),
        ("cloudflare", "NonRetryableError", "no such address", 1),
        ("slow", "WorkflowTimeoutError", "Execution timed out after 300ms", 2),
    ],
)
def test_a_step_that_fails_for_good_fails_the_instance(
    api: Api, way: str, name: str, message: str, attempts: int
) -> None:
    instance = until(api, start(api, "failures", way=way))
    assert (instance["status"], instance["output"]) == ("ERRORED", None)
    [work] = instance["steps"]
    assert (work["status"], work["attemptCount"]) == ("FAILED", attempts)
    assert [attempt["status"] for attempt in work["attempts"]] == ["FAILED"] * attempts
    for error in (instance["error"], work["error"], *(a["error"] for a in work["attempts"])):
        assert (error["name"], error["message"]) == (name, message)
    # All but the last say when the next is due.
    due = [attempt["retryAt"] is not None for attempt in work["attempts"]]
    assert due == [True] * (attempts - 1) + [False]
    assert log_of(instance)[-2:] == [
        ("STEP_FAILED", "work", attempts),
        ("INSTANCE_ERRORED", None, None),
    ]


def test_a_failure_that_the_workflow_catches_fails_the_step_alone(api: Api) -> None:
    instance = until(api, start(api, "failures", way="caught"))
    assert (instance["status"], instance["output"]) == ("COMPLETED", "went on")
    assert [step["status"] for step in instance["steps"]] == ["FAILED", "COMPLETED"]


def test_a_race_that_ends_the_run_cancels_the_step_that_waits_to_retry(api: Api) -> None:
    instance = until(api, start(api, "failures", way="race"))
    assert (instance["status"], instance["output"]) == ("COMPLETED", "won")
    steps = {step["name"]: step for step in instance["steps"]}
    assert {name: step["status"] for name, step in steps.items()} == {
        "work": "CANCELLED",
        "fast": "COMPLETED",
    }
    assert [attempt["status"] for attempt in steps["work"]["attempts"]] == ["FAILED"]
    assert log_of(instance)[-2:] == [
        ("STEP_CANCELLED", "work", 1),
        ("INSTANCE_COMPLETED", None, None),
    ]


def test_an_error_outside_a_step_is_recorded_at_the_instance(api: Api) -> None:
    instance = until(api, start(api, "failures", way="outside"))
    assert instance["status"] == "ERRORED"
    assert instance["error"]["name"] == "KeyError"
    assert instance["error"]["stack"].splitlines()[1].endswith("in run")
    assert [step["status"] for step in instance["steps"]] == ["COMPLETED"]


def test_results_of_any_kind_are_recorded(api: Api) -> None:
    instance = until(api, start(api, "shapes"))
    assert (instance["status"], instance["output"]) == ("COMPLETED", 3)
    outputs: dict[str, Any] = {step["name"]: step["output"] for step in instance["steps"]}
    assert {step["name"]: step["outputKind"] for step in instance["steps"]} == {
        "large": "TRUNCATED",
        "moment": "CONVERTED",
        "nothing": "JSON",
        "bytes": "CONVERTED",
        "secret": "REDACTED",
        "past": None,
        "soon": None,
        "one": "JSON",
        "two": "JSON",
        "sum": "JSON",
    }
    large = outputs.pop("large")
    assert (large["truncated"], large["bytes"]) == (True, 600_002)
    assert large["preview"].startswith('"xxxx')
    assert outputs == {
        "moment": "2026-11-25T00:00:00.000Z",
        "nothing": None,
        "bytes": {"bytes": 4},
        "secret": None,
        "past": None,
        "soon": None,
        "one": 1,
        "two": 2,
        "sum": 3,
    }
    assert {step["status"] for step in instance["steps"]} == {"COMPLETED"}
    # What a decorated step depends on has run once, before it.
    assert [step["name"] for step in instance["steps"]][-3:] == ["one", "two", "sum"]


def engines_word(server: LocalServer, binding: str, instance_id: str) -> dict[str, Any]:
    """The engine's status of an instance, once that has ended."""
    deadline = time.monotonic() + 30
    while True:
        status = server.fetch("tracked", f"/status/{binding}/{instance_id}").json()
        if status["status"] in ("complete", "errored", "terminated"):
            assert isinstance(status, dict)
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


@pytest.fixture(scope="module")
def bystander(server: LocalServer, api: Api) -> Iterator[str]:
    """A workflow in the same isolate, which goes on when the others have ended."""
    instance_id = start(api, "send-invoice")
    until(api, instance_id, "WAITING")
    yield instance_id
    # What ran in the isolate is still in its memory: it is the same one.
    assert server.fetch("tracked", "/executions").json()[f"{instance_id}/total"] == 1
    act(api, "sendWorkflowEvent", instance_id, type="approved", payload={"by": "Ada"})
    assert until(api, instance_id)["status"] == "COMPLETED"


def last_line(error: dict[str, str]) -> str:
    """An error of the engine without the traceback, in which Flowflare has lines of its own."""
    return error["message"].strip().splitlines()[-1]


CLONE = "DataCloneError"
REFUSED = {
    "generator": CLONE,
    "map": CLONE,
    "iterator": CLONE,
    "iterator in a dict": CLONE,
    "file": CLONE,
    "object": CLONE,
    "range": CLONE,
    "frozenset": CLONE,
    "date": CLONE,
    "tuple": "TypeError",
    "circular": "RecursionError",
    "1,000 levels": "RecursionError",
    "8,000 levels": "RecursionError",
}
TAKEN = {
    "900 levels": {"truncated": True, "bytes": 1800, "preview": "[" * 900 + "]" * 100},
    "not a number": None,
    "large number": {"unserializable": "builtins.int", "preview": ""},
    "lone surrogate": {"a\ud800": "\ud800"},
    "bytes": [{"bytes": 3}],
    "keys": {"1": "one", "toString": 2, "hasOwnProperty": None},
}


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("by", ["step", "run"])
@pytest.mark.parametrize("value", REFUSED)
def test_a_value_that_the_engine_refuses_has_the_engines_error(
    server: LocalServer, api: Api, value: str, by: str
) -> None:
    raw_id = f"raw-{uuid.uuid4()}"
    wish = json.dumps({"value": value, "by": by})
    server.fetch("tracked", f"/create/UNTRACKED/{raw_id}", method="POST", body=wish)
    instance_id = start(api, "returns", value=value, by=by)
    raw = engines_word(server, "UNTRACKED", raw_id)
    own = engines_word(server, "RETURNS", instance_id)
    assert (own["status"], raw["status"]) == ("errored", "errored")
    assert last_line(own["error"]) == last_line(raw["error"])
    instance = until(api, instance_id)
    assert (instance["status"], instance["output"]) == ("ERRORED", None)
    assert instance["error"]["name"] == REFUSED[value]
    if by == "run":
        return
    assert last_line(own["error"]).endswith(instance["error"]["message"])
    [step] = instance["steps"]
    assert (step["status"], step["output"]) == ("FAILED", None)
    first, second = step["attempts"]
    # Of the first nobody but the engine knows why, where it could be converted.
    assert first["error"]["name"] in ("ResultNotTaken", second["error"]["name"])
    assert second["error"]["name"] == REFUSED[value]


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("by", ["step", "run"])
@pytest.mark.parametrize("value", TAKEN)
def test_a_value_that_the_engine_accepts_is_recorded(
    server: LocalServer, api: Api, value: str, by: str
) -> None:
    instance_id = start(api, "returns", value=value, by=by)
    assert engines_word(server, "RETURNS", instance_id)["status"] == "complete"
    instance = until(api, instance_id)
    assert instance["status"] == "COMPLETED"
    recorded = instance["steps"][0]["output"] if by == "step" else instance["output"]
    assert recorded == TAKEN[value]


@pytest.mark.usefixtures("bystander")
def test_members_with_names_of_javascript_properties_are_recorded(api: Api) -> None:
    # As the output of a step the SDK itself stumbles over them (workers-runtime-sdk 1.9.5).
    instance = until(api, start(api, "returns", value="JavaScript's names", by="run"))
    assert instance["output"] == {"__proto__": {"a": 1}, "constructor": 2}


@pytest.mark.parametrize("fails", [False, True])
def test_a_workflow_may_keep_its_base_class(api: Api, fails: bool) -> None:
    instance = until(api, start(api, "plain", fails=fails))
    assert instance["reference"] == {"refType": "order", "refId": "7"}
    assert instance["steps"][0]["output"] == "done"
    if fails:
        assert (instance["status"], instance["error"]["message"]) == ("ERRORED", "no luck")
    else:
        assert (instance["status"], instance["output"]) == ("COMPLETED", {"result": "done"})


def test_a_restarted_instance_is_tracked_from_its_beginning(api: Api) -> None:
    instance_id = start(api, "send-invoice", fail=2)
    first = log_of(until(api, instance_id, "WAITING"))
    act(api, "restartWorkflow", instance_id)
    act(api, "sendWorkflowEvent", instance_id, type="approved", payload={"by": "Ada"})
    again = until(api, instance_id)
    log = log_of(again)
    assert log[: len(first)] == first
    assert log[len(first) : len(first) + 2] == [
        ("STEP_CANCELLED", "approval", None),
        ("INSTANCE_RESTARTED", None, None),
    ]
    assert_invoice_log([INVOICE[0], *log[len(first) + 2 :]])
    assert [step["attemptCount"] for step in again["steps"]] == [1, 3, 0, 0, 1, 1]
    newest, oldest = again["runs"]
    assert (again["run"], newest["number"], newest["status"]) == (2, 2, "COMPLETED")
    assert (oldest["number"], oldest["status"], oldest["output"]) == (1, "TERMINATED", None)
    assert [(step["name"], step["status"]) for step in oldest["steps"]] == [
        ("total", "COMPLETED"),
        ("charge", "COMPLETED"),
        ("hold", "COMPLETED"),
        ("approval", "CANCELLED"),
    ]


async def test_a_step_outside_that_a_restart_overtakes_stays_in_its_run(
    server: LocalServer, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    instance_id = start(api, "send-invoice")
    until(api, instance_id, "WAITING")
    caplog.set_level(logging.INFO, logger="flowflare")

    def work() -> str:
        act(api, "restartWorkflow", instance_id)
        until(api, instance_id, "WAITING")
        return "OLD RUN"

    async with Flowflare(url=server.url, api_key=server.key) as service:
        assert await track_step(service, instance_id, "s5", work) == "OLD RUN"
    assert [record.levelname for record in caplog.records if record.name == "flowflare"] == ["INFO"]
    assert "RUN_MISMATCH" in caplog.text
    instance = until(api, instance_id, "WAITING")
    newest, oldest = instance["runs"]
    assert [step["name"] for step in newest["steps"]] == ["total", "charge", "hold", "approval"]
    assert oldest["steps"][-1] == {"name": "s5", "status": "CANCELLED", "output": None}


def test_workflows_may_use_the_same_instance_id(api: Api) -> None:
    instance_id = start(api, "plain")
    start(api, "failures", instance_id=instance_id, way="caught")
    plain = until(api, instance_id, workflow="plain")
    failures = until(api, instance_id, workflow="failures")
    assert (plain["status"], plain["output"]) == ("COMPLETED", {"result": "done"})
    assert [(step["name"], step["status"], step["output"]) for step in plain["steps"]] == [
        ("work", "COMPLETED", "done")
    ]
    assert (failures["status"], failures["output"]) == ("COMPLETED", "went on")
    assert [(step["name"], step["status"], step["output"]) for step in failures["steps"]] == [
        ("work", "FAILED", None),
        ("after", "COMPLETED", "went on"),
    ]


def test_steps_may_have_any_names_and_the_same_ones(server: LocalServer, api: Api) -> None:
    instance_id = start(api, "names", hold=300)
    until(api, instance_id, "SLEEPING")
    act(api, "pauseWorkflow", instance_id)
    until(api, instance_id, "PAUSED")
    act(api, "resumeWorkflow", instance_id)
    instance = until(api, instance_id)
    long = "x" * 256
    expected = [
        ("load", 1, "A"),
        ("load (2)", 1, "B"),
        ("load", 2, "C"),
        (step_name(""), 2, "no name"),
        (long, 1, 1),
        (long, 2, 2),
        (long, 3, 3),
        ("Ω😀", 1, "letters"),
    ]
    sleeps, steps = instance["steps"][:7], instance["steps"][7:]
    names = ["\t", "load\nrows", "load rows", "y" * 300, "y" * 301, "\ud800", ""]
    assert [(step["name"], step["occurrence"]) for step in sleeps] == [
        (step_name(name), 1) for name in names
    ]
    assert [(step["name"], step["occurrence"], step["output"]) for step in steps] == expected
    assert instance["output"] == [result for _, _, result in expected]
    # The replay after the pause knows the first sleep by the name that it has in the record.
    assert log_of(instance).count(("STEP_STARTED", step_name("\t"), None)) == 1
    assert "was refused" not in server.log


def test_a_paused_instance_has_not_failed_and_can_be_resumed(api: Api) -> None:
    instance_id = start(api, "send-invoice", hold=500)
    until(api, instance_id, "SLEEPING")
    act(api, "pauseWorkflow", instance_id)
    paused = until(api, instance_id, "PAUSED")
    assert paused["error"] is None
    act(api, "resumeWorkflow", instance_id)
    until(api, instance_id, "WAITING")
    act(api, "sendWorkflowEvent", instance_id, type="approved", payload={"by": "Ada"})
    done = until(api, instance_id)
    assert done["status"] == "COMPLETED"
    assert [step["attemptCount"] for step in done["steps"]] == [1, 1, 0, 0, 1, 1]
    log = log_of(done)
    assert [event for event in log if event[1] == "total"] == INVOICE[2:5]
    assert log.count(("STEP_STARTED", "hold", None)) == 1


def test_a_service_that_is_not_configured_stops_no_workflow(server: LocalServer) -> None:
    server.fetch("tracked", "/create/UNCONFIGURED/alone", method="POST", body="null")
    status = engines_word(server, "UNCONFIGURED", "alone")
    assert status["output"] == "done all the same"
    server.wait_for_log("instance 'alone' is not tracked: There is neither a service binding")
