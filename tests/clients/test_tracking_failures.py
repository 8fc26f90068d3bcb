"""Tracked workflows whose way to the service is cut, and whose Worker is killed."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from scripts.project import parse_jsonc
from tests.clients.gateway import Call, Gateway
from tests.clients.runs import act, log_of, start, until
from tests.clients.test_tracked_workflows import assert_invoice_log
from tests.support.servers import REPORTS_ALONE
from tests.worker.api import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKER = Path(__file__).parent / "tracked_worker"
APPROVED = {"type": "approved", "payload": {"by": "Ada"}}
KEY = secrets.token_urlsafe(32)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The way from the Worker to the service."""
    with Gateway() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    prepared: None, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    """The service, and the Worker beside it that knows its address and a key alone."""
    folder = tmp_path_factory.mktemp("remote")
    shutil.copy(WORKER / "worker.py", folder)
    config = parse_jsonc((WORKER / "wrangler.jsonc").read_text())
    del config["services"]
    config["vars"] = {"FLOWFLARE_URL": gateway.url}
    (folder / "wrangler.jsonc").write_text(json.dumps(config))
    (folder / ".dev.vars").write_text(f"FLOWFLARE_API_KEY={KEY}\n")
    variables = {"FLOWFLARE_API_KEY": KEY, **REPORTS_ALONE}
    with LocalServer(vars=variables, beside=[folder]) as running:
        gateway.target = running.url
        yield running


@pytest.fixture
def api(server: LocalServer, gateway: Gateway) -> Iterator[Api]:
    """A caller of the service; the way is open again afterwards."""
    with Api(server) as caller:
        yield caller
    gateway.mode = "pass"


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = 30) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so: {what}"
        time.sleep(0.05)


def only_ends(call: Call) -> bool:
    """True if a call reports only ended steps, and the instance's status after them."""
    updates = call.operation["variables"]["updates"]
    statuses = [next(iter(update.values()))["status"] for update in updates]
    ended = any("step" in update for update in updates)
    return ended and all(
        status == ("COMPLETED" if "step" in update else "RUNNING")
        for update, status in zip(updates, statuses, strict=True)
    )


def engine_status(server: LocalServer, instance_id: str, binding: str = "INVOICES") -> str:
    """The engine's own status of an instance."""
    answer = server.fetch("tracked", f"/status/{binding}/{instance_id}").json()
    return str(answer["status"])


def test_a_step_costs_one_call_and_a_failed_attempt_one_more(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    gateway.calls.clear()
    instance_id = start(api, "send-invoice", fail=2)
    until(api, instance_id, "WAITING")
    act(api, "sendWorkflowEvent", instance_id, **APPROVED)
    assert_invoice_log(log_of(until(api, instance_id)))
    assert [call.name for call in gateway.calls].count("Look") == 1
    # Six steps, two failed attempts at one of them that were begun again, and the end. On a machine
    # that is busy the end of a step may have waited for the next one in vain.
    tracks = [call for call in gateway.calls if call.name == "Track"]
    assert sum(not only_ends(call) for call in tracks) <= 6 + 2 * 2 + 1
    assert {call.authorization for call in gateway.calls} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("mode", ["refuse", "hang", "lose"])
def test_an_unreachable_service_delays_no_workflow_and_gets_everything_later(
    server: LocalServer, api: Api, gateway: Gateway, mode: Any
) -> None:
    instance_id = start(api, "send-invoice", fail=2)
    until(api, instance_id, "WAITING")
    gateway.mode = mode
    act(api, "sendWorkflowEvent", instance_id, **APPROVED)
    # The parallel steps run while nothing gets through.
    executed = f"{instance_id}/mailed"
    wait_for(lambda: server.fetch("tracked", "/executions").json().get(executed) == 2, "it went on")
    gateway.mode = "pass"
    instance = until(api, instance_id, seconds=60)
    assert_invoice_log(log_of(instance))
    assert instance["output"]["mails"] == ["to the customer", "to the books"]
    wait_for(lambda: engine_status(server, instance_id) == "complete", "the engine is done")


def test_reports_lost_in_a_crash_are_made_when_the_engine_replays(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    instance_id = start(api, "send-invoice", hold=1_000)
    until(api, instance_id, "SLEEPING")
    gateway.mode = "refuse"
    calls = len(gateway.calls)
    # The sleep has ended and the wait has begun, and the service knows of neither.
    wait_for(lambda: len(gateway.calls) > calls, "the Worker has tried")
    server.crash()
    gateway.mode = "pass"
    server.start()
    assert gateway.target == server.url
    # The local engine wakes an instance when it is next asked for it.
    act(api, "sendWorkflowEvent", instance_id, **APPROVED)
    instance = until(api, instance_id)
    log = log_of(instance)
    assert [step["status"] for step in instance["steps"]] == ["COMPLETED"] * 6
    assert [step["attemptCount"] for step in instance["steps"]] == [1, 1, 0, 0, 1, 1]
    assert len(log) == len(set(log)) + log.count(("INSTANCE_RESUMED", None, None)) - 1
    executions = server.fetch("tracked", "/executions").json()
    assert f"{instance_id}/total" not in executions


def test_a_worker_that_dies_in_a_sleep_continues_without_gaps(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    instance_id = start(api, "send-invoice", fail=2, hold=1_500)
    asleep = until(api, instance_id, "SLEEPING")
    server.crash()
    server.start()
    gateway.calls.clear()
    act(api, "sendWorkflowEvent", instance_id, **APPROVED)
    instance = until(api, instance_id)
    assert_invoice_log(log_of(instance))
    hold = instance["steps"][2]
    assert hold["startedAt"] == asleep["steps"][2]["startedAt"]
    assert [call.name for call in gateway.calls].count("Look") == 1


def test_reports_of_a_run_that_arrive_after_its_restart_change_nothing(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    gateway.calls.clear()
    gateway.holds = lambda call: "OLD RUN" in json.dumps(call.operation["variables"])
    instance_id = start(api, "restarted")
    wait_for(lambda: any(call.is_held for call in gateway.calls), "the end of the run is held")
    act(api, "restartWorkflow", instance_id)
    until(api, instance_id, "WAITING")
    gateway.let_go()
    late = [call for call in gateway.calls if call.is_held]
    wait_for(lambda: all(call.answer is not None for call in late), "the late reports are answered")
    sent = [
        next(iter(update.values()))
        for update in late[0].operation["variables"]["updates"]
        if "s5" in json.dumps(update) or "instance" in update
    ]
    assert [update["status"] for update in sent] == ["COMPLETED", "ERRORED"]
    assert {(update["workflow"], update["run"]) for update in sent} == {("restarted", 1)}
    assert {call.answer["data"]["track"]["code"] for call in late} == {"RUN_MISMATCH"}
    assert [step["name"] for step in until(api, instance_id, "WAITING")["steps"]] == [
        "s1",
        "release",
    ]

    act(api, "sendWorkflowEvent", instance_id, type="release")
    instance = until(api, instance_id)
    assert (instance["status"], instance["output"], instance["run"]) == ("COMPLETED", "NEW RUN", 2)
    newest, oldest = instance["runs"]
    assert newest["steps"][-1] == {"name": "s5", "status": "COMPLETED", "output": "NEW RUN"}
    assert (oldest["status"], oldest["output"], oldest["error"]) == ("TERMINATED", None, None)
    assert oldest["steps"][-1] == {"name": "s5", "status": "CANCELLED", "output": None}
    wait_for(
        lambda: engine_status(server, instance_id, "RESTARTED") == "complete", "the engine is done"
    )


def test_an_instance_that_was_started_elsewhere_is_tracked(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    instance_id = f"own-{secrets.token_hex(8)}"
    server.fetch("tracked", f"/create/SHAPES/{instance_id}")
    instance = until(api, instance_id)
    assert (instance["status"], instance["workflow"]["name"]) == ("COMPLETED", "shapes")
    assert log_of(instance)[:2] == [
        ("INSTANCE_STARTED", None, None),
        ("STEP_STARTED", "large", None),
    ]


def test_a_run_that_ends_while_the_service_is_away_is_delivered_by_the_engine(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    gateway.mode = "refuse"
    instance_id = start(api, "failures", way="caught")
    calls = len(gateway.calls)
    wait_for(lambda: len(gateway.calls) > calls + 2, "the Worker has tried")
    gateway.mode = "pass"
    instance = until(api, instance_id, "COMPLETED", seconds=60)
    assert [step["name"] for step in instance["steps"]] == ["work", "after"]
    [work, after] = instance["steps"]
    assert [attempt["status"] for attempt in work["attempts"]] == ["FAILED", "FAILED"]
    assert (work["status"], after["status"]) == ("FAILED", "COMPLETED")


def test_a_key_that_is_refused_stops_no_workflow_and_is_not_logged(
    server: LocalServer, api: Api, gateway: Gateway
) -> None:
    gateway.mode = "deny"
    instance_id = start(api, "failures", way="caught")
    wait_for(
        lambda: engine_status(server, instance_id, "FAILURES") == "complete", "the engine is done"
    )
    server.wait_for_log("the service denies access")
    assert KEY not in server.log
    assert until(api, instance_id, "QUEUED")["steps"] == []
