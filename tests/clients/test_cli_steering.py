"""The commands that act on instances, and what keys and tokens let one do."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flowflare.cli.errors import ExitCode
from scripts.local_server import LocalServer
from scripts.project import ROOT
from tests.clients.reporting import instance, new_name, track
from tests.worker.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.command_line import CommandLine

ESCAPE = "\x1b["
WORKFLOW = "untracked"
ASLEEP = "query ($id: String!) { instance(instanceId: $id) { status } }"


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """The service with a Workflow in JavaScript, which can be paused."""
    with LocalServer(beside=[ROOT / "tests" / "worker" / "engine_worker"]) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: LocalServer) -> Iterator[Api]:
    """A caller of it, with all rights."""
    with Api(server) as caller:
        yield caller


@pytest.fixture
def sleeper(flow: CommandLine, api: Api) -> str:
    """An instance that sleeps, run by the engine."""
    name = new_name("sleeper")
    flow.inside("start", WORKFLOW, "--id", name, "--input", '{"sleepMs": 600000}')
    api.until(ASLEEP, lambda data: data["instance"]["status"] == "SLEEPING", id=name)
    return name


def test_pause_and_resume(flow: CommandLine, sleeper: str) -> None:
    paused = flow("pause", sleeper)
    expected = rf"{sleeper}\t{WORKFLOW}\t(PAUSED|WAITING_FOR_PAUSE)\n"
    assert re.fullmatch(expected, paused.out), paused.err
    twice = flow.inside("pause", sleeper)
    assert twice.code == ExitCode.FAILED
    assert "does not allow" in twice.err
    assert flow("resume", sleeper, "--json").document["instanceId"] == sleeper


def test_send_event_terminate_and_restart(flow: CommandLine, sleeper: str) -> None:
    sent = flow("send-event", sleeper, "hurry", "--payload", '{"now": true}')
    assert sent.out == f"{sleeper}\t{WORKFLOW}\tSLEEPING\n", sent.err
    assert flow("terminate", sleeper).out == f"{sleeper}\t{WORKFLOW}\tTERMINATED\n"
    ended = flow("watch", sleeper)
    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith(f"Error: {sleeper} is TERMINATED. ")
    restarted = flow("restart", sleeper)
    assert restarted.code == ExitCode.OK, restarted.err
    assert restarted.out.startswith(f"{sleeper}\t")


def test_follow(flow: CommandLine, api: Api, sleeper: str) -> None:
    labels = ("--ref", "order", sleeper, "--metadata", '{"a": 1}')
    followed = flow("follow", WORKFLOW, sleeper, *labels)
    assert followed.out == f"{sleeper}\t{WORKFLOW}\tSLEEPING\n", followed.err
    shown = flow.inside("get", sleeper, "--json").document
    assert (shown["reference"]["refId"], shown["metadata"]) == (sleeper, {"a": 1})
    assert shown["following"] == "FOLLOWED"
    again = flow.inside("follow", WORKFLOW, sleeper, "--json")
    assert again.document["instanceId"] == sleeper


def test_follow_refuses_what_the_engine_does_not_have(flow: CommandLine) -> None:
    missing = flow.inside("follow", "order-processing", "no-such-order")
    assert missing.code == ExitCode.NOT_FOUND
    assert "The engine has no instance 'no-such-order' of 'order-processing'." in missing.err
    unbound = flow.inside("follow", "order-procesing", "order-1")
    assert unbound.code == ExitCode.USAGE
    assert "Did you mean 'order-processing'?" in unbound.err
    assert "Bind the Workflow with `flowflare setup`" in unbound.err
    assert "--track-only" not in unbound.err


def test_actions_need_the_workflow_of_an_ambiguous_id(
    flow: CommandLine, api: Api, sleeper: str
) -> None:
    track(api, instance(sleeper, workflow="cli-twin", status="RUNNING"))
    for arguments in (
        ["pause", sleeper],
        ["resume", sleeper],
        ["terminate", sleeper],
        ["restart", sleeper],
        ["send-event", sleeper, "a"],
        ["get", sleeper],
        ["get", sleeper, "--run", "1"],
        ["watch", sleeper],
        ["token", "--instance", sleeper],
    ):
        ended = flow.inside(*arguments)
        assert ended.code == ExitCode.USAGE, arguments
        assert ended.out == ""
        assert ended.err == (
            "Error: Instances of several workflows have this id: 'cli-twin', 'untracked'."
            " Add --workflow with one of these names.\n"
        )
    chosen = ("-w", WORKFLOW)
    assert flow.inside("pause", sleeper, *chosen).code == ExitCode.OK
    assert flow.inside("resume", sleeper, *chosen).code == ExitCode.OK
    assert flow.inside("send-event", sleeper, "hurry", "-p", "{}", *chosen).code == ExitCode.OK
    ended = flow.inside("terminate", sleeper, *chosen)
    assert ended.out == f"{sleeper}\t{WORKFLOW}\tTERMINATED\n"
    assert flow.inside("restart", sleeper, *chosen, "--json").document["run"] == 2
    assert "No Workflow is bound" in flow.inside("pause", sleeper, "-w", "cli-twin").err
    missing = flow.inside("pause", sleeper, "-w", "cli-none")
    assert missing.code == ExitCode.NOT_FOUND
    token = flow.inside("token", "--instance", sleeper, "-w", "cli-twin").out.strip()
    [row] = flow.inside("list", key=token).out.splitlines()
    assert row.split("\t")[:3] == [sleeper, "cli-twin", "RUNNING"]


def test_actions_need_a_bound_workflow(flow: CommandLine, api: Api) -> None:
    name = new_name("tracked")
    track(api, instance(name, workflow="cli-elsewhere", status="RUNNING"))
    for arguments in (["pause", name], ["terminate", name], ["send-event", name, "a"]):
        ended = flow.inside(*arguments)
        assert ended.code == ExitCode.FAILED
        assert "No Workflow is bound for 'cli-elsewhere'" in ended.err


# --- token, access


def test_a_token_shows_only_what_it_is_restricted_to(
    flow: CommandLine, workflow: str, api: Api
) -> None:
    made = flow("token", "--ref", "order", workflow, "--expires-in", "10m")
    assert made.code == ExitCode.OK
    token = made.out.strip()
    assert made.err.startswith("Expires 20")
    assert token.startswith("fft_")
    assert len(flow.inside("list", key=token).out.splitlines()) == 1
    for arguments in (["start", "cli-elsewhere"], ["token"]):
        ended = flow.inside(*arguments, key=token)
        assert ended.code == ExitCode.NO_ACCESS, arguments
        assert "Use a key or token that allows it." in ended.err
        assert token not in ended.err


def test_a_token_of_every_kind(flow: CommandLine, workflow: str) -> None:
    document = flow(
        *("token", "--scope", "read", "--scope", "WRITE", "-w", workflow, "--instance", "a"),
        *("--expires-in", "1d", "--json"),
    ).document
    lifetime = datetime.fromisoformat(document["expiresAt"]) - datetime.now(UTC)
    assert timedelta(hours=23) < lifetime <= timedelta(days=1, minutes=1)
    assert document.keys() == {"token", "expiresAt"}
    too_long = flow.inside("token", "--expires-in", "31d")
    assert too_long.code == ExitCode.USAGE
    assert "expiresIn" in too_long.err


def test_a_key_that_is_wrong_or_missing(flow: CommandLine) -> None:
    wrong = flow.inside("list", "--api-key", "wrong-key")
    assert wrong.code == ExitCode.NO_ACCESS
    assert "Check FLOWFLARE_API_KEY or --api-key." in wrong.err
    assert "wrong-key" not in wrong.err
    missing = flow.inside("list", key=None)
    assert missing.code == ExitCode.NO_ACCESS
    assert "Set FLOWFLARE_API_KEY, or give --api-key." in missing.err
    also = flow.inside("watch", "--api-key", "wrong-key")
    assert also.code == ExitCode.NO_ACCESS


def test_the_key_of_the_working_folder_is_used(flow: CommandLine, server: LocalServer) -> None:
    (flow.folder / ".dev.vars").write_text(f'FLOWFLARE_API_KEY="{server.key}"\n')
    ended = flow("list", "-n", "1", environment={"FLOWFLARE_API_KEY": None})
    assert ended.code == ExitCode.OK, ended.err


def test_an_answer_of_another_service_is_reported(flow: CommandLine, tmp_path: Path) -> None:
    serving = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert serving.stdout is not None
        match = re.search(r"port (\d+)", serving.stdout.readline())
        assert match
        ended = flow("list", "--url", f"http://127.0.0.1:{match[1]}")
    finally:
        serving.terminate()
        serving.communicate()
    assert ended.code == ExitCode.NO_ACCESS
    assert "--url or FLOWFLARE_URL" in ended.err
    assert ended.err.count("\n") == 1
