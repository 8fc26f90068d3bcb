"""Refusals of `flowflare setup`: one line with a hint, and no change."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.clients.command_line import CommandLine
from tests.clients.projects import (
    BINDING,
    CLIENT,
    JSONC,
    KEY,
    SERVICE,
    TOML,
    Project,
)


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
        (
            {"vars": {"FLOWFLARE": "x"}},
            CLIENT,
            "The name FLOWFLARE is already in use by `vars.FLOWFLARE`",
        ),
        ({"services": [{"binding": "FLOWFLARE", "service": "x"}]}, CLIENT, "with entrypoint None"),
        (
            {"services": [BINDING]},
            (*CLIENT, "--service", "other"),
            "bound to flowflare, not to other",
        ),
        ({"services": {}}, CLIENT, "`services` is not a list of objects"),
        ({"vars": {"FLOWFLARE_URL": "x"}}, (*CLIENT, "--url", "http://y"), "FLOWFLARE_URL is x"),
        (
            {"r2_buckets": [{"binding": "DB"}]},
            SERVICE,
            "The name DB is already in use by `r2_buckets`",
        ),
        (
            {"durable_objects": {"bindings": [{"name": "TRACKER", "class_name": "X"}]}},
            SERVICE,
            "TRACKER is bound to the class X",
        ),
        *(
            ({"migrations": [{"tag": "a", "new_classes": [name]}]}, SERVICE, f"{name} without SQL")
            for name in ("WorkflowTracker", "WorkflowFollower")
        ),
        (
            {"kv_namespaces": [{"binding": "FOLLOWER"}]},
            SERVICE,
            "The name FOLLOWER is already in use by `kv_namespaces`",
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
        (
            {"vars": {"WORKFLOWS": "{}"}},
            (*SERVICE, "--workflow", "a=w/Y"),
            "WORKFLOWS must be an object",
        ),
    ],
)
def test_a_name_in_use_is_refused_before_anything_is_done(
    tmp_path: Path, member: dict[str, Any], arguments: tuple[str, ...], said: str
) -> None:
    project = Project(tmp_path, json.dumps({"name": "x", **member}), "json")
    assert said in refused(project, *arguments)
    assert not [call for call in project.account.calls if call[1] != "list"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["setup"], "The role of the project is missing. Give --role service or --role client."),
        (["setup", "--yes"], "Give --role"),
        (
            ["setup", "--role", "client"],
            "no terminal to ask for confirmation. Add --yes, or --dry-run",
        ),
        (
            ["setup", "--role", "service", "--yes"],
            f"A new {KEY} needs a file to be written to. Give --key-file",
        ),
        ([*CLIENT, "--url", "http://y"], "The service's key is missing. Give --key-file"),
        ([*CLIENT, "--url", "y"], "must be an http(s) URL, not 'y'"),
        ([*CLIENT, "--url", "http://y", "--service", "x"], "--service and --url cannot"),
        ([*CLIENT, "--database", "x"], "--database is for --role service"),
        ([*SERVICE, "--service", "x"], "--service is for --role client"),
        ([*SERVICE, "--workflow", "a"], "--workflow must be NAME=WORKER/CLASS, not 'a'"),
        ([*CLIENT, "--env", "moon"], "There is no environment 'moon'"),
        ([*CLIENT, "--config", "package.yaml"], "package.yaml must end in .json, .jsonc or .toml"),
    ],
)
def test_a_missing_or_wrong_option_is_a_usage_error(
    project: Project, arguments: list[str], said: str
) -> None:
    assert said in refused(project, *arguments, code=2)
    assert not [call for call in project.account.calls if call[1] != "list"]


def test_several_configurations_need_the_option_config(project: Project) -> None:
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


def test_the_nearest_configuration_upwards_is_used(project: Project) -> None:
    below = project.folder / "src" / "deep"
    below.mkdir(parents=True)
    assert CommandLine(None, below)(*CLIENT).code == 0
    assert BINDING in project.config["services"]


def test_a_missing_configuration_is_reported(tmp_path: Path) -> None:
    done = CommandLine(None, tmp_path)(*CLIENT)
    assert (done.code, done.out) == (1, "")
    assert "There is no wrangler.json, wrangler.jsonc or wrangler.toml here or above" in done.err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jsonc", '{\n  "a" 1\n}', "wrangler.jsonc cannot be read: line 2, column 7"),
        ("toml", "a = 1\nb = \n", "wrangler.toml cannot be read:"),
        ("json", "[]", "wrangler.json must contain an object"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_with_its_line(
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
def test_an_error_of_wrangler_is_reported_in_one_line(
    project: Project, failures: dict[str, str], said: str, code: int
) -> None:
    project.account.change(failures=failures)
    assert said in refused(project, *SERVICE, code=code)


def test_the_next_run_continues_after_a_failure(project: Project) -> None:
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


def test_a_missing_wrangler_is_reported(project: Project) -> None:
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
    assert done.err == ("The account's databases could not be read: wrangler is not logged in.\n")
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


def test_completed_steps_are_reported_before_a_failure(project: Project) -> None:
    project.account.change(failures={"secret put": "No"})
    done = project(*SERVICE)
    assert done.code == 1
    assert "Created the D1 database flowflare" in done.out
    assert "Applied the migrations to flowflare" in done.out
