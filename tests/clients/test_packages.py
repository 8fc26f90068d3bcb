"""The packages as users get them: built, installed into an empty folder, checked and used.

The programs are those of the READMEs and of docs/clients.md, word for word.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from textwrap import indent
from typing import TYPE_CHECKING

import pytest

from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.clients.packages import (
    PYTHON_CLIENT,
    TYPESCRIPT_CLIENT,
    NodeProject,
    PythonProject,
    run,
    succeed,
)
from tests.clients.runs import start, until
from tests.clients.wrangler_account import Account
from tests.support.markdown import Fence, fences, section
from tests.worker.api import Api

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
# A Worker that knows nothing of Flowflare.
PLAIN_CONFIG = """{
  "name": "billing",
  "main": "index.mjs",
  "compatibility_date": "2026-11-01",
  "workflows": [{ "binding": "INVOICES", "name": "send-invoice", "class_name": "SendInvoice" }]
}
"""
PLAIN_WORKER = """
import { WorkflowEntrypoint } from "cloudflare:workers";

export class SendInvoice extends WorkflowEntrypoint {
  async run(event, step) {
    const total = await step.do("add tax", async () => event.payload.amount * 1.25);
    await step.sleep("wait a moment", 100);
    const retries = { limit: 2, delay: 20, backoff: "constant" };
    await step.do("send mail", { retries }, async ({ attempt }) => {
      if (attempt < 2) throw new Error("no connection");
    });
    return { total };
  }
}

export default {
  async fetch(request, env) {
    const id = new URL(request.url).pathname.slice(1);
    await env.INVOICES.create({ id, params: { amount: 20 } });
    return new Response("started");
  },
};
"""
# Parts of the service's configuration, and their form before it followed.
BEFORE_FOLLOWING = (
    (
        '"class_name": "WorkflowTracker" },\n'
        '      { "name": "FOLLOWER", "class_name": "WorkflowFollower" }',
        '"class_name": "WorkflowTracker" }',
    ),
    ('"WorkflowTracker", "WorkflowFollower"', '"WorkflowTracker"'),
    ('"FOLLOWER_SHARDS": 1', '"OTHER": ""'),
)
START = """mutation ($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename }
}"""
STEP = """mutation ($input: UpdateWorkflowStepInput!) {
  updateWorkflowStep(input: $input) { __typename }
}"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> PythonProject:
    """A project that has the wheel."""
    return PythonProject(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> NodeProject:
    """A project that has the tarball."""
    return NodeProject(tmp_path_factory.mktemp("node"))


def blocks(path: Path, title: str, language: str) -> list[str]:
    """The code blocks of a section."""
    found: list[Fence] = fences(section(path.read_text(encoding="utf-8"), title))
    return [fence.text for fence in found if fence.language == language]


def quick_starts() -> tuple[str, str, str]:
    """The Python README's programs: asynchronous, not asynchronous, and a Worker."""
    one, two, worker = blocks(PYTHON_CLIENT / "README.md", "Query and control", "python")
    return one, two, worker


def service(server: LocalServer) -> dict[str, str]:
    """The variables that the programs read."""
    return {"FLOWFLARE_URL": server.url, "FLOWFLARE_API_KEY": server.key}


def test_the_wheel_holds_the_package_and_nothing_else(python: PythonProject) -> None:
    with zipfile.ZipFile(python.wheel) as wheel:
        names = set(wheel.namelist())
    folders = {name.split("/")[0] for name in names}
    assert folders == {"flowflare", f"flowflare-{python.wheel.name.split('-')[1]}.dist-info"}
    assert {"flowflare/py.typed", "flowflare/client/generated/client.py"} <= names
    assert not [name for name in names if "__pycache__" in name]


def test_the_readme_s_programs_are_typed(python: PythonProject) -> None:
    for program in quick_starts()[:2]:
        done = python.check(program)
        assert done.returncode == 0, done.stdout


def test_the_documented_lines_are_typed(python: PythonProject) -> None:
    lines = blocks(ROOT / "docs" / "clients.md", "Python", "python")
    assert len(lines) == 2
    names = sorted(set(re.findall(r"\b[A-Z]\w+", "\n".join(lines))))
    done = python.check(
        f"from datetime import timedelta\nfrom flowflare.client import {', '.join(names)}\n"
        "async def main(flowflare: FlowflareClient, url: str, key: str) -> None:\n"
        + indent("\n".join(lines), "    ")
    )
    assert done.returncode == 0, done.stdout


def test_the_types_find_mistakes(python: PythonProject) -> None:
    done = python.check(
        "from flowflare.client import FlowflareClient, NoSuchModel\n"
        "async def main(client: FlowflareClient) -> None:\n"
        "    await client.get_instance(1)\n"
        "    await client.list_instances(filtre=None)\n"
        "    paused = await client.pause_workflow('a')\n"
        "    print(paused.instance)\n"
    )
    assert done.returncode == 1
    for code in ("attr-defined", "arg-type", "call-arg", "union-attr"):
        assert f"[{code}]" in done.stdout, done.stdout


def test_the_readme_s_quick_start_runs(python: PythonProject, server: LocalServer) -> None:
    program, again, _ = quick_starts()
    [shown] = blocks(PYTHON_CLIENT / "README.md", "Query and control", "text")
    expected = [line.rstrip() for line in shown.splitlines()]
    printed = [line.rstrip() for line in python.run(program, **service(server)).splitlines()]
    cut = expected.index("…")
    assert printed[:cut] == expected[:cut]
    [completed, result] = expected[cut + 1 :]
    output, _, _ = result.rpartition(" ")
    assert printed[-2] == completed
    assert printed[-1].startswith(output)
    assert "order-processing" in python.run(again, **service(server))


def test_the_command_is_installed(python: PythonProject, server: LocalServer) -> None:
    command = python.python.with_name("flowflare")
    environment = python.environment(**service(server))
    stats = succeed([command, "stats", "--json"], python.folder, env=environment)
    assert json.loads(stats)["total"] >= 0
    version = python.wheel.name.split("-")[1]
    printed = succeed([command, "--version"], python.folder, env=environment)
    assert printed == f"flowflare {version}\n"
    [session] = blocks(PYTHON_CLIENT / "README.md", "Command line", "sh")
    printed = succeed(["bash", "-e", "-c", session], python.folder, env=environment)
    assert "INSTANCE_COMPLETED" in printed
    assert "order-1004  COMPLETED" in printed
    environment["FLOWFLARE_API_KEY"] = "not a key"
    assert run([command, "stats"], python.folder, env=environment).returncode != 0


def test_the_readme_s_workers_run_with_the_wheel(
    python: PythonProject, client_modules: Path, tmp_path: Path
) -> None:
    # As pywrangler would have vendored it; what lies beside `main` comes before the source.
    modules = tmp_path / "python_modules"
    shutil.copytree(client_modules, modules)
    with zipfile.ZipFile(python.wheel) as wheel:
        wheel.extractall(modules)
    folders = {"reports": "Query and control", "billing": "Track a workflow"}
    for name, title in folders.items():
        (tmp_path / name).mkdir()
        [config] = blocks(PYTHON_CLIENT / "README.md", title, "jsonc")
        worker = blocks(PYTHON_CLIENT / "README.md", title, "python")[-1]
        (tmp_path / name / "wrangler.jsonc").write_text(config)
        (tmp_path / name / "worker.py").write_text(worker)
        (tmp_path / name / "python_modules").symlink_to(modules)
    beside = [tmp_path / name for name in folders]
    with LocalServer(beside=beside) as server, Api(server) as api:
        instance = until(api, start(api, "send-invoice", amount=20))
        assert instance["output"] == {"total": 25, "mail": "mail-2"}
        assert server.fetch("reports", "/").text == "1 instances", server.log


def test_a_plain_workflow_is_tracked_once_the_command_has_bound_it(
    prepared: None, python: PythonProject, tmp_path: Path
) -> None:
    theirs, service = tmp_path / "billing", tmp_path / "service"
    for folder in (theirs, service):
        folder.mkdir()
    (theirs / "wrangler.jsonc").write_text(PLAIN_CONFIG)
    (theirs / "index.mjs").write_text(PLAIN_WORKER)
    # The service's configuration as it was before it followed.
    config = (ROOT / "wrangler.jsonc").read_text(encoding="utf-8")
    for part, before in BEFORE_FOLLOWING:
        assert part in config
        config = config.replace(part, before)
    (service / "wrangler.jsonc").write_text(config)
    Account.beside(service)
    command = python.python.with_name("flowflare")
    setup = ("setup", "--role", "service", "--yes", "--no-key")
    bind = (*setup, "--workflow", "send-invoice=billing/SendInvoice")
    succeed([command, *bind], service, env=python.environment())

    with LocalServer(config=service, beside=[theirs]) as server, Api(server) as api:
        environment = python.environment(FLOWFLARE_URL=server.url, FLOWFLARE_API_KEY=server.key)

        def flowflare(*arguments: str) -> str:
            return succeed([command, *arguments], python.folder, env=environment)

        instance_id = start(api, "send-invoice", amount=20)
        # The Worker itself starts another one.
        assert server.fetch("billing", "/1001", method="POST").text == "started"
        flowflare("follow", "send-invoice", "1001", "--ref", "invoice", "1001")
        for followed in (instance_id, "1001"):
            instance = until(api, followed)
            assert instance["output"] == {"total": 25}
            steps = [(step["name"], step["kind"], step["status"]) for step in instance["steps"]]
            assert steps == [
                ("add tax", "TASK", "COMPLETED"),
                ("wait a moment", "SLEEP", "COMPLETED"),
                ("send mail", "TASK", "COMPLETED"),
            ]
            assert [len(step["attempts"]) for step in instance["steps"]] == [1, 0, 2]
            assert "following its history in the engine" in flowflare("get", followed)
        reference = flowflare("get", "1001", "--json")
        assert json.loads(reference)["reference"]["refId"] == "1001"


def documented() -> str:
    """The program in docs/clients.md."""
    [program] = blocks(ROOT / "docs" / "clients.md", "TypeScript", "ts")
    return program


def test_the_tarball_holds_the_package_and_nothing_else(node: NodeProject) -> None:
    package = node.folder / "node_modules" / "@flowflare" / "client"
    names = {path.name for path in package.iterdir()}
    assert names - {"src"} == {"dist", "package.json", "README.md", "LICENSE"}
    installed = {path.name for path in (node.folder / "node_modules").iterdir()}
    # graphql is what graphql-ws asks for beside itself, undici-types what @types/node does.
    assert {name for name in installed if name[0] != "."} <= {
        *("@flowflare", "@types", "graphql", "graphql-ws", "undici-types")
    }


def test_the_documented_program_is_typed_and_runs(node: NodeProject, server: LocalServer) -> None:
    done = node.check(documented())
    assert done.returncode == 0, done.stdout
    with Api(server) as api:
        api.data(
            START, input={"workflow": "packaged", "instanceId": "invoice-1001", "trackOnly": True}
        )
        step = {"instanceId": "invoice-1001", "name": "send mail", "status": "RUNNING"}
        api.data(STEP, input=step)
    printed = node.run(documented(), **service(server))
    assert printed.startswith("send mail ")
    assert "INSTANCE_QUEUED" in printed


def test_the_readme_s_worker_runs_with_the_package(prepared: None, node: NodeProject) -> None:
    readme = TYPESCRIPT_CLIENT / "README.md"
    [config] = blocks(readme, "Quick start", "jsonc")
    [program] = blocks(readme, "Quick start", "ts")
    worker = node.worker(program, config)
    with LocalServer(beside=[worker]) as server, Api(server) as api:
        started = server.fetch("invoices", "/1001", method="POST", body='{"amount": 20}').json()
        ended = api.until(
            "query ($id: String!) { instance(instanceId: $id) { status output } }",
            lambda data: data["instance"]["status"] == "COMPLETED",
            id=started["workflowId"],
        )
    assert ended["instance"]["output"]["total"] == 25


def test_the_documents_find_mistakes(node: NodeProject) -> None:
    done = node.check(
        'import { WorkflowClient } from "@flowflare/client";\n'
        'import { GetInstanceDocument } from "@flowflare/client/documents";\n'
        'const client = new WorkflowClient({ serviceUrl: "https://example.com" });\n'
        "const found = await client.query(GetInstanceDocument, { instanceID: 1 });\n"
        "console.log(found.nothing);\n"
    )
    assert done.returncode != 0
    assert "instanceID" in done.stdout
    assert "nothing" in done.stdout
