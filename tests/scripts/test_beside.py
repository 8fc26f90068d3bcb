"""Tests of Workers beside the service, in TypeScript and Python, bound in both directions."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from scripts import local_server
from scripts.local_server import LocalServer, ServerError
from scripts.project import ROOT, VENV_BIN
from tests.scripts.classes import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVICE = (
    """
import json
from js import JSON
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint

async def on_fetch(request, env, ctx):
    path = request.url.split("/", 3)[3]
    if path.startswith("status/"):
        _, name, instance_id = path.split("/")
        instance = await getattr(env, name).get(instance_id)
        status = await instance.status()
        return Response(json.dumps([status.status, status.output]))
    if path.startswith("start/"):
        _, name, instance_id = path.split("/")
        options = {"id": instance_id, "params": {"word": "hello"}}
        await getattr(env, name).create(JSON.parse(json.dumps(options)))
        return Response("started")
    if path == "workflows":
        return Response(json.dumps(env.WORKFLOWS.to_py()))
    return Response(f"the service has {path}")


"""
    + CLASSES
)
TYPESCRIPT = """
import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { loud } from "./loud.js";
interface Env { FLOWFLARE: Fetcher; GREETING: string }
export class Greeting extends WorkflowEntrypoint<Env, { word: string }> {
  async run(event: WorkflowEvent<{ word: string }>, step: WorkflowStep): Promise<string> {
    return step.do("ask", async () => {
      const answer = await this.env.FLOWFLARE.fetch(`https://flowflare/${event.payload.word}`);
      return loud(await answer.text());
    });
  }
}
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { method, url } = request;
    return new Response(`${method} ${url} ${env.GREETING} ${await request.text()}`);
  },
  async scheduled(controller: ScheduledController): Promise<void> {
    if (controller.cron === "bad") throw new Error("no such time");
    console.log(`typescript cron: ${controller.cron}`);
  },
};
"""
PYTHON = """
from helpers.words import loud
from workers import Response, WorkflowEntrypoint
import flowflare

async def on_fetch(request, env, ctx):
    rows = await env.NOTES.prepare("SELECT count(*) AS n FROM notes").first()
    return Response(f"{flowflare.__name__} {rows.n}")

async def on_scheduled(controller, env, ctx):
    await env.NOTES.prepare("INSERT INTO notes VALUES (?)").bind(controller.cron).run()

class Shout(WorkflowEntrypoint):
    async def run(self, event, step):
        async def ask():
            answer = await self.env.FLOWFLARE.fetch(f"https://flowflare/{event['payload']['word']}")
            return loud(await answer.text())
        return await step.do("ask")(ask)()
"""


def worker(folder: Path, files: dict[str, str], **config: Any) -> Path:
    """Write a Worker that is bound to the service into a folder."""
    settings = {
        "name": folder.name,
        "compatibility_date": "2026-11-01",
        "services": [{"binding": "FLOWFLARE", "service": "flowflare"}],
        **config,
    }
    for name, text in {"wrangler.jsonc": json.dumps(settings), **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def typescript(tmp_path: Path) -> Path:
    return worker(
        tmp_path / "in-typescript",
        {
            "src/index.ts": TYPESCRIPT,
            "src/loud.ts": "export const loud = (text: string) => text.toUpperCase();",
            ".dev.vars": "GREETING=good-day",
        },
        main="src/index.ts",
        workflows=[{"binding": "GREETING_FLOW", "name": "greeting", "class_name": "Greeting"}],
    )


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return worker(
        tmp_path / "in-python",
        {
            "worker.py": PYTHON,
            "helpers/__init__.py": "",
            "helpers/words.py": "def loud(text):\n    return text.upper()\n",
            "migrations/0001_notes.sql": "CREATE TABLE notes (at TEXT);",
        },
        main="worker.py",
        compatibility_flags=["python_workers", "disable_python_no_global_handlers"],
        d1_databases=[{"binding": "NOTES", "database_name": "notes"}],
        workflows=[{"binding": "SHOUT", "name": "shout", "class_name": "Shout"}],
    )


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Return a server that is not started yet, so that a test can set what runs beside it."""
    monkeypatch.setattr(local_server, "ROOT", project)
    (project / "worker.py").write_text(SERVICE)
    command = [str(VENV_BIN / "python"), "-m", "scripts.stage"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    prepared = LocalServer(state=project / "state")
    yield prepared
    prepared.stop()


def outcome(server: LocalServer, binding: str) -> list[str]:
    """Let the service start an instance; returns its final status and output."""
    assert server.fetch("flowflare", f"/start/{binding}/one").text == "started"
    deadline = time.monotonic() + 30
    while True:
        status: list[str] = server.fetch("flowflare", f"/status/{binding}/one").json()
        if status[0] in ("complete", "errored"):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def test_workers_beside_run_their_workflows_for_the_service(
    server: LocalServer, typescript: Path, python: Path
) -> None:
    server.beside = (typescript, python)
    server.start()
    assert server.fetch("flowflare", "/workflows").json() == {
        "order-processing": "ORDER_PROCESSING",
        "greeting": "GREETING_FLOW",
        "shout": "SHOUT",
    }
    for binding in ("GREETING_FLOW", "SHOUT"):
        assert outcome(server, binding) == ["complete", "THE SERVICE HAS HELLO"]

    reply = server.fetch("in-typescript", "/a?b=1", method="POST", body="text")
    assert (reply.status, reply.text) == (200, "POST http://in-typescript/a?b=1 good-day text")
    server.scheduled("in-typescript", "0 3 * * *")
    server.wait_for_log("typescript cron: 0 3 * * *")
    with pytest.raises(ServerError, match="in-typescript ended exception"):
        server.scheduled("in-typescript", "bad")

    assert "Applied migration 0001_notes.sql" in server.log
    assert server.fetch("in-python").text == "flowflare 0"
    server.scheduled("in-python")
    assert server.fetch("in-python").text == "flowflare 1"
    with pytest.raises(ServerError, match="nobody"):
        server.fetch("nobody")


def test_a_folder_without_a_configuration_is_refused(server: LocalServer, tmp_path: Path) -> None:
    server.beside = (tmp_path / "nothing",)
    with pytest.raises(ServerError, match=r"nothing has no wrangler\.jsonc"):
        server.start()


def test_an_unsupported_configuration_key_is_refused(server: LocalServer, tmp_path: Path) -> None:
    folder = worker(tmp_path / "queues", {"a.js": ""}, main="a.js", queues={}, kv_namespaces=[])
    server.beside = (folder,)
    with pytest.raises(ServerError, match="queues, kv_namespaces cannot run here"):
        server.start()


def test_a_binding_the_service_has_is_refused(server: LocalServer, tmp_path: Path) -> None:
    again = [{"binding": "ORDER_PROCESSING", "name": "orders", "class_name": "Orders"}]
    folder = worker(tmp_path / "again", {"a.js": ""}, main="a.js", workflows=again)
    server.beside = (folder,)
    with pytest.raises(ServerError, match="again: the service has a Workflow ORDER_PROCESSING"):
        server.start()


def test_a_build_error_is_reported(server: LocalServer, tmp_path: Path) -> None:
    server.beside = (worker(tmp_path / "typo", {"a.js": "export default {"}, main="a.js"),)
    with pytest.raises(ServerError, match=r"a\.js:1:16: ERROR: Expected identifier"):
        server.start()


COMPARE = """
import { readBindings, readConfig } from "./scripts/config.mjs";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
const both = FOLDERS.map((folder) => ({
  folder,
  ours: readBindings(readConfig(folder), {}),
  theirs: unstable_getMiniflareWorkerOptions(`${folder}/wrangler.jsonc`).workerOptions,
}));
console.log("RESULT " + JSON.stringify(both));
"""
COMPARED = (
    "bindings",
    "compatibilityDate",
    "compatibilityFlags",
    "cronTriggers",
    "d1Databases",
    "serviceBindings",
    "workflows",
)


def test_configurations_are_read_as_wrangler_reads_them(
    tmp_path: Path, run_node: Callable[[str], str]
) -> None:
    every_kind = worker(
        tmp_path / "every-kind",
        {"a.js": "export default {}"},
        main="a.js",
        compatibility_flags=["nodejs_compat"],
        vars={"TEXT": "a", "OBJECT": {"b": 1}},
        triggers={"crons": ["0 3 * * *"]},
        d1_databases=[{"binding": "DB", "database_name": "db", "database_id": "of-db"}],
        services=[
            {"binding": "FLOWFLARE", "service": "flowflare", "entrypoint": "FlowflareService"},
            {"binding": "OTHER", "service": "other"},
        ],
        workflows=[
            {"binding": "HERE", "name": "here", "class_name": "Here"},
            {"binding": "THERE", "name": "there", "class_name": "There", "script_name": "other"},
        ],
    )
    ours = [path.parent for path in sorted((ROOT / "examples").rglob("wrangler.jsonc"))]
    assert len(ours) == 6
    folders = json.dumps([str(folder) for folder in (every_kind, *ours)])
    output = run_node(COMPARE.replace("FOLDERS", folders))
    compared = json.loads(output.split("RESULT ", 1)[1])
    assert set(COMPARED) <= compared[0]["ours"].keys()
    for both in compared:
        for option in COMPARED:
            assert both["ours"].get(option) == both["theirs"].get(option), both["folder"]
