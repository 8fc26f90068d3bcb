"""The quick start of tracking in Python, word for word as its README has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.clients.runs import start, until
from tests.support.markdown import fences, section
from tests.worker.api import Api

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "clients" / "python" / "README.md"


def test_the_readmes_workflow_is_tracked(prepared: None, tmp_path: Path) -> None:
    shown = fences(section(README.read_text(encoding="utf-8"), "Track a workflow"))
    [worker] = [fence.text for fence in shown if fence.language == "python"]
    [config] = [fence.text for fence in shown if fence.language == "jsonc"]
    (tmp_path / "worker.py").write_text(worker)
    (tmp_path / "wrangler.jsonc").write_text(config)
    with LocalServer(beside=[tmp_path]) as server, Api(server) as api:
        instance = until(api, start(api, "send-invoice", amount=20))
    assert instance["output"] == {"total": 25, "mail": "mail-2"}
    assert [(step["name"], step["status"], step["attemptCount"]) for step in instance["steps"]] == [
        ("add tax", "COMPLETED", 1),
        ("collect", "COMPLETED", 0),
        ("send mail", "COMPLETED", 2),
    ]
    first = instance["steps"][2]["attempts"][0]
    assert (first["error"]["name"], first["error"]["message"]) == ("MailServerDown", "no answer")
