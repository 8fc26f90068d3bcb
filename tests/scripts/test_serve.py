"""Tests of `make serve` on a small Worker: it starts fast, keeps data, and stops on signals."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from scripts import local_server
from scripts.local_server import LocalServer, ServerError
from scripts.project import NODE_MODULES, VENV_BIN, tool_environment
from tests.scripts.callers import free_port, refused_until_ready
from tests.scripts.classes import CLASSES
from tests.scripts.processes import wait_until_gone
from tests.support.timing import assert_within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READS_TABLES = (
    """
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint

async def on_fetch(request, env, ctx):
    try:
        row = await env.DB.prepare("SELECT count(*) AS n FROM one").first()
    except Exception:
        # This is much more than fits in a pipe.
        for _ in range(1_000):
            print("no table " * 100)
        raise
    return await env.BESIDE.fetch("https://beside/")


"""
    + CLASSES
)
BESIDE = {
    "wrangler.jsonc": """{
        "name": "beside",
        "main": "worker.js",
        "compatibility_date": "2026-11-01",
        "d1_databases": [{ "binding": "NOTES", "database_name": "notes" }]
    }""",
    "worker.js": """export default {
        async fetch(request, env) {
            return Response.json(await env.NOTES.prepare("SELECT count(*) FROM notes").first());
        },
    };""",
    "migrations/0001_notes.sql": "CREATE TABLE notes (at TEXT);",
}


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Return a server that is not started yet, so that a test can change the project first."""
    monkeypatch.setattr(local_server, "ROOT", project)
    stage(project)
    prepared = LocalServer(state=project / "state")
    yield prepared
    prepared.stop()


def stage(project: Path) -> None:
    command = [str(VENV_BIN / "python"), "-m", "scripts.stage"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        text: str = response.read().decode()
        return text


def test_starts_within_eight_seconds(server: LocalServer) -> None:
    assert_within(8, server.restart)
    assert get(f"{server.url}/anything") == f"GET first {server.key}"


def test_serves_static_files_before_the_worker(server: LocalServer, project: Path) -> None:
    (project / "public").mkdir()
    (project / "public" / "index.html").write_text("<h1>Landing</h1>")
    stage(project)
    server.start()
    assert get(f"{server.url}/") == "<h1>Landing</h1>"
    assert "React" in get(f"{server.url}/graphiql/react.production.min.js")
    assert get(f"{server.url}/graphql").startswith("GET first")


def test_extra_variables_override_dev_vars(project: Path, server: LocalServer) -> None:
    server.vars["FLOWFLARE_API_KEY"] = "from:the:command:line"
    server.start()
    assert get(f"{server.url}/x") == "GET first from:the:command:line"


def test_cron_handlers_run_on_request(server: LocalServer) -> None:
    server.start()
    get(f"{server.url}/cdn-cgi/local/scheduled?cron=*/5+*+*+*+*")
    server.wait_for_log("cron: */5 * * * *")


def test_data_survives_a_restart_on_the_same_port(server: LocalServer) -> None:
    server.start()
    url = server.url
    server.query("INSERT INTO one (a) VALUES (?)", [7])
    server.restart()
    assert server.url == url
    assert server.query("SELECT a FROM one") == [{"a": 7}]


def test_pending_migrations_are_applied_once(server: LocalServer, project: Path) -> None:
    server.start()
    assert "Applied migration 0001_one.sql" in server.log
    (project / "migrations" / "0002_two.sql").write_text("CREATE TABLE two (b);")
    server.restart()
    assert server.log.count("Applied migration 0001_one.sql") == 1
    assert server.log.count("Applied migration 0002_two.sql") == 1
    ledger = server.query("SELECT id, name FROM d1_migrations ORDER BY id")
    assert [row["name"] for row in ledger] == ["0001_one.sql", "0002_two.sql"]


def test_a_failing_migration_stops_the_start_and_leaves_no_trace(
    server: LocalServer, project: Path
) -> None:
    migration = project / "migrations" / "0002_two.sql"
    migration.write_text("CREATE TABLE two (b); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(ServerError, match=r"Migration 0002_two\.sql failed: .*nowhere"):
        server.start()
    migration.write_text("CREATE TABLE two (b);")
    server.start()
    assert server.query("SELECT count(*) AS n FROM two") == [{"n": 0}]


def start_without_waiting(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that starts the server, on the state of these tests, until it ends."""
    return subprocess.run(
        command,
        cwd=project,
        env=tool_environment() | {"FLOWFLARE_STATE": str(project / "state"), "PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_database_of_another_version_is_refused_before_anything_is_applied(
    server: LocalServer, project: Path
) -> None:
    server.start()
    server.stop()
    (project / "migrations" / "0001_one.sql").rename(project / "migrations" / "0001_new.sql")
    message = (
        f"Error: The database in {project / 'state'} was made by another version of the project (it"
        " has the migration 0001_one.sql, for which there is no file); delete that folder, or set"
        " FLOWFLARE_STATE to another one, to start with an empty database.\n"
    )
    node, python = str(VENV_BIN / "node"), str(VENV_BIN / "python")
    for command in ((node, "scripts/serve.mjs"), (python, "-m", "scripts.dev")):
        done = start_without_waiting(project, *command)
        assert (done.returncode, done.stderr) == (1, message)
    (project / "migrations" / "0001_new.sql").rename(project / "migrations" / "0001_one.sql")
    server.start()
    ledger = server.query("SELECT name FROM d1_migrations")
    assert [row["name"] for row in ledger] == ["0001_one.sql"]


def test_connections_are_refused_until_all_workers_are_migrated(
    server: LocalServer, project: Path
) -> None:
    (project / "worker.py").write_text(READS_TABLES)
    config = project / "wrangler.jsonc"
    bound = '"services": [{ "binding": "BESIDE", "service": "beside" }], "d1_databases": ['
    config.write_text(config.read_text().replace('"d1_databases": [', bound))
    stage(project)
    beside = project / "beside"
    for name, text in BESIDE.items():
        (beside / name).parent.mkdir(parents=True, exist_ok=True)
        (beside / name).write_text(text)

    server.beside = (beside,)
    server.port = free_port()
    with refused_until_ready(f"http://127.0.0.1:{server.port}/x"):
        server.start()
    assert "Applied migration 0001_one.sql" in server.log
    assert "Applied migration 0001_notes.sql" in server.log


def migrate_without_runtime(project: Path) -> int:
    """Run scripts/migrate.mjs with a workerd that fails at once; returns the exit status."""
    command = [str(VENV_BIN / "node"), "scripts/migrate.mjs", "--state", "state"]
    environment = tool_environment() | {"MINIFLARE_WORKERD_PATH": "false"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, check=False)
    return done.returncode


def test_no_runtime_is_started_to_find_that_nothing_is_pending(
    server: LocalServer, project: Path
) -> None:
    assert migrate_without_runtime(project) != 0
    server.start()
    assert migrate_without_runtime(project) == 0
    server.crash()
    assert migrate_without_runtime(project) == 0
    (project / "migrations" / "0002_two.sql").write_text("CREATE TABLE two (b);")
    assert migrate_without_runtime(project) != 0


def test_no_runtime_is_started_where_there_are_no_migrations(project: Path) -> None:
    shutil.rmtree(project / "migrations")
    assert migrate_without_runtime(project) == 0


def test_wrangler_sees_the_same_ledger(server: LocalServer, project: Path) -> None:
    server.start()
    server.stop()
    wrangler = NODE_MODULES / "wrangler" / "bin" / "wrangler.js"
    listing = ("d1", "migrations", "list", "DB", "--local", "--persist-to", server.state)
    done = subprocess.run(
        [VENV_BIN / "node", wrangler, *listing],
        cwd=project,
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "No migrations to apply" in done.stdout


def test_state_is_stored_in_the_given_folder(server: LocalServer, project: Path) -> None:
    server.start()
    server.query("INSERT INTO one (a) VALUES (1)")
    server.stop()
    files = list((project / "state" / "v3" / "d1").rglob("*.sqlite"))
    tables = set()
    for file in files:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            tables |= {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    assert "one" in tables


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_stops_everything(server: LocalServer, number: signal.Signals) -> None:
    server.start()
    process = server._process  # the test sends signals to the process itself
    assert process is not None
    group = process.pid
    process.send_signal(number)
    assert process.wait(10) == 0
    wait_until_gone(group)


@pytest.mark.parametrize("port", ["x", "70000", "-1"])
def test_an_invalid_port_is_refused(project: Path, port: str) -> None:
    done = subprocess.run(
        [VENV_BIN / "node", "scripts/serve.mjs"],
        cwd=project,
        env=tool_environment() | {"PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PORT must be a port number" in done.stderr


def test_a_taken_port_is_reported_once(project: Path, server: LocalServer) -> None:
    server.start()
    port = server.url.rsplit(":", 1)[1]
    command = [str(VENV_BIN / "node"), "scripts/serve.mjs", "--port", port, "--state", "other"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"Error: Port {port} is taken; choose another with PORT=…\n"


def test_a_worker_that_fails_is_reported_with_its_log(server: LocalServer, project: Path) -> None:
    (project / "worker.py").write_text("raise RuntimeError('no start')\n")
    stage(project)
    with pytest.raises(ServerError, match="no start"):
        server.start()
