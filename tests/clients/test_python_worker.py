"""A Python Worker that imports the typed client, beside the service and bound to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.local_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).with_name("python_worker")
NAME = "client-in-python"


@pytest.fixture(scope="module")
def beside(client_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """The service with the Worker beside it."""
    folder = tmp_path_factory.mktemp("python-worker") / "worker"
    shutil.copytree(WORKER, folder)
    # Where pywrangler would have put them.
    (folder / "python_modules").symlink_to(client_modules)
    with LocalServer(beside=[folder]) as running:
        yield running


def test_it_starts_and_reads_over_the_binding(beside: LocalServer) -> None:
    reply = beside.fetch(NAME, "/start")
    assert reply.status == 200, f"{reply.text}\n{beside.log}"
    instance = reply.json()
    assert instance["status"] == "RUNNING"
    assert instance["input"] == {"items": ["bøk"]}
    assert instance["reference"]["refId"] == "ä-1"
    assert instance["startedAt"] is not None


def test_an_expected_failure_is_a_member_of_the_result(beside: LocalServer) -> None:
    assert beside.fetch(NAME, "/refused").json() == ["input", "workflow"]


def test_errors_in_a_worker_have_the_usual_classes(beside: LocalServer) -> None:
    beside.fetch(NAME, "/start")
    codes = beside.fetch(NAME, "/wrong").json()
    both = ["from-python", "twin"]
    assert codes == ["INVALID_ARGUMENT", "INVALID_DOCUMENT", *both, *both]


def test_it_follows_the_log_over_the_binding(beside: LocalServer) -> None:
    beside.fetch(NAME, "/start")
    reply = beside.fetch(NAME, "/follow")
    assert reply.status == 200, f"{reply.text}\n{beside.log}"
    assert reply.json() == ["INSTANCE_QUEUED", "INSTANCE_STARTED"]
