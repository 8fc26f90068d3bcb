"""The Worker starts quickly and with all its migrations."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from scripts.project import ROOT
from tests.support.timing import assert_within

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.conftest import StartServer


def test_healthz_answers(server: LocalServer) -> None:
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=30) as response:
        assert response.status == 200


def test_healthz_is_unavailable_without_the_tables(rough: LocalServer) -> None:
    rough.query("ALTER TABLE workflows RENAME TO workflows_away")
    try:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{rough.url}/healthz", timeout=30)
    finally:
        rough.query("ALTER TABLE workflows_away RENAME TO workflows")
    with caught.value as response:
        assert response.code == 503
        assert json.load(response) == {"status": "unavailable"}


def test_every_migration_is_in_the_ledger(server: LocalServer) -> None:
    names = [row["name"] for row in server.query("SELECT name FROM d1_migrations ORDER BY id")]
    assert names == sorted(path.name for path in (ROOT / "migrations").glob("*.sql"))


def test_a_server_is_ready_within_the_promised_time(start_server: StartServer) -> None:
    assert_within(8, start_server)
