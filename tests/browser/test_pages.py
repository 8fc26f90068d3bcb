"""Tests of the pages in a real browser: the landing page links to GraphiQL, and GraphiQL works."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT, VENV_BIN, tool_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = Path("/usr/bin/chromium")
START = """mutation { startWorkflow(input: {
  workflow: "seen-in-the-browser", instanceId: "shown-1", reference: {refType: "order", refId: "7"},
  trackOnly: true
}) { __typename } }"""


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """Start a server that has one instance."""
    with LocalServer() as running:
        started = httpx.post(
            f"{running.url}/graphql",
            json={"query": START},
            headers={"authorization": f"Bearer {running.key}"},
        )
        assert started.status_code == 200
        yield running


@pytest.fixture(scope="module")
def seen(server: LocalServer) -> dict[str, Any]:
    """Visit the pages, and return what visit.mjs has recorded."""
    assert CHROMIUM.exists(), f"{CHROMIUM} is missing. Run: apt-get install -y chromium"
    environment = {"URL": server.url, "KEY": server.key, "CHROMIUM": str(CHROMIUM)}
    done = subprocess.run(
        [VENV_BIN / "node", "tests/browser/visit.mjs"],
        cwd=ROOT,
        env={**tool_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.log}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_landing_page_links_to_graphiql_and_the_docs(
    seen: dict[str, Any], server: LocalServer
) -> None:
    assert seen["landing"]["status"] == 200
    assert seen["landing"]["heading"]
    linked = {urlsplit(link["url"]).path for link in seen["landing"]["linked"]}
    assert {"/graphql", "/docs/"} <= linked


def test_every_link_of_the_landing_page_works(seen: dict[str, Any], server: LocalServer) -> None:
    broken = [
        link
        for link in seen["landing"]["linked"]
        if link["url"].startswith(server.url) and link["status"] != 200
    ]
    assert broken == []


def test_graphiql_is_at_the_address_of_the_api(seen: dict[str, Any], server: LocalServer) -> None:
    assert seen["graphiql"]["address"] == f"{server.url}/graphql"


def test_nothing_is_loaded_from_other_sites(seen: dict[str, Any], server: LocalServer) -> None:
    foreign = [url for url in seen["requests"] if not url.startswith((server.url, "data:"))]
    assert foreign == []
    assert any(url.endswith("graphiql.min.js") for url in seen["requests"])


def test_the_pages_open_without_an_error(seen: dict[str, Any]) -> None:
    assert seen["problems"]["opening"] == []
    assert seen["problems"]["working"] == []


def test_without_a_key_graphiql_says_where_to_find_one(seen: dict[str, Any]) -> None:
    assert ".dev.vars" in seen["graphiql"]["withoutKey"]


def test_with_a_wrong_key_graphiql_shows_the_refusal(seen: dict[str, Any]) -> None:
    answer = json.loads(seen["graphiql"]["wrongKey"])
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert seen["problems"]["refused"]
    assert all("401" in problem for problem in seen["problems"]["refused"])


@pytest.mark.parametrize("shown", ["answer", "afterReload"])
def test_with_the_key_the_first_query_shows_data(seen: dict[str, Any], shown: str) -> None:
    data = json.loads(seen["graphiql"][shown])["data"]
    assert data["stats"]["total"] >= 1
    found = {node["instanceId"]: node["workflow"]["name"] for node in data["instances"]["nodes"]}
    assert found["shown-1"] == "seen-in-the-browser"


def test_a_subscription_shows_an_event_when_it_happens(seen: dict[str, Any]) -> None:
    [event] = json.loads(seen["graphiql"]["live"])["data"]["workflowEvents"]["events"]
    assert event["type"] == "INSTANCE_QUEUED"


def test_the_schema_can_be_explored(seen: dict[str, Any]) -> None:
    assert "Query" in seen["graphiql"]["documented"]
    assert "Mutation" in seen["graphiql"]["documented"]
