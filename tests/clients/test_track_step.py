"""Steps outside a Workflow, and the service as an object, in ordinary CPython."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flowflare import (
    Attempt,
    Denied,
    Flowflare,
    NonRetryableError,
    Refused,
    Retries,
    Unreachable,
    track_step,
)
from scripts.project import ROOT
from tests.clients.gateway import Gateway
from tests.clients.runs import log_of, start_elsewhere, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.local_server import LocalServer
    from tests.worker.api import Api

QUICK = Retries(limit=2, delay=timedelta(milliseconds=20), backoff="linear")


@pytest.fixture
async def flowflare(server: LocalServer) -> AsyncIterator[Flowflare]:
    async with Flowflare(url=server.url, api_key=server.key) as service:
        yield service


async def test_a_step_is_retried_and_recorded(api: Api, flowflare: Flowflare) -> None:
    instance_id = start_elsewhere(api, "import")

    async def load(attempt: Attempt) -> dict[str, int]:
        if attempt.number < 3:
            raise ConnectionError(f"reset {attempt.number}")
        return {"rows": 7}

    result = await track_step(flowflare, instance_id, "load", load, index=4, retries=QUICK)
    assert result == {"rows": 7}
    assert await track_step(flowflare, instance_id, "count", lambda: 7) == 7
    instance = until(api, instance_id, "QUEUED")
    load_step, count = sorted(instance["steps"], key=lambda step: str(step["name"]), reverse=True)
    assert (load_step["index"], load_step["output"]) == (4, {"rows": 7})
    assert load_step["retryPolicy"] == {"limit": 2, "delay": 20, "backoff": "LINEAR"}
    assert [
        (attempt["status"], (attempt["error"] or {}).get("message"))
        for attempt in load_step["attempts"]
    ] == [("FAILED", "reset 1"), ("FAILED", "reset 2"), ("COMPLETED", None)]
    assert (count["status"], count["output"]) == ("COMPLETED", 7)
    assert ("ATTEMPT_FAILED", "load", 2) in log_of(instance)


async def test_a_failed_step_raises_the_error_of_its_work(api: Api, flowflare: Flowflare) -> None:
    instance_id = start_elsewhere(api, "import")

    def fail() -> None:
        raise LookupError("not there")

    def never() -> None:
        raise NonRetryableError("not ever")

    with pytest.raises(LookupError, match="not there"):
        await track_step(flowflare, instance_id, "fail", fail, retries=QUICK)
    with pytest.raises(NonRetryableError):
        await track_step(flowflare, instance_id, "never", never, retries=QUICK)
    fail_step, never_step = until(api, instance_id, "QUEUED")["steps"]
    assert (fail_step["status"], fail_step["attemptCount"]) == ("FAILED", 3)
    assert fail_step["error"] == {"name": "LookupError", "message": "not there"}
    assert (never_step["status"], never_step["attemptCount"]) == ("FAILED", 1)


async def test_an_attempt_that_takes_too_long_has_failed(api: Api, flowflare: Flowflare) -> None:
    import asyncio

    instance_id = start_elsewhere(api, "import")

    async def slow() -> None:
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await track_step(
            flowflare,
            instance_id,
            "slow",
            slow,
            retries=Retries(limit=0),
            timeout=timedelta(milliseconds=50),
        )
    [slow_step] = until(api, instance_id, "QUEUED")["steps"]
    assert (slow_step["status"], slow_step["error"]["name"]) == ("FAILED", "TimeoutError")


async def test_a_service_that_was_away_gets_all_updates(server: LocalServer, api: Api) -> None:
    instance_id = start_elsewhere(api, "import")
    with Gateway(target=server.url, mode="refuse") as gateway:

        def work() -> str:
            gateway.mode = "pass"
            return "done"

        async with Flowflare(url=gateway.url, api_key=server.key) as flowflare:
            assert await track_step(flowflare, instance_id, "work", work) == "done"
    [step] = until(api, instance_id, "QUEUED")["steps"]
    assert (step["status"], step["output"]) == ("COMPLETED", "done")


async def test_a_step_is_recorded_for_the_instance_of_its_workflow(
    api: Api, flowflare: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    instance_id = start_elsewhere(api, "import")
    start_elsewhere(api, "export", instance_id=instance_id)

    async def track(result: str, **more: Any) -> object:
        return await track_step(flowflare, instance_id, "load", lambda: result, **more)

    await track("imported", workflow="import")
    await track("exported", workflow="export")
    await track("exported again", workflow="export", occurrence=2)
    for workflow, outputs in (("import", ["imported"]), ("export", ["exported", "exported again"])):
        steps = until(api, instance_id, "QUEUED", workflow=workflow)["steps"]
        assert [(step["name"], step["occurrence"]) for step in steps] == [
            ("load", number) for number in range(1, len(outputs) + 1)
        ]
        assert [step["output"] for step in steps] == outputs
    assert caplog.records == []
    # Without the workflow nobody knows which of them it is, but the work is done.
    assert await track("done") == "done"
    assert "AMBIGUOUS" in caplog.text
    with pytest.raises(Refused) as refused:
        await flowflare.look(instance_id)
    assert refused.value.code == "AMBIGUOUS"


async def test_a_record_shows_the_run_and_the_steps(api: Api, flowflare: Flowflare) -> None:
    instance_id = start_elsewhere(api, "import")
    await track_step(flowflare, instance_id, "load", lambda: 1, occurrence=2)
    assert await flowflare.look(instance_id, workflow="import") == {
        "workflow": {"name": "import"},
        "following": "NOT_FOLLOWED",
        "reference": None,
        "status": "QUEUED",
        "run": 1,
        "steps": [{"name": "load", "occurrence": 2, "status": "COMPLETED"}],
    }
    assert await flowflare.look(instance_id, workflow="export") is None


async def test_the_record_of_a_long_run_has_its_run_and_status(
    api: Api, flowflare: Flowflare
) -> None:
    instance_id = start_elsewhere(api, "import")
    # More than the two megabytes that D1 returns, with as few steps as possible.
    completed = {"instanceId": instance_id, "name": "😀" * 256, "status": "COMPLETED"}
    for first in range(1, 2_001, 100):
        await flowflare.track(
            [
                json.dumps({"step": {**completed, "occurrence": number}})
                for number in range(first, first + 100)
            ]
        )
    assert await flowflare.look(instance_id) == {
        "workflow": {"name": "import"},
        "following": "NOT_FOLLOWED",
        "reference": None,
        "status": "QUEUED",
        "run": 1,
        "steps": None,
    }
    await track_step(flowflare, instance_id, "last", lambda: 1)
    query = 'query ($id: String!) { instance(instanceId: $id) { step(name: "last") { status } } }'
    data = await flowflare.execute(query, {"id": instance_id})
    assert data["instance"]["step"] == {"status": "COMPLETED"}


async def test_a_step_runs_even_if_nothing_can_be_reported(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = f"unknown-{uuid.uuid4()}"
    async with Flowflare(url=server.url, api_key=server.key) as flowflare:
        assert await track_step(flowflare, unknown, "work", lambda: 1) == 1
    assert "NOT_FOUND" in caplog.text


async def test_errors_of_the_service_have_their_classes(server: LocalServer) -> None:
    async with Flowflare(url=server.url, api_key="wrong") as flowflare:
        with pytest.raises(Denied):
            await flowflare.execute("{ __typename }")
    async with Flowflare(url=f"{server.url}/graphql", api_key=server.key) as flowflare:
        assert await flowflare.execute("{ __typename }") == {"__typename": "Query"}
        assert await flowflare.look("nobody") is None
        with pytest.raises(Refused) as refused:
            await flowflare.execute("{ nothing }")
        assert refused.value.code == "INVALID_DOCUMENT"
    async with Flowflare(url="http://127.0.0.1:9") as flowflare:
        with pytest.raises(Unreachable):
            await flowflare.execute("{ __typename }")


@pytest.mark.parametrize("levels", [1_000, 100_000])
async def test_variables_that_cannot_be_sent_are_the_callers_mistake(levels: int) -> None:
    deep: list[object] = []
    for _ in range(levels):
        deep = [deep]
    # Nobody listens there: to send them would raise Unreachable.
    async with Flowflare(url="http://127.0.0.1:9") as flowflare:
        for value in (deep, float("nan")):
            with pytest.raises(ValueError, match=r"deep|JSON"):
                await flowflare.execute("query ($v: JSON) { __typename }", {"v": value})


async def test_the_service_is_found_by_the_environment(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWFLARE_URL", raising=False)
    with pytest.raises(ValueError, match="FLOWFLARE_URL"):
        Flowflare.from_env()
    monkeypatch.setenv("FLOWFLARE_URL", server.url)
    monkeypatch.setenv("FLOWFLARE_API_KEY", server.key)
    async with Flowflare.from_env() as flowflare:
        assert await flowflare.execute("{ __typename }")
    given: dict[str, Any] = {"FLOWFLARE_URL": server.url, "FLOWFLARE_API_KEY": "wrong"}
    async with Flowflare.from_env(given) as flowflare:
        with pytest.raises(Denied):
            await flowflare.execute("{ __typename }")


@pytest.mark.parametrize("wrong", [{}, {"url": "flowflare.example"}, {"service_binding": object()}])
def test_an_invalid_address_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"url|https"):
        Flowflare(**wrong)


def test_the_package_is_light_to_import() -> None:
    # A Worker pays for each module at every cold start.
    code = "import sys, flowflare; print([m for m in sys.modules if m in %r])"
    heavy = ["gql", "graphql", "httpx", "pydantic", "rich", "typer", "aiohttp", "websockets"]
    found = subprocess.run(
        [sys.executable, "-c", code % heavy],
        env={"PYTHONPATH": str(ROOT / "clients/python/src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_one_module_of_the_tracking_knows_the_platform() -> None:
    package = ROOT / "clients/python/src/flowflare"
    platform = re.compile(r"^\s*(?:from|import) (?:js|pyodide|workers)\b", re.MULTILINE)
    knowing = [path.name for path in package.glob("*.py") if platform.search(path.read_text())]
    assert knowing == ["edge.py"]
