"""`flowflare setup` on real files of several shapes, with a stand-in for wrangler."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import tomllib
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flowflare.cli.app import app
from flowflare.setup import jsonc
from scripts.project import ROOT
from tests.clients.command_line import COMMAND, CommandLine, Ended
from tests.clients.wrangler_account import Account
from tests.support.markdown import code, rows, section

CLIENT = ("setup", "--role", "client", "--yes")
SERVICE = ("setup", "--role", "service", "--yes", "--key-file", "key")
BINDING = {"binding": "FLOWFLARE", "service": "flowflare", "entrypoint": "FlowflareService"}
IDENTIFIER = "11111111-2222-3333-4444-555555555555"
KEY = "FLOWFLARE_API_KEY"
TOML = """\
# The shop.
name = "shop"
main = "src/index.js" # the entry
compatibility_date = "2026-11-01"

[[workflows]]
binding = "INVOICE"
name = "send-invoice"
class_name = "SendInvoice"

# Tried out here.
[env.staging.vars]
MODE = "try"
"""
JSONC = """\
{
\t// The shop.
\t"name": "shop",
\t"main": "src/index.js", /* the entry */
\t"compatibility_date": "2026-11-01",
\t"services": [
\t\t{ "binding": "BILLING", "service": "billing" }, // theirs
\t],
\t"vars": {},
\t"env": { "staging": { "vars": { "MODE": "try" } } },
}
"""
FILES = {
    "minimal.json": '{"name":"shop"}',
    "empty.jsonc": "{}\n",
    "tabs, comments, environments.jsonc": JSONC,
    "crlf.jsonc": JSONC.replace("\n", "\r\n"),
    "bom.json": '\N{ZERO WIDTH NO-BREAK SPACE}{\n    "name": "shop"\n}',
    "minimal.toml": 'name = "shop"',
    "environments.toml": TOML,
    "crlf.toml": TOML.replace("\n", "\r\n"),
    "inline.toml": 'name = "s"\nvars = { A = 1 }\nservices = [{ binding = "B", service = "b" }]\n',
    "this project.jsonc": (ROOT / "wrangler.jsonc").read_text(encoding="utf-8"),
}


class Project:
    """A Worker's folder, the account, and the command in it."""

    def __init__(self, folder: Path, text: str, kind: str) -> None:
        self.folder = folder
        self.file = folder / f"wrangler.{kind}"
        self.file.write_bytes(text.encode())
        self.account = Account.beside(folder)

    def __call__(self, *arguments: str, **environment: str | None) -> Ended:
        """Run it in this process, which takes a tenth of the time of another one."""
        with chdir(self.folder):
            result = CliRunner().invoke(app, arguments, env=environment, prog_name="flowflare")
        return Ended(result.exit_code, result.stdout, result.stderr)

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode()

    @property
    def config(self) -> Any:
        if self.file.suffix == ".toml":
            return tomllib.loads(self.text)
        return jsonc.parse(self.text).value


@pytest.fixture(autouse=True)
def _nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWFLARE_API_KEY", "FLOWFLARE_URL", "CLOUDFLARE_ENV", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=FILES)
def any_project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return Project(tmp_path, FILES[request.param], request.param.rpartition(".")[2])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, JSONC, "jsonc")


def kept(before: str, after: str) -> bool:
    """Whether all characters are still there, in their order."""
    rest = iter(after)
    return all(character in rest for character in before)


# --- the two roles, on every file


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


def test_a_service_gets_all_it_needs_once(any_project: Project) -> None:
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
    tracker = {"name": "TRACKER", "class_name": "WorkflowTracker"}
    assert config["durable_objects"]["bindings"] == [tracker]
    assert config["migrations"] == [{"tag": "v1", "new_sqlite_classes": ["WorkflowTracker"]}]
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


def test_a_database_of_the_account_is_taken(project: Project) -> None:
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
    assert staging["durable_objects"]["bindings"][0]["name"] == "TRACKER"
    assert staging["triggers"]["crons"] == ["*/5 * * * *"]
    # Only migrations are taken from the top level.
    assert "d1_databases" not in config
    assert config["migrations"][0]["new_sqlite_classes"] == ["WorkflowTracker"]
    assert all(call[-2:] == ["--env", "staging"] for call in project.account.calls)
    before = project.text
    assert "nothing was changed" in project(*SERVICE, CLOUDFLARE_ENV="staging").out
    assert project.text == before


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


def test_the_service_is_told_of_a_clients_workflows(tmp_path: Path) -> None:
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


# --- refusals: one line, and nothing changed


def refused(project: Project, *arguments: str, code: int = 1) -> str:
    before = project.text
    done = project(*arguments)
    assert done.code == code, done.out + done.err
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    assert project.text == before
    return done.err


@pytest.mark.parametrize(
    ("member", "arguments", "said"),
    [
        ({"kv_namespaces": [{"binding": "FLOWFLARE", "id": "x"}]}, CLIENT, "by `kv_namespaces`"),
        ({"vars": {"FLOWFLARE": "x"}}, CLIENT, "The name FLOWFLARE is taken by `vars.FLOWFLARE`"),
        ({"services": [{"binding": "FLOWFLARE", "service": "x"}]}, CLIENT, "with entrypoint None"),
        (
            {"services": [BINDING]},
            (*CLIENT, "--service", "other"),
            "bound to flowflare, not to other",
        ),
        ({"services": {}}, CLIENT, "`services` is not a list of objects"),
        ({"vars": {"FLOWFLARE_URL": "x"}}, (*CLIENT, "--url", "http://y"), "FLOWFLARE_URL is x"),
        ({"r2_buckets": [{"binding": "DB"}]}, SERVICE, "The name DB is taken by `r2_buckets`"),
        (
            {"durable_objects": {"bindings": [{"name": "TRACKER", "class_name": "X"}]}},
            SERVICE,
            "TRACKER is bound to the class X",
        ),
        (
            {"migrations": [{"tag": "a", "new_classes": ["WorkflowTracker"]}]},
            SERVICE,
            "without SQLite",
        ),
        (
            {"workflows": [{"binding": "B", "name": "a", "class_name": "X"}]},
            (*SERVICE, "--workflow", "a=w/Y"),
            "The Workflow a is bound to this Worker/X, not to w/Y",
        ),
        (
            {"vars": {"WORKFLOWS": {"a": "OTHER"}}},
            (*SERVICE, "--workflow", "a=w/Y"),
            "WORKFLOWS names OTHER for a, not A",
        ),
        ({"vars": {"WORKFLOWS": "{}"}}, (*SERVICE, "--workflow", "a=w/Y"), "WORKFLOWS is text"),
    ],
)
def test_a_name_that_is_taken_is_refused_before_anything_is_done(
    tmp_path: Path, member: dict[str, Any], arguments: tuple[str, ...], said: str
) -> None:
    project = Project(tmp_path, json.dumps({"name": "x", **member}), "json")
    assert said in refused(project, *arguments)
    assert not [call for call in project.account.calls if call[1] != "list"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["setup"], "What is this project? Give --role service or --role client."),
        (["setup", "--yes"], "Give --role"),
        (["setup", "--role", "client"], "Nobody can be asked here. Add --yes, or --dry-run"),
        (["setup", "--role", "service", "--yes"], f"A new {KEY} needs a place. Give --key-file"),
        ([*CLIENT, "--url", "http://y"], "The service's key is missing. Give --key-file"),
        ([*CLIENT, "--url", "y"], "'y' is no address of a service"),
        ([*CLIENT, "--url", "http://y", "--service", "x"], "--service and --url contradict"),
        ([*CLIENT, "--database", "x"], "--database is for --role service"),
        ([*SERVICE, "--service", "x"], "--service is for --role client"),
        ([*SERVICE, "--workflow", "a"], "--workflow 'a' is not NAME=WORKER/CLASS"),
        ([*CLIENT, "--env", "moon"], "There is no environment 'moon'"),
        ([*CLIENT, "--config", "package.yaml"], "package.yaml is no .json, .jsonc or .toml"),
    ],
)
def test_a_missing_or_wrong_answer_is_a_mistake_of_usage(
    project: Project, arguments: list[str], said: str
) -> None:
    assert said in refused(project, *arguments, code=2)
    assert not [call for call in project.account.calls if call[1] != "list"]


def test_several_configurations_are_asked_about(project: Project) -> None:
    other = project.folder / "wrangler.toml"
    other.write_text(TOML)
    assert "wrangler.jsonc, wrangler.toml. Give one with --config" in refused(
        project, *CLIENT, code=2
    )
    assert (
        project("setup", "--role", "service", "--local", "--yes", "-c", "wrangler.toml").code == 0
    )
    assert "DB" in other.read_text()
    assert project.account.calls[0][-3:] == ["--config", "wrangler.toml", "--env="]


def test_the_nearest_configuration_upwards_is_taken(project: Project) -> None:
    below = project.folder / "src" / "deep"
    below.mkdir(parents=True)
    assert CommandLine(None, below)(*CLIENT).code == 0
    assert BINDING in project.config["services"]


def test_no_configuration_is_told(tmp_path: Path) -> None:
    done = CommandLine(None, tmp_path)(*CLIENT)
    assert (done.code, done.out) == (1, "")
    assert "There is no wrangler.json, wrangler.jsonc or wrangler.toml here or above" in done.err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jsonc", '{\n  "a" 1\n}', "wrangler.jsonc cannot be read: line 2, column 7"),
        ("toml", "a = 1\nb = \n", "wrangler.toml cannot be read:"),
        ("json", "[]", "wrangler.json holds no object"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    assert said in refused(Project(tmp_path, text, name), *CLIENT)


@pytest.mark.parametrize(
    ("failures", "said", "code"),
    [
        (
            {"d1": "In a non-interactive environment, it's necessary to set CLOUDFLARE_API_TOKEN"},
            "wrangler is not logged in. Run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN.",
            4,
        ),
        (
            {"d1 list": "A request to the Cloudflare API (/x) failed.\n\n  No such thing [7]"},
            "failed: A request to the Cloudflare API (/x) failed. No such thing [7]",
            1,
        ),
        ({"d1 create": "The limit is reached"}, "npx wrangler d1 create flowflare", 1),
    ],
)
def test_what_wrangler_says_is_told_in_one_line(
    project: Project, failures: dict[str, str], said: str, code: int
) -> None:
    project.account.change(failures=failures)
    assert said in refused(project, *SERVICE, code=code)


def test_what_was_done_before_a_failure_is_found_by_the_next_run(project: Project) -> None:
    project.account.change(failures={"d1 migrations": "Syntax error"})
    assert project(*SERVICE).code == 1
    assert project.account.read()["secrets"] is None
    project.account.change(failures={"secret put": "No"})
    assert project(*SERVICE).code == 1
    assert not (project.folder / "key").exists()
    project.account.change(failures={})
    assert project(*SERVICE).code == 0
    assert len(project.account.read()["databases"]) == 1
    assert project.account.read()["secrets"] == {KEY: (project.folder / "key").read_text().strip()}


def test_a_project_without_wrangler_is_told(project: Project) -> None:
    shutil.rmtree(project.folder / "node_modules")
    bare = {"PATH": str(project.folder)}
    done = project(*SERVICE, **bare)
    assert done.code == 1
    assert "cannot be run" in done.err
    assert "npm install --save-dev wrangler" in done.err
    assert project(*CLIENT, **bare).code == 0


def test_a_file_is_replaced_with_its_mode_and_behind_a_link(project: Project) -> None:
    real = project.folder / "real.jsonc"
    project.file.rename(real)
    project.file.symlink_to(real.name)
    real.chmod(0o640)
    assert project(*CLIENT).code == 0
    assert project.file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert BINDING in project.config["services"]
    assert not list(project.folder.glob(".*jsonc*"))


def test_a_file_that_cannot_be_written_is_left_as_it_was(project: Project) -> None:
    # There is no room in the name for that of a file beside it.
    long = project.folder / f"{'w' * 250}.json"
    long.write_text(JSONC)
    assert "cannot be written: File name too long" in refused(project, *CLIENT, "-c", long.name)
    assert long.read_text() == JSONC


def test_a_dry_run_needs_no_login(project: Project) -> None:
    project.account.change(failures={"d1": "CLOUDFLARE_API_TOKEN", "secret": "not logged in"})
    done = project("setup", "--role", "service", "--dry-run")
    assert done.code == 0
    assert done.err == "Not looked up: wrangler is not logged in.\n"
    assert "npx wrangler d1 create flowflare" in done.out


def test_npx_is_called_where_nothing_is_installed(project: Project) -> None:
    programs = project.folder / "programs"
    (project.folder / "node_modules" / ".bin").rename(programs)
    npx = programs / "npx"
    wanted = 'test "$1 $2" = "--yes wrangler" || exit 1'
    npx.write_text(f'#!/bin/sh\n{wanted}\nshift 2\nexec {programs}/stand-in "$@"\n')
    npx.chmod(0o755)
    (programs / "wrangler").rename(programs / "stand-in")
    done = project(
        "setup", "--role", "service", "--local", "--yes", PATH=f"{programs}:/usr/bin:/bin"
    )
    assert done.code == 0, done.err
    [call] = json.loads((programs / "account.json").read_text())["calls"]
    assert call["argv"][:3] == ["d1", "migrations", "apply"]


def test_what_was_done_is_said_before_a_failure(project: Project) -> None:
    project.account.change(failures={"secret put": "No"})
    done = project(*SERVICE)
    assert done.code == 1
    assert "Made the D1 database flowflare" in done.out
    assert "Applied the migrations to flowflare" in done.out


# --- at a terminal


def at_terminal(project: Project, answers: str, *arguments: str) -> tuple[int, str]:
    """Run it with a terminal on both sides, type the answers; its code and what it showed."""
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


def test_who_says_no_changes_nothing(project: Project) -> None:
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
