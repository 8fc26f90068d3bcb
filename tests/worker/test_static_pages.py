"""The static pages have a strict policy, and GraphiQL's examples fit the schema."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from graphql import parse, validate

from schema.build import core
from scripts import pages
from scripts.project import ROOT, VENV_BIN

if TYPE_CHECKING:
    from scripts.local_server import LocalServer

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
DOCUMENTATION = [pages.address(source) for source in pages.sources(ROOT)]


@pytest.mark.parametrize("path", ["/", "/graphql", *DOCUMENTATION])
def test_a_page_is_served_without_a_key_and_with_a_policy(server: LocalServer, path: str) -> None:
    response = httpx.get(server.url + path, headers=HTML)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert ("script-src 'self'" in policy) == (path == "/graphql")
    assert "http" not in policy
    assert policy.count("default-src") == 1
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    [
        *("graphiql.min.js", "graphiql.min.css", "react.production.min.js"),
        *("react-dom.production.min.js", "examples.js", "page.js", "page.css"),
    ],
)
def test_graphiql_finds_its_files(server: LocalServer, name: str) -> None:
    page = httpx.get(f"{server.url}/graphql", headers=HTML).text
    assert f'"/graphiql/{name}"' in page
    assert httpx.get(f"{server.url}/graphiql/{name}").status_code == 200


def test_graphiqls_examples_fit_the_schema() -> None:
    script = (ROOT / "public" / "graphiql" / "examples.js").read_text(encoding="utf-8")
    done = subprocess.run(
        [VENV_BIN / "node", "-e", f"{script};console.log(JSON.stringify(EXAMPLES))"],
        capture_output=True,
        text=True,
        check=True,
    )
    examples = json.loads(done.stdout)
    assert len(examples) == 3
    for example in examples:
        assert validate(core, parse(example["query"])) == []


def test_the_first_example_runs(server: LocalServer) -> None:
    script = (ROOT / "public" / "graphiql" / "examples.js").read_text(encoding="utf-8")
    query = script.split("query: `")[1].split("`")[0]
    response = httpx.post(
        f"{server.url}/graphql",
        json={"query": query},
        headers={"authorization": f"Bearer {server.key}"},
    )
    assert "errors" not in response.json()
