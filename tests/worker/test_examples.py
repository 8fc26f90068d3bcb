"""The examples: each Worker runs beside the service, each workflow on the real engine."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from graphql import parse, validate

from schema.build import core
from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.worker.api import Api, act
from tests.worker.runs import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = ROOT / "examples"
EXAMPLE_FOLDERS = sorted(p for p in EXAMPLES.iterdir() if p.is_dir() and p.name[0] != "_")
WORKERS = tuple(
    path.parent
    for path in sorted(EXAMPLES.rglob("wrangler.jsonc"))
    if "node_modules" not in path.parts
)


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service with all the examples' Workers beside it."""
    with LocalServer(beside=WORKERS) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of that server, with all rights."""
    with Api(server) as caller:
        yield caller


def test_every_example_has_a_short_readme_in_the_list() -> None:
    assert len(EXAMPLE_FOLDERS) == 6
    listed = (EXAMPLES / "README.md").read_text()
    for folder in EXAMPLE_FOLDERS:
        assert 5 <= len((folder / "README.md").read_text().splitlines()) <= 20, folder
        assert f"({folder.name}/README.md)" in listed


@pytest.mark.parametrize("example", EXAMPLE_FOLDERS, ids=lambda folder: folder.name)
def test_the_operations_of_a_readme_run(api: Api, example: Path) -> None:
    operations = re.findall(
        r"^    (mutation|query|subscription)((?: .|\n      )(?:.|\n      )*)",
        (example / "README.md").read_text(),
        re.MULTILINE,
    )
    assert operations[0][0] == "mutation"
    for kind, selection in operations:
        if kind == "subscription":
            assert validate(core, parse(kind + selection)) == []
            continue
        [answer] = api.data(kind + selection).values()
        if kind == "mutation":
            assert answer["__typename"] == "InstancePayload"


@pytest.mark.parametrize("worker", WORKERS, ids=lambda folder: folder.name)
def test_only_two_workflows_import_the_tracking_library(worker: Path) -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in worker.rglob("*")
        if path.suffix in (".py", ".ts")
    )
    is_tracked = "TrackedWorkflow" in code or "trackWorkflow" in code
    assert is_tracked == (worker.name in ("travel", "user_onboarding"))


def test_an_approved_article_is_published(api: Api) -> None:
    run = Run.start(api, "content-publishing", title="Good news", body="It works")
    run.until("WAITING")
    assert run.send_event("approval", {"approved": True, "editor": "ada"}) == "InstancePayload"
    instance = run.until("COMPLETED")
    assert instance["output"] == {
        "published": True,
        "url": "https://example.com/good-news",
        "editor": "ada",
    }
    assert run.steps(instance) == [
        ("check the draft", "TASK", "COMPLETED", 1),
        ("wait for approval", "WAIT_FOR_EVENT", "COMPLETED", 0),
        ("render", "TASK", "COMPLETED", 1),
        ("publish", "TASK", "COMPLETED", 2),
    ]
    first, second = run.step(instance, "publish")["attempts"]
    assert first["error"]["message"] == "the CDN answered 502 at attempt 1"
    assert first["retryAt"] <= second["startedAt"]
    # The engine's history does not have the payload of an event.
    assert run.step(instance, "wait for approval")["output"] is None


def test_a_declined_article_stays_unpublished(api: Api) -> None:
    run = Run.start(api, "content-publishing", title="Bad news", body="It does not")
    run.until("WAITING")
    run.send_event("approval", {"approved": False, "editor": "ada", "comment": "too short"})
    instance = run.until("COMPLETED")
    assert instance["output"] == {"published": False, "why": "too short"}
    assert [name for name, *_ in run.steps(instance)] == ["check the draft", "wait for approval"]


def test_an_invalid_draft_is_not_retried(api: Api) -> None:
    instance = Run.start(api, "content-publishing", title="", body="").until("ERRORED")
    assert "a step threw an NonRetryableError" in instance["error"]["message"]
    [check] = instance["steps"]
    assert check["error"]["message"] == "a draft needs a title"
    assert Run.steps(instance) == [("check the draft", "TASK", "FAILED", 1)]


def test_a_flaky_source_is_read_to_its_end(api: Api) -> None:
    run = Run.start(api, "data-pipeline", pages=2, pageSize=3, failures=2)
    instance = run.until("COMPLETED")
    assert instance["output"] == {"rows": 4, "totalCents": 1400, "rejected": [3, 6]}
    assert run.steps(instance) == [
        ("extract page 1", "TASK", "COMPLETED", 3),
        ("transform page 1", "TASK", "COMPLETED", 1),
        ("extract page 2", "TASK", "COMPLETED", 3),
        ("transform page 2", "TASK", "COMPLETED", 1),
        ("load", "TASK", "COMPLETED", 1),
    ]
    extract = run.step(instance, "extract page 2")
    assert extract["retryPolicy"] == {"limit": 4, "delay": 100, "backoff": "EXPONENTIAL"}
    assert [attempt["error"]["name"] for attempt in extract["attempts"][:2]] == [
        "SourceUnavailable"
    ] * 2


def test_an_unavailable_source_fails_the_batch(api: Api) -> None:
    run = Run.start(api, "data-pipeline", pages=1, failures=99)
    instance = run.until("ERRORED")
    assert run.steps(instance) == [("extract page 1", "TASK", "FAILED", 5)]
    assert instance["error"]["name"] == "SourceUnavailable"
    assert instance["error"]["message"] == "page 1 timed out"


@pytest.mark.parametrize(("has_posted", "mail"), [(True, "tips"), (False, "reminder")])
def test_a_user_gets_a_welcome_and_a_later_mail(api: Api, has_posted: bool, mail: str) -> None:
    run = Run.start(
        api, "user-onboarding", email="ada@example.com", hasPosted=has_posted, waitMs=1_000
    )
    asleep = run.until("SLEEPING")
    assert asleep["sleepUntil"] > asleep["startedAt"]
    instance = run.until("COMPLETED")
    assert instance["output"] == {
        "accountId": "account-ada",
        "mails": ["welcome to ada@example.com", f"{mail} to ada@example.com"],
    }
    assert run.step(instance, "give them time")["kind"] == "SLEEP"


def test_an_onboarding_that_was_paused_in_its_sleep_goes_on(api: Api) -> None:
    run = Run.start(api, "user-onboarding", email="ada@example.com", waitMs=1_500)
    run.until("SLEEPING")
    assert act(api, "pauseWorkflow", run.instance_id)["instance"]["status"] == "PAUSED"
    assert run.show()["error"] is None
    act(api, "resumeWorkflow", run.instance_id)
    assert [name for name, *_ in run.steps(run.until("COMPLETED"))] == [
        "create the account",
        "send the welcome",
        "give them time",
        "check their activity",
        "follow up",
    ]


BY_REFERENCE = """query ByReference($type: String!, $id: String!) {
  reference(refType: $type, refId: $id) {
    latestInstance {
      instanceId status following steps { name attempts { status error { message stack } } }
    }
  }
}"""


def until_referenced(api: Api, type_: str, id_: str) -> Any:
    """Wait until the latest instance of a reference is completed, and return it."""

    def is_done(data: Any) -> bool:
        found = data["reference"] and data["reference"]["latestInstance"]
        return bool(found) and found["status"] == "COMPLETED"

    data = api.until(BY_REFERENCE, is_done, seconds=40, type=type_, id=id_)
    return data["reference"]["latestInstance"]


def test_a_user_who_signs_up_is_found_by_the_address(server: LocalServer, api: Api) -> None:
    email = f"{uuid.uuid4()}@example.com"
    user = json.dumps({"email": email, "waitMs": 1})
    signed_up = server.fetch("user-onboarding", "/", method="POST", body=user)
    found = until_referenced(api, "user", email)
    assert (found["instanceId"], found["following"]) == (signed_up.text, "FOLLOWED")
    assert found["steps"][0]["name"] == "create the account"


def test_a_traveller_who_books_finds_the_trip_and_its_failures(
    server: LocalServer, api: Api
) -> None:
    traveller = str(uuid.uuid4())
    trip = json.dumps({"traveller": traveller, "busyFor": 1})
    booked = server.fetch("travel", "/", method="POST", body=trip)
    found = until_referenced(api, "traveller", traveller)
    assert (found["instanceId"], found["following"]) == (booked.text, "FOLLOWED")
    flight = found["steps"][0]
    assert [attempt["status"] for attempt in flight["attempts"]] == ["FAILED", "COMPLETED"]
    error = flight["attempts"][0]["error"]
    assert error["message"] == "flight: too many requests"
    assert "at Trip.request" in error["stack"]


def test_an_invalid_address_ends_the_onboarding_at_once(api: Api) -> None:
    instance = Run.start(api, "user-onboarding", email="nobody").until("ERRORED")
    assert instance["error"]["message"] == "'nobody' is not a valid email address"
    assert Run.steps(instance) == [("create the account", "TASK", "FAILED", 1)]


def test_a_night_is_cleaned_up_once_however_often_its_trigger_fires(
    server: LocalServer, api: Api
) -> None:
    server.query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?)"
        " INSERT INTO sessions SELECT 'old-' || i, '2020-01-01T00:00:00Z' FROM n",
        [130],
        binding="SESSIONS",
        worker="scheduled-maintenance",
    )
    server.query(
        "INSERT INTO sessions VALUES ('new', '2999-01-01T00:00:00Z')",
        binding="SESSIONS",
        worker="scheduled-maintenance",
    )
    for _ in range(2):
        at = datetime(2026, 11, 25, 3, tzinfo=UTC)
        server.scheduled("scheduled-maintenance", "0 3 * * *", at=at)
    run = Run(api, "maintenance-2026-11-25")
    instance = run.until("COMPLETED")
    assert instance["output"] == {"removed": 130, "left": 1}
    assert run.steps(instance) == [
        ("remove batch 1", "TASK", "COMPLETED", 1),
        ("remove batch 2", "TASK", "COMPLETED", 1),
        ("count what is left", "TASK", "COMPLETED", 1),
    ]
    assert run.events(instance).count(("INSTANCE_QUEUED", None, None)) == 1


def booking(server: LocalServer, key: str) -> Any:
    """A booking in the other Worker, None if it has none."""
    return server.fetch("suppliers", f"/{key}").json()


def test_a_trip_is_booked_with_busy_suppliers(server: LocalServer, api: Api) -> None:
    run = Run.start(api, "trip", traveller="ada", busyFor=2)
    instance = run.until("COMPLETED")
    keys = [f"{run.instance_id}:{kind}" for kind in ("flight", "hotel", "car")]
    assert instance["output"] == {"booked": keys}
    assert [attempts for *_, attempts in run.steps(instance)] == [3, 3, 3]
    for key in keys:
        kind = key.rsplit(":", 1)[1]
        assert booking(server, key) == {"kind": kind, "requests": 3, "state": "booked"}


def test_the_bookings_of_an_impossible_trip_are_cancelled(server: LocalServer, api: Api) -> None:
    run = Run.start(api, "trip", traveller="ada", soldOut="car")
    instance = run.until("COMPLETED")
    flight, hotel, car = (f"{run.instance_id}:{kind}" for kind in ("flight", "hotel", "car"))
    assert instance["output"] == {"cancelled": [flight, hotel], "why": "no car"}
    assert run.step(instance, "book car")["error"]["message"] == "car: sold out"
    assert [(name, status) for name, _, status, _ in run.steps(instance)][2:] == [
        ("book car", "FAILED"),
        (f"cancel {hotel}", "COMPLETED"),
        (f"cancel {flight}", "COMPLETED"),
    ]
    assert [booking(server, key)["state"] for key in (flight, hotel, car)] == [
        "cancelled",
        "cancelled",
        "asked",
    ]
