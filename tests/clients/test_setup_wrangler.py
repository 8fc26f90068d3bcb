"""The real wrangler: it takes the files that setup writes, and prints what setup reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import chdir
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from flowflare.cli.app import app
from scripts.project import NODE_MODULES, ROOT, VENV_BIN, tool_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "FLOWFLARE_API_KEY"
WORKER = """\
export class WorkflowTracker {}
export class WorkflowFollower {}
export class SendInvoice {}
export default { fetch() { return new Response("hello"); } };
"""
TOML = """\
name = "shop" # ours
main = "worker.js"
compatibility_date = "2026-11-01"

[env.staging]
vars = { A = "1" }
"""


class Cloudflare(BaseHTTPRequestHandler):
    """The few answers of Cloudflare's API that setup's calls of wrangler need."""

    protocol_version = "HTTP/1.1"
    server: Api

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/d1/database"):
            self.answer(self.server.databases)
        elif path.endswith("/secrets"):
            found = [{"name": name, "type": "secret_text"} for name in self.server.secrets]
            self.answer(found, code=None if found else 10007)
        else:
            self.answer(None, code=7003)

    def do_POST(self) -> None:
        body = self.body()
        if self.path.endswith("/d1/database"):
            made = {"uuid": "99999999-2222-3333-4444-555555555555", "name": body["name"]}
            self.server.databases.append(made)
            self.answer({**made, "created_in_region": "WEUR"})
        elif self.path.endswith("/query"):
            self.server.statements.append(body["sql"])
            self.answer([{"results": [], "success": True, "meta": {"duration": 1}}])
        else:
            self.answer(None, code=7003)

    def do_PUT(self) -> None:
        body = self.body()
        self.server.secrets[body["name"]] = body["text"]
        self.answer({"name": body["name"], "type": "secret_text"})

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, result: Any, *, code: int | None = None) -> None:
        errors = [] if code is None else [{"code": code, "message": "This does not exist."}]
        value = {"success": not errors, "errors": errors, "messages": [], "result": result}
        content = json.dumps(value).encode()
        self.send_response(404 if errors else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Api(ThreadingHTTPServer):
    """Cloudflare's API for one account, on this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Cloudflare)
        self.databases: list[dict[str, str]] = []
        self.secrets: dict[str, str] = {}
        self.statements: list[str] = []


@pytest.fixture
def cloudflare() -> Iterator[Api]:
    with Api() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def project(
    tmp_path: Path, cloudflare: Api, prepared: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A Worker with the real wrangler, whose account is the server."""
    (tmp_path / "worker.js").write_text(WORKER)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    for name, value in tool_environment().items():
        monkeypatch.setenv(name, value)
    host, port = cloudflare.server_address[:2]
    monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", f"http://{host!s}:{port}/client/v4")
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "token")
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "account")
    return tmp_path


def setup(folder: Path, *arguments: str) -> str:
    with chdir(folder):
        result = CliRunner().invoke(app, ["setup", *arguments], prog_name="flowflare")
    assert result.exit_code == 0, result.output
    return result.stdout


def deployable(folder: Path, *arguments: str) -> str:
    """The output of `wrangler deploy --dry-run`, which lists the bindings."""
    wrangler = NODE_MODULES / "wrangler" / "bin" / "wrangler.js"
    done = subprocess.run(
        [VENV_BIN / "node", wrangler, "deploy", "--dry-run", *arguments],
        cwd=folder,
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr, done.stderr
    return done.stdout


def test_a_service_is_set_up_by_the_real_wrangler_and_can_be_deployed(
    project: Path, cloudflare: Api
) -> None:
    file = project / "wrangler.jsonc"
    file.write_text(
        '{\n  "name": "flowflare", // ours\n  "main": "worker.js",\n'
        '  "compatibility_date": "2026-11-01",\n}\n'
    )
    arguments = ("--role", "service", "--yes", "--key-file", "key")
    printed = setup(project, *arguments, "--workflow", "send-invoice=SendInvoice")
    assert "Created the D1 database flowflare (99999999-" in printed
    assert "Applied the migrations to flowflare (--remote)." in printed
    assert any("CREATE TABLE" in statement for statement in cloudflare.statements)
    assert cloudflare.secrets == {KEY: (project / "key").read_text().strip()}

    shown = deployable(project)
    for binding in (
        "env.DB (flowflare)",
        "env.TRACKER (WorkflowTracker)",
        "env.FOLLOWER (WorkflowFollower)",
        "env.FOLLOWER_SHARDS (1)",
        "env.SEND_INVOICE",
    ):
        assert binding in shown


def test_a_client_s_environments_can_be_deployed(project: Path) -> None:
    (project / "wrangler.toml").write_text(TOML)
    setup(project, "--role", "client", "--yes")
    setup(project, "--role", "client", "--yes", "--env", "staging")
    for environment in ("", "staging"):
        shown = deployable(project, f"--env={environment}")
        assert "env.FLOWFLARE (flowflare#FlowflareService)" in shown
