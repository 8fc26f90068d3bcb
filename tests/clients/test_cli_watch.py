"""`watch`: each event once and in order, to the instance's end, through a restart."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from flowflare.cli.errors import ExitCode
from tests.clients.command_line import CommandLine
from tests.clients.reporting import instance, new_name, report_failing_run, step, track
from tests.worker.api import Api

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.local_server import LocalServer
    from tests.support.servers import StartServer

WHOLE_LOG = "0000000000000000"


def head(api: Api) -> str:
    cursor: str = api.data("{ events(first: 0) { cursor } }")["events"]["cursor"]
    return cursor


def test_watch_survives_a_restart_and_ends_with_the_instance(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    flow = CommandLine(server, tmp_path)
    with Api(server) as api:
        track(api, instance("cli-survivor", workflow="cli", status="QUEUED"))
        with flow.start("watch", "cli-survivor", "--json", "--after", WHOLE_LOG) as running:
            running.wait_for(lambda lines: len(lines) == 1, "the first event")
            track(api, instance("cli-survivor", status="RUNNING"))
            running.wait_for(lambda lines: len(lines) == 2, "the second event")

            server.restart()

            with Api(server) as again:
                track(again, step("cli-survivor", "call", "RUNNING"))
                track(
                    again,
                    step("cli-survivor", "call", "COMPLETED"),
                    instance("cli-survivor", status="COMPLETED"),
                )
                ended = running.end()
    assert ended.code == ExitCode.OK, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["type"] for event in events] == [
        *("INSTANCE_QUEUED", "INSTANCE_STARTED", "STEP_STARTED", "ATTEMPT_STARTED"),
        *("STEP_COMPLETED", "INSTANCE_COMPLETED"),
    ]
    cursors = [event["cursor"] for event in events]
    assert cursors == sorted(set(cursors))
    assert events[3]["step"]["name"] == "call"
    assert events[3]["attempt"] == 1
    assert {event["instance"]["instanceId"] for event in events} == {"cli-survivor"}
    # Only programs read this: nothing is said beside it.
    assert ended.err == ""


def test_watch_continues_behind_a_cursor(flow: CommandLine, api: Api) -> None:
    before = head(api)
    name = report_failing_run(api, "cli-watched")
    everything = flow.inside("watch", name, "--json", "--after", before)
    assert everything.code == ExitCode.FAILED
    assert everything.err.startswith(f"Error: {name} is ERRORED: Declined: no money. ")
    events = [json.loads(line) for line in everything.out.splitlines()]
    rest = flow.inside("watch", name, "--json", "--after", events[4]["cursor"])
    assert rest.out.splitlines() == everything.out.splitlines()[5:]


def test_watch_continues_after_an_end_that_was_followed_by_a_restart(
    flow: CommandLine, api: Api, server: LocalServer
) -> None:
    name, before = new_name("again"), head(api)
    started = flow("start", "order-processing", "--id", name, "--input", '{"items": []}', "--wait")
    assert started.code == ExitCode.FAILED
    assert flow.inside("restart", name).code == ExitCode.OK
    assert flow.inside("watch", name).code == ExitCode.FAILED
    ended = flow.inside("watch", name, "--after", before)
    types = [line.split("\t")[5] for line in ended.out.splitlines()]
    assert types.count("INSTANCE_ERRORED") == 2
    assert types[-1] == "INSTANCE_ERRORED"
    assert "INSTANCE_RESTARTED" in types
    runs = [line.split("\t")[4] for line in ended.out.splitlines()]
    assert runs == sorted(runs)
    assert set(runs) == {"1", "2"}
    shown = flow.on_terminal("watch", name, "--after", before, "--no-color")
    assert "INSTANCE_RESTARTED  run 2\n" in shown.out


def test_watch_follows_the_instance_of_its_workflow_only(flow: CommandLine, api: Api) -> None:
    name, before = new_name("twins"), head(api)
    track(api, instance(name, workflow="cli-first", status="RUNNING"))
    with flow.start("watch", name, "--after", before) as by_id:
        by_id.wait_for(lambda lines: len(lines) == 1, "the first event")
        # Another workflow gets an instance with the id, which is not shown and does not end it.
        track(
            api,
            instance(name, workflow="cli-second", status="RUNNING"),
            instance(name, workflow="cli-second", status="ERRORED"),
        )
        with flow.start("watch", name, "-w", "cli-first", "--after", before) as by_both:
            by_both.wait_for(lambda lines: len(lines) == 1, "the first event")
            track(api, instance(name, workflow="cli-first", status="COMPLETED"))
            for running in (by_id, by_both):
                ended = running.end()
                assert ended.code == ExitCode.OK, ended.err
                rows = [line.split("\t") for line in ended.out.splitlines()]
                assert [row[2:6] for row in rows] == [
                    [name, "cli-first", "1", kind]
                    for kind in ("INSTANCE_STARTED", "INSTANCE_COMPLETED")
                ]
    failed = flow.inside("watch", name, "-w", "cli-second")
    assert failed.code == ExitCode.FAILED
    assert failed.err == (
        f"Error: {name} is ERRORED. `flowflare get {name} -w cli-second` shows its steps.\n"
    )
    several = flow.inside("watch", name, "-w", "cli-first", "-w", "cli-second")
    assert several.code == ExitCode.USAGE
    assert "--workflow may be given only once" in several.err


def test_a_start_that_waits_follows_its_own_instance(flow: CommandLine, api: Api) -> None:
    name = new_name("twins")
    track(
        api,
        instance(name, workflow="cli-first", status="RUNNING"),
        instance(name, workflow="cli-first", status="ERRORED"),
    )
    with flow.start("start", "cli-second", "--track-only", "--id", name, "--wait") as waiting:
        waiting.wait_for(lambda lines: len(lines) == 1, "the first event")
        track(api, instance(name, workflow="cli-second", status="RUNNING"))
        track(api, instance(name, workflow="cli-second", status="COMPLETED"))
        ended = waiting.end()
    assert ended.code == ExitCode.OK, ended.err
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert [row[3] for row in rows] == ["cli-second"] * 3
    assert rows[-1][5] == "INSTANCE_COMPLETED"


def test_watch_without_an_id_shows_selected_events_until_it_is_interrupted(
    flow: CommandLine, api: Api
) -> None:
    before, workflow = head(api), new_name("selected")
    mine, other = new_name("mine"), new_name("other")
    reference = {"refType": "order", "refId": mine}
    with (
        flow.start("watch", "-w", workflow, "--after", before) as by_workflow,
        flow.start(
            "watch", "--ref", "order", mine, "--type", "instance_started", "--after", before
        ) as by_reference,
        flow.start(
            "watch", "--status", "COMPLETED", "-w", workflow, "--after", before
        ) as by_status,
    ):
        track(api, instance(other, workflow="cli-another", status="RUNNING"))
        track(api, instance(mine, workflow=workflow, status="RUNNING", reference=reference))
        by_reference.wait_for(lambda lines: len(lines) == 1, "an event")
        track(api, instance(mine, status="COMPLETED"))
        by_workflow.wait_for(lambda lines: len(lines) == 2, "both events")
        by_status.wait_for(lambda lines: len(lines) == 1, "an event")
        for running, types in (
            (by_workflow, ["INSTANCE_STARTED", "INSTANCE_COMPLETED"]),
            (by_reference, ["INSTANCE_STARTED"]),
            (by_status, ["INSTANCE_COMPLETED"]),
        ):
            running.interrupt()
            ended = running.end()
            assert ended.code == ExitCode.INTERRUPTED
            assert ended.err == ""
            rows = [line.split("\t") for line in ended.out.splitlines()]
            assert [row[2:6] for row in rows] == [[mine, workflow, "1", kind] for kind in types]


def test_an_interrupt_ends_watch_where_the_service_does_not_answer(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    flow = CommandLine(server, tmp_path)
    with Api(server) as api, flow.start("watch", "--after", WHOLE_LOG) as running:
        track(api, instance("cli-silent", workflow="cli", status="QUEUED"))
        running.wait_for(lambda lines: len(lines) == 1, "an event")
        with server.frozen():
            began = time.monotonic()
            running.interrupt()
            ended = running.end()
            # What closing a connection waits for is ten seconds.
            assert time.monotonic() - began < 8
    assert ended.code == ExitCode.INTERRUPTED
    assert ended.err == ""


def test_watch_is_coloured_lines_on_a_terminal(flow: CommandLine, api: Api) -> None:
    before = head(api)
    name = report_failing_run(api, "cli-watched")
    shown = flow.on_terminal("watch", name, "--after", before)
    assert "\x1b[31mATTEMPT_FAILED\x1b[0m" in shown.out
    plain = flow.on_terminal("watch", name, "--after", before, "--no-color")
    assert plain.code == ExitCode.FAILED
    lines = plain.out.splitlines()
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  {name}  cli-watched  INSTANCE_STARTED", lines[0])
    assert lines[3].endswith("ATTEMPT_FAILED  send mail, try 1  Timeout: no answer")
    assert "\x1b" not in plain.out


def test_a_watch_that_takes_too_long_exits_with_5(flow: CommandLine, api: Api) -> None:
    name = new_name("slow")
    track(api, instance(name, workflow="cli-watched", status="RUNNING"))
    assert flow.inside("watch", name, "--timeout", "500ms").code == ExitCode.TIME_IS_UP
