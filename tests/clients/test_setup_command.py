"""`flowflare setup` on real files of several shapes, with a stand-in for wrangler."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flowflare.cli.app import app
from flowflare.setup import jsonc
from scripts.project import ROOT
from tests.clients.command_line import COMMAND, CommandLine
from tests.clients.projects import (
    BINDING,
    CLIENT,
    IDENTIFIER,
    KEY,
    SERVICE,
    TOML,
    Project,
)
from tests.support.markdown import code, rows, section

# Configurations of services that had the tracker alone.
BEFORE_FOLLOWING = {
    "json": """{
  "name": "flowflare",
  "durable_objects": { "bindings": [{ "name": "TRACKER", "class_name": "WorkflowTracker" }] },
  "migrations": [
    { "tag": "own", "new_classes": ["Other"] },
    { "tag": "flowflare-v1", "new_sqlite_classes": ["WorkflowTracker"] }
  ],
  "vars": { "WORKFLOWS": { "a": "A" } },
  "env": { "staging": {} }
}
""",
    "toml": """name = "flowflare"

[[durable_objects.bindings]]
name = "TRACKER"
class_name = "WorkflowTracker"

[[migrations]]
tag = "own"
new_classes = ["Other"]

[[migrations]]
tag = "flowflare-v1"
new_sqlite_classes = ["WorkflowTracker"]

[vars.WORKFLOWS]
a = "A"

[env.staging]
""",
}


def kept(before: str, after: str) -> bool:
    """True if all characters are still there, in their order."""
    rest = iter(after)
    return all(character in rest for character in before)


def test_a_client_gets_its_binding_once(any_project: Project) -> None:
    before, old = any_project.text, any_project.config
    done = any_project(*CLIENT)
    assert done.code == 0, done.err
    assert kept(before, any_project.text)
    assert any_project.config["services"] == [*old.get("services", []), BINDING]
    assert {**any_project.config, "services": None} == {**old, "services": None}
    assert any_project.account.calls == []

    after = any_project.text
    again = any_project(*CLIENT)
    assert (again.code, any_project.text) == (0, after)
    assert again.out.startswith("Everything is set up already; nothing was changed.\n")


def test_a_service_gets_its_bindings_once(any_project: Project) -> None:
    before, old = any_project.text, any_project.config
    more = ("--workflow", "send-mail=mail/SendMail")
    done = any_project(*SERVICE, *more)
    assert done.code == 0, done.err
    account = any_project.account.read()
    [database] = account["databases"]
    assert database["name"] == "flowflare"
    config = any_project.config
    assert kept(before, any_project.text)
    [entry] = [e for e in config["d1_databases"] if e["binding"] == "DB"]
    assert (entry["database_name"], entry["database_id"]) == ("flowflare", database["uuid"])
    assert entry["migrations_dir"] == "migrations"
    assert config["durable_objects"]["bindings"] == [
        {"name": "TRACKER", "class_name": "WorkflowTracker"},
        {"name": "FOLLOWER", "class_name": "WorkflowFollower"},
    ]
    assert config["migrations"] == [
        {"tag": "v1", "new_sqlite_classes": ["WorkflowTracker", "WorkflowFollower"]}
    ]
    assert config["vars"]["FOLLOWER_SHARDS"] == 1
    assert config["triggers"]["crons"] == ["*/5 * * * *"]
    assert config["workflows"][-1] == {
        "binding": "SEND_MAIL",
        "name": "send-mail",
        "class_name": "SendMail",
        "script_name": "mail",
    }
    assert config["vars"]["WORKFLOWS"]["send-mail"] == "SEND_MAIL"
    assert old.get("name") == config.get("name")
    environment = ["--env="] if "env" in old else []
    assert any_project.account.calls == [
        ["d1", "list", "--json", *environment],
        ["secret", "list", "--format", "json", *environment],
        ["d1", "create", "flowflare", *environment],
        ["d1", "migrations", "apply", "flowflare", "--remote", *environment],
        ["secret", "put", KEY, *environment],
    ]
    key = (any_project.folder / "key").read_text().strip()
    assert account["secrets"] == {KEY: key}
    assert len(key) >= 40
    assert key not in done.out + done.err
    assert stat.S_IMODE((any_project.folder / "key").stat().st_mode) == 0o600

    any_project.account.change()
    after = any_project.text
    again = any_project(*SERVICE, *more)
    assert (again.code, any_project.text) == (0, after), again.err
    assert "Everything is set up already; nothing was changed." in again.out
    assert any_project.account.read() == {**account, "calls": any_project.account.read()["calls"]}


def test_a_dry_run_shows_the_differences_and_changes_nothing(any_project: Project) -> None:
    before, account = any_project.text, any_project.account.read()
    done = any_project("setup", "--role", "service", "--dry-run")
    assert done.code == 0, done.err
    assert "\n+++ wrangler." in done.out
    assert "npx wrangler d1 create flowflare" in done.out
    assert f"npx wrangler secret put {KEY}" in done.out
    assert done.out.endswith("Nothing was changed.\n")
    assert any_project.text == before
    assert any_project.account.read() == {**account, "calls": any_project.account.read()["calls"]}
    assert {call[1] for call in any_project.account.calls} == {"list"}


def test_a_client_s_dry_run_is_the_difference(project: Project) -> None:
    before = project.text
    done = project("setup", "--role", "client", "--dry-run")
    assert project.text == before
    changed = [line for line in done.out.splitlines()[2:] if line[:1] in "+-"]
    entry = '{ "binding": "FLOWFLARE", "service": "flowflare", "entrypoint": "FlowflareService" },'
    assert changed == [f"+\t\t{entry}"]


# --- the service


def test_an_existing_database_of_the_account_is_used(project: Project) -> None:
    known = {"uuid": IDENTIFIER, "name": "main"}
    project.account.change(databases=[known], secrets={KEY: "k"}, migrated=[["main", "remote"]])
    done = project(*SERVICE, "--database", "main")
    assert done.code == 0, done.err
    assert project.config["d1_databases"][0]["database_id"] == known["uuid"]
    assert not (project.folder / "key").exists()
    assert ["d1", "create"] not in [call[:2] for call in project.account.calls]
    assert ["secret", "put"] not in [call[:2] for call in project.account.calls]


def test_the_local_set_up_leaves_the_account_alone(project: Project) -> None:
    done = project("setup", "--role", "service", "--local", "--yes")
    assert done.code == 0, done.err
    [call] = project.account.calls
    assert call == ["d1", "migrations", "apply", "flowflare", "--local", "--env="]
    assert "database_id" not in project.config["d1_databases"][0]


def test_a_named_environment_is_set_up_for_itself(project: Project) -> None:
    assert project(*SERVICE, "--env", "staging").code == 0
    config = project.config
    staging = config["env"]["staging"]
    assert staging["d1_databases"][0]["binding"] == "DB"
    names = [entry["name"] for entry in staging["durable_objects"]["bindings"]]
    assert names == ["TRACKER", "FOLLOWER"]
    assert staging["vars"]["FOLLOWER_SHARDS"] == 1
    assert staging["triggers"]["crons"] == ["*/5 * * * *"]
    # Only migrations are taken from the top level.
    assert "d1_databases" not in config
    classes = ["WorkflowTracker", "WorkflowFollower"]
    assert config["migrations"][0]["new_sqlite_classes"] == classes
    assert all(call[-2:] == ["--env", "staging"] for call in project.account.calls)
    before = project.text
    assert "nothing was changed" in project(*SERVICE, CLOUDFLARE_ENV="staging").out
    assert project.text == before


@pytest.mark.parametrize("kind", ["json", "toml"])
@pytest.mark.parametrize("environment", ["", "staging"])
def test_a_service_that_did_not_follow_gets_the_follower_in_a_migration_of_its_own(
    tmp_path: Path, kind: str, environment: str
) -> None:
    arguments = [*SERVICE, *(["--env", environment] if environment else [])]
    project = Project(tmp_path, BEFORE_FOLLOWING[kind], kind)
    old = project.config
    done = project(*arguments)
    assert done.code == 0, done.err
    config = project.config
    own = config["env"]["staging"] if environment else config
    assert own["durable_objects"]["bindings"][-1] == {
        "name": "FOLLOWER",
        "class_name": "WorkflowFollower",
    }
    assert own["vars"]["FOLLOWER_SHARDS"] == 1
    assert config["migrations"] == [
        *old["migrations"],
        {"tag": "flowflare-v2", "new_sqlite_classes": ["WorkflowFollower"]},
    ]
    before = project.text
    assert "nothing was changed" in project(*arguments).out
    assert project.text == before


def test_a_service_that_follows_nothing_is_left_so(project: Project) -> None:
    project.file.write_text(project.text.replace('"vars": {}', '"vars": {"FOLLOWER_SHARDS": 0}'))
    assert project(*SERVICE).code == 0
    assert project.config["vars"] == {"FOLLOWER_SHARDS": 0}


def test_an_older_migration_and_cron_are_kept(tmp_path: Path) -> None:
    old = {
        "name": "x",
        "migrations": [{"tag": "v1", "new_classes": ["Other"]}],
        "triggers": {"crons": ["*/10 * * * *"]},
        "d1_databases": [{"binding": "DB", "database_name": "d", "database_id": "put yours here"}],
    }
    project = Project(tmp_path, json.dumps(old, indent=2), "json")
    assert project(*SERVICE).code == 0
    config = project.config
    assert config["migrations"][0] == old["migrations"][0]  # type: ignore[index] # a literal
    assert config["migrations"][1]["tag"] == "flowflare-v1"
    assert config["triggers"] == old["triggers"]
    assert (
        config["d1_databases"][0]["database_id"] == project.account.read()["databases"][0]["uuid"]
    )


# --- a client


def test_an_address_becomes_a_variable_and_the_key_a_secret(project: Project) -> None:
    arguments = (*CLIENT, "--url", "https://f.example/graphql")
    done = project(*arguments, FLOWFLARE_API_KEY="the key")
    assert done.code == 0, done.err
    assert project.config["vars"] == {"FLOWFLARE_URL": "https://f.example"}
    assert project.account.read()["secrets"] == {KEY: "the key"}
    assert "the key" not in done.out + done.err
    assert all("the key" not in call for call in project.account.calls)
    again = project(*arguments)
    assert "nothing was changed" in again.out


def test_the_service_gets_a_clients_workflows(tmp_path: Path) -> None:
    shop, service = tmp_path / "shop", tmp_path / "service"
    shop.mkdir()
    service.mkdir()
    project = Project(shop, TOML, "toml")
    printed = project(*CLIENT)
    assert "--workflow send-invoice=shop/SendInvoice" in printed.out
    assert '"script_name": "shop"' in printed.out

    shutil.copy(ROOT / "wrangler.jsonc", service)
    arguments = (*CLIENT, "--service-config", "../service")
    assert project(*arguments).code == 0
    text = (service / "wrangler.jsonc").read_text()
    config = jsonc.parse(text).value
    assert config["vars"]["WORKFLOWS"]["send-invoice"] == "SEND_INVOICE"
    assert config["workflows"][-1]["script_name"] == "shop"
    assert kept((ROOT / "wrangler.jsonc").read_text(), text)
    assert "nothing was changed" in project(*arguments).out
    assert (service / "wrangler.jsonc").read_text() == text


def test_an_environments_worker_has_a_name_of_its_own(tmp_path: Path) -> None:
    text = TOML + '\n[[env.staging.workflows]]\nbinding = "W"\nname = "w"\nclass_name = "W"\n'
    project = Project(tmp_path, text, "toml")
    done = project(*CLIENT, "--env", "staging")
    assert "--workflow w=shop-staging/W" in done.out
    assert project.config["env"]["staging"]["services"] == [BINDING]
    assert "services" not in project.config


# --- at a terminal


def at_terminal(project: Project, answers: str, *arguments: str) -> tuple[int, str]:
    """Run it in a terminal, type the answers, and return its exit code and output."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=project.folder,
        env=CommandLine(None, project.folder).environment,
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    os.write(parent, answers.encode())
    shown = bytearray()
    with suppress(OSError):  # the terminal is gone when the process is
        while part := os.read(parent, 65536):
            shown += part
    os.close(parent)
    return process.wait(60), shown.decode().replace("\r\n", "\n")


def test_a_person_is_asked_and_sees_the_key_once(project: Project) -> None:
    project.account.change(databases=[{"uuid": IDENTIFIER, "name": "a"}])
    code, shown = at_terminal(project, "1\n2\nmine\ny\n", "setup")
    assert code == 0, shown
    assert "the service: Flowflare itself" in shown
    assert "a new one" in shown
    assert project.config["d1_databases"][0]["database_name"] == "mine"
    key = project.account.read()["secrets"][KEY]
    assert shown.count(key) == 1


def test_a_declined_confirmation_changes_nothing(project: Project) -> None:
    before = project.text
    code, shown = at_terminal(project, "\n\nn\n", "setup")
    assert code == 1, shown
    assert shown.endswith("Nothing was changed.\n")
    assert project.text == before


# --- the documentation


def test_the_page_lists_every_option() -> None:
    help_text = CliRunner().invoke(app, ["setup", "--help"], env={"COLUMNS": "200"})
    assert help_text.exit_code == 0
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, "setup")
    own = {
        parameter.opts[0] for parameter in command.params if parameter.opts[0].startswith("--")
    } - {"--help"}
    page = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")
    listed = {
        text.split()[0] for row in rows(section(page, "Options")) for text in code(row[0])
    } - {"-c", "-e", "-y"}
    assert listed == own
