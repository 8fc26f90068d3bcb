"""Every command against the service, on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flowflare.cli.errors import ExitCode
from tests.clients.command_line import COMMAND, CommandLine
from tests.clients.reporting import instance, new_name, report_failing_run, step, track

if TYPE_CHECKING:
    from tests.worker.api import Api

ESCAPE = "\x1b["


# --- start


def test_start_runs_a_bound_workflow_and_waits_for_it(flow: CommandLine, api: Api) -> None:
    name = new_name("order")
    (flow.folder / "order.json").write_text('{"items": ["book"], "failPayments": 1}')
    ended = flow(
        *("start", "order-processing", "--id", name, "--ref", "order", name),
        *("--input", "@order.json", "--metadata", '{"by": "cli"}', "--wait"),
    )
    assert ended.code == ExitCode.OK, ended.err
    lines = [line.split("\t") for line in ended.out.splitlines()]
    assert [line[5] for line in lines][:2] == ["INSTANCE_QUEUED", "INSTANCE_STARTED"]
    assert lines[-1][2:5] == [name, "order-processing", "1"]
    assert lines[-1][5:7] == ["INSTANCE_COMPLETED", "COMPLETED"]
    assert [line[8:] for line in lines if line[5] == "ATTEMPT_FAILED"] == [
        ["1", "PaymentDeclined: card declined at attempt 1"]
    ]
    assert ended.err == f"{name} is COMPLETED.\n"
    [tracked] = api.data(
        "query ($id: String!) { instance(instanceId: $id) { input metadata reference { refId } } }",
        id=name,
    ).values()
    assert tracked == {
        "input": {"items": ["book"], "failPayments": 1},
        "metadata": {"by": "cli"},
        "reference": {"refId": name},
    }


def test_start_that_waits_for_a_failing_workflow_exits_with_1(flow: CommandLine) -> None:
    ended = flow(
        *("start", "order-processing", "--id", (name := new_name("order")), "--wait", "--json"),
        *("--input", "-"),
        stdin='{"items": []}',
    )
    assert ended.code == ExitCode.FAILED
    assert json.loads(ended.out)["status"] == "ERRORED"
    assert ended.err.startswith(f"Error: {name} is ERRORED: ")
    assert "ValueError: an order needs at least one item" in ended.err
    assert ended.err.count("\n") == 1


def test_start_prints_the_id_alone(flow: CommandLine) -> None:
    ended = flow("start", "cli-elsewhere", "--track-only")
    assert ended.code == ExitCode.OK
    assert re.fullmatch(r"[0-9a-f-]{36}\n", ended.out)
    assert ended.err == "cli-elsewhere is QUEUED, and no Workflow is bound for it.\n"


def test_a_start_that_nothing_would_run_is_refused(flow: CommandLine, api: Api) -> None:
    refused = flow.inside("start", "order-procesing")
    assert refused.code == ExitCode.USAGE
    assert refused.err.startswith("Error: No Workflow is bound for 'order-procesing'")
    assert "Did you mean 'order-processing'?" in refused.err
    assert refused.err.endswith(" The option for it is --track-only.\n")
    assert refused.err.count("\n") == 1
    recorded = flow.inside("start", "order-procesing", "--track-only", "--json").document
    assert (recorded["status"], recorded["bound"]) == ("QUEUED", False)
    bound = flow.inside("start", "order-processing", "--track-only")
    assert bound.code == ExitCode.USAGE
    assert (
        "Refused: trackOnly: must be false or absent, because a Workflow is bound for" in bound.err
    )
    name = new_name("registered")
    api.data(
        "mutation ($input: RegisterWorkflowInput!) { registerWorkflow(input: $input)"
        " { __typename } }",
        input={"name": name, "trackOnly": True},
    )
    assert flow.inside("start", name).code == ExitCode.OK


def test_a_second_start_returns_the_existing_instance_or_fails(flow: CommandLine) -> None:
    name = new_name("twice")
    start = ("start", "cli-elsewhere", "--track-only", "--id", name)
    first = flow.inside(*start, "-i", "null", "--json").document
    assert (first["instanceId"], first["status"], first["canTerminate"]) == (name, "QUEUED", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["createdAt"])
    again = flow.inside(*start, "--json").document
    assert again == first
    refused = flow.inside(*start, "--fail-if-exists")
    assert refused.code == ExitCode.FAILED
    assert "exists already. It is QUEUED; leave out --fail-if-exists" in refused.err


def test_a_wait_that_takes_too_long_exits_with_5(flow: CommandLine) -> None:
    ended = flow.inside(*("start", "cli-elsewhere", "--track-only", "--wait", "--timeout", "500ms"))
    assert ended.code == ExitCode.TIME_IS_UP
    assert ended.err == (
        "Error: The instance has not finished in time. It continues;"
        " `flowflare get` shows its status.\n"
    )


def test_a_value_that_the_service_refuses_is_reported(flow: CommandLine) -> None:
    ended = flow.inside("start", "order-processing", "--id", "not an id")
    assert ended.code == ExitCode.USAGE
    assert "Error: Refused: instanceId: the engine accepts letters" in ended.err


# --- get


def test_get_draws_the_steps_over_time(flow: CommandLine, api: Api) -> None:
    name = report_failing_run(api, "cli-drawn", reference=("order", "77"))
    shown = flow.on_terminal("get", name, columns=100, environment={"NO_COLOR": "1"})
    assert shown.code == ExitCode.OK
    assert ESCAPE not in shown.out
    for expected in (
        rf"{name}  ERRORED",
        r"workflow  cli-drawn",
        r"reference order 77",
        r'input     \{"amount":25\}',
        r"error     Declined: no money",
        r"1 send mail +COMPLETED +2 .*█",
        r"2 nap +COMPLETED .*━",
        r"3 charge +FAILED +1 .*█",
        r"1 send mail  at most 3 tries, exponential delay of 1\.0s",
        r"  try 1  Timeout: no answer  .*tried again after",
    ):
        assert re.search(expected, shown.out), (expected, shown.out)
    assert "\x1b[31m" not in shown.out
    assert all(len(line) <= 100 for line in shown.out.splitlines())


def test_get_shows_colours_on_terminals_only(flow: CommandLine, api: Api) -> None:
    name = report_failing_run(api, "cli-drawn")
    assert ESCAPE in flow.on_terminal("get", name).out
    assert ESCAPE not in flow.on_terminal("get", name, "--no-color").out
    assert ESCAPE in flow("get", name, environment={"FORCE_COLOR": "1"}).out


def test_get_fits_a_narrow_terminal_and_one_without_unicode(flow: CommandLine, api: Api) -> None:
    name = report_failing_run(api, "cli-drawn")
    narrow = flow.on_terminal("get", name, columns=40, environment={"NO_COLOR": "1"})
    assert "█" not in narrow.out
    table = narrow.out.split("\n\n")[1]
    assert all(len(line) <= 40 for line in table.splitlines()), table
    plain = flow("get", name, environment={"PYTHONIOENCODING": "ascii", "COLUMNS": "100"})
    assert plain.code == ExitCode.OK
    assert re.search(r"1 send mail +COMPLETED +2 .*#", plain.out)
    assert plain.out.isascii()


def test_get_with_stacks(flow: CommandLine, api: Api) -> None:
    name = report_failing_run(api, "cli-drawn")
    assert "at line 1" not in flow.inside("get", name).out
    assert "    at line 1\n" in flow.inside("get", name, "--stack").out


def test_get_shows_the_runs_of_an_instance(flow: CommandLine, api: Api) -> None:
    name = new_name("order")
    order = ("start", "order-processing", "--id", name, "--wait")
    assert flow.inside(*order, "--input", '{"items": []}').code == ExitCode.FAILED
    first = flow.inside("get", name).out
    assert "\nrun " not in first
    assert flow.inside("restart", name).out.startswith(f"{name}\torder-processing\t")
    assert flow.inside("watch", name).code == ExitCode.FAILED
    assert "\nrun       2  earlier ones: --run 1\n" in flow.inside("get", name).out
    for number in ("1", "2"):
        shown = flow.inside("get", name, "--run", number, "-w", "order-processing").out
        assert shown.startswith(f"{name}  ERRORED\nworkflow  order-processing\n")
        assert f"\nrun       {number} of 2\n" in shown
        assert re.search(r"^error +ValueError: an order needs", shown, re.MULTILINE)
        assert re.search(r"^1 validate +FAILED", shown, re.MULTILINE)
    document = flow.inside("get", name, "--run", "1", "--json").document
    assert (document["workflow"]["name"], document["instanceId"]) == ("order-processing", name)
    assert document["run"] == 2
    [run] = document["runs"]
    assert (run["number"], run["status"], run["steps"][0]["run"]) == (1, "ERRORED", 1)
    [expected] = api.data(
        "query ($id: String!) { instance(instanceId: $id) { runs { number startedAt completedAt"
        " duration error { name } } } }",
        id=name,
    ).values()
    assert expected["runs"][1]["completedAt"] == run["completedAt"]
    assert flow.inside("get", name, "--json").document["run"] == 2
    missing = flow.inside("get", name, "--run", "3")
    assert missing.code == ExitCode.NOT_FOUND
    assert missing.err == f"Error: There is no run 3 of {name!r}. The current one is 2.\n"


def test_occurrences_of_a_step_are_numbered(flow: CommandLine, api: Api) -> None:
    name, before = new_name("loop"), api.data("{ events(first: 0) { cursor } }")["events"]["cursor"]
    error = {"name": "Busy", "message": "later"}
    track(
        api,
        instance(name, workflow="cli-loop", status="RUNNING"),
        step(name, "load", "COMPLETED"),
        step(name, "load", "FAILED", occurrence=3, error=error),
        instance(name, workflow="cli-loop", status="COMPLETED"),
    )
    shown = flow.inside("get", name).out
    assert re.search(r"^1 load +COMPLETED", shown, re.MULTILINE)
    assert re.search(r"^2 load #3 +FAILED", shown, re.MULTILINE)
    assert "\n2 load #3\n  try 1  Busy: later" in shown
    rows = [
        line.split("\t") for line in flow.inside("watch", name, "--after", before).out.splitlines()
    ]
    assert [row[7] for row in rows if row[5].startswith("STEP")] == [
        *("load", "load", "load #3", "load #3")
    ]
    watched = flow.on_terminal("watch", name, "--after", before, "--no-color")
    assert "STEP_FAILED  load #3, try 1" in watched.out
    document = flow.inside("get", name, "--json").document
    assert [step["occurrence"] for step in document["steps"]] == [1, 3]


def test_get_as_json_equals_the_answer_of_the_api(flow: CommandLine, api: Api) -> None:
    name = report_failing_run(api, "cli-drawn")
    document = flow("get", name, "--json").document
    selection = """
      instanceId status input output metadata duration createdAt workflow { id name }
      error { name message stack }
      steps {
        name index kind status output attemptCount duration startedAt
        retryPolicy { limit delay backoff }
        attempts { number status startedAt endedAt retryAt error { name message stack } }
      }
    """
    [expected] = api.data(
        f"query ($id: String!) {{ instance(instanceId: $id) {{ {selection} }} }}", id=name
    ).values()
    assert {key: document[key] for key in expected if key != "steps"} == {
        key: value for key, value in expected.items() if key != "steps"
    }
    assert [
        {key: found[key] for key in wanted}
        for found, wanted in zip(document["steps"], expected["steps"], strict=True)
    ] == expected["steps"]


def test_instances_with_one_id_are_told_apart(flow: CommandLine, api: Api) -> None:
    name = new_name("twins")
    workflows = [f"{name}-a", f"{name}-b"]
    reference = {"refType": "order", "refId": name}
    for workflow in workflows:
        track(api, instance(name, workflow=workflow, status="RUNNING", reference=reference))
    for arguments in (["list", "--search", name, "--asc"], ["ref", "order", name]):
        rows = [line.split("\t") for line in flow.inside(*arguments).out.splitlines()]
        assert sorted(row[:2] for row in rows) == [[name, workflow] for workflow in workflows]
        nodes = flow.inside(*arguments, "--json").document
        nodes = nodes["nodes"] if "nodes" in nodes else nodes["instances"]["nodes"]
        assert sorted(node["workflow"]["name"] for node in nodes) == workflows
        shown = flow.on_terminal(*arguments, columns=60, environment={"NO_COLOR": "1"})
        assert all(f"{name}  {workflow} " in shown.out for workflow in workflows), shown.out
    for workflow in workflows:
        shown = flow.inside("get", name, "--workflow", workflow)
        assert shown.out.startswith(f"{name}  RUNNING\nworkflow  {workflow}\n")
        found = flow.inside("get", name, "-w", workflow, "--json").document
        assert (found["instanceId"], found["workflow"]["name"]) == (name, workflow)


def test_an_unknown_instance_is_not_found(flow: CommandLine) -> None:
    for arguments in (
        ["get", "nowhere"],
        ["get", "nowhere", "-w", "cli-none", "--run", "1"],
        ["pause", "nowhere"],
        ["watch", "nowhere"],
    ):
        ended = flow.inside(*arguments)
        assert ended.code == ExitCode.NOT_FOUND, arguments
        assert "nowhere" in ended.err
        assert "`flowflare list` shows the instances there are." in ended.err


# --- list


def test_list_is_a_table_on_a_terminal(flow: CommandLine, workflow: str) -> None:
    shown = flow.on_terminal("list", "-w", workflow, columns=120, environment={"NO_COLOR": "1"})
    heading, *rows = shown.out.splitlines()
    assert heading.split() == ["Instance", "Workflow", "Reference", "Status", "Created", "Took"]
    assert [re.split(r" {2,}", row.strip())[:3] for row in rows][1][1:] == [workflow, "COMPLETED"]
    assert re.search(rf"{workflow}  order {workflow}  ERRORED", rows[2])
    narrow = flow.on_terminal("list", "-w", workflow, columns=40, environment={"NO_COLOR": "1"})
    assert narrow.out.split("\n")[0].split() == ["Instance", "Workflow", "Status"]
    assert all(len(line) <= 40 for line in narrow.out.splitlines())


def test_list_is_tab_separated_in_a_pipe(flow: CommandLine, workflow: str) -> None:
    rows = [line.split("\t") for line in flow("list", "-w", workflow).out.splitlines()]
    assert [row[2] for row in rows] == ["RUNNING", "COMPLETED", "ERRORED"]
    assert {len(row) for row in rows} == {10}
    assert rows[2][1] == workflow
    assert rows[2][3] == f"order {workflow}"
    assert rows[2][8] == "Declined: no money"
    assert rows[0][6:] == ["", "", "", ""]


def test_an_instance_that_nothing_will_run_is_marked(flow: CommandLine) -> None:
    name = new_name("waiting")
    flow.inside("start", name, "--track-only", "--id", name)
    [row] = flow.inside("list", "-w", name).out.splitlines()
    assert row.split("\t")[9] == "unbound"
    plain = {"NO_COLOR": "1"}
    assert "QUEUED, unbound" in flow.on_terminal("list", "-w", name, environment=plain).out
    assert "\nunbound   no Workflow is bound" in flow.inside("get", name).out
    assert flow.inside("workflows", "--search", name).out.split("\t")[6] == "no\n"
    flow.inside("start", "order-processing")
    bound = flow.on_terminal("workflows", "--search", "order-processing", columns=140)
    assert "yes" in bound.out


def test_list_without_instances(flow: CommandLine) -> None:
    assert flow.inside("list", "-w", "cli-none").out == ""
    assert "No instances." in flow.on_terminal("list", "-w", "cli-none").out
    assert flow.inside("list", "-w", "cli-none", "--json").document["nodes"] == []


def test_every_filter_selects(flow: CommandLine, workflow: str) -> None:
    def statuses(*arguments: str) -> list[str]:
        document = flow.inside("list", "-w", workflow, "--json", *arguments).document
        return [node["status"] for node in document["nodes"]]

    ids = [node["instanceId"] for node in flow("list", "-w", workflow, "--json").document["nodes"]]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for arguments, expected in (
        (["-s", "errored", "-s", "RUNNING"], ["RUNNING", "ERRORED"]),
        (["--ref", "order", workflow], ["ERRORED"]),
        (["--ref-type", "order"], ["ERRORED"]),
        (["--ref-id", workflow], ["ERRORED"]),
        (["--ref-id", "another"], []),
        (["--search", ids[0]], ["RUNNING"]),
        (["--since", "1h"], ["RUNNING", "COMPLETED", "ERRORED"]),
        (["--since", soon], []),
        (["--until", "1h"], []),
        (["--updated-since", "1h", "--updated-until", soon], ["RUNNING", "COMPLETED", "ERRORED"]),
        (["--updated-until", "1h"], []),
        (["--completed-since", "1h"], ["COMPLETED", "ERRORED"]),
        (["--completed-until", "1h"], []),
        (["--retrying"], ["RUNNING"]),
        (["--not-retrying"], ["COMPLETED", "ERRORED"]),
        (["--stalled-for", "0s"], ["RUNNING"]),
        (["--stalled-for", "1d"], []),
        (["--asc"], ["ERRORED", "COMPLETED", "RUNNING"]),
        (["--order", "updated"], ["RUNNING", "COMPLETED", "ERRORED"]),
        (["--limit", "1"], ["RUNNING"]),
    ):
        assert statuses(*arguments) == expected, arguments


def test_a_second_workflow_is_selected_as_well(flow: CommandLine, workflow: str, api: Api) -> None:
    name = new_name("workflow")
    track(api, instance(new_name("other"), workflow=name))
    rows = flow.inside("list", "-w", workflow, "-w", name).out.splitlines()
    assert len(rows) == 4


def test_pages_go_both_ways(flow: CommandLine, workflow: str) -> None:
    first = flow.inside("list", "-w", workflow, "-n", "2", "--total", "--json").document
    assert [node["status"] for node in first["nodes"]] == ["RUNNING", "COMPLETED"]
    assert first["totalCount"] == 3
    assert first["pageInfo"]["hasNextPage"]
    end = first["pageInfo"]["endCursor"]
    second = flow.inside("list", "-w", workflow, "--after", end, "--json").document
    assert [node["status"] for node in second["nodes"]] == ["ERRORED"]
    start = second["pageInfo"]["startCursor"]
    back = flow.inside("list", "-w", workflow, "--before", start, "-n", "1", "--json").document
    assert [node["status"] for node in back["nodes"]] == ["COMPLETED"]
    assert back["pageInfo"]["hasPreviousPage"]
    refused = flow.inside("list", "-w", workflow, "--after", "nonsense")
    assert refused.code == ExitCode.USAGE
    assert "after: must be a cursor of this list" in refused.err


def test_all_reads_every_page(flow: CommandLine, api: Api) -> None:
    name = new_name("many")
    ids = [f"{name}-{number:03}" for number in range(130)]
    for some in (ids[:100], ids[100:]):
        track(api, *(instance(instance_id, workflow=name) for instance_id in some))
    everything = flow.inside("list", "-w", name, "--all", "--json").document
    assert sorted(node["instanceId"] for node in everything["nodes"]) == ids
    assert not everything["pageInfo"]["hasNextPage"]
    assert len(flow.inside("list", "-w", name, "-n", "120").out.splitlines()) == 120
    shown = flow.on_terminal("list", "-w", name, "-n", "120", "--total")
    assert "More: --after " in shown.err
    assert "130 in total." in shown.err


def test_a_pipe_that_is_closed_ends_the_command_quietly(flow: CommandLine, workflow: str) -> None:
    closing = subprocess.run(
        f"{' '.join(COMMAND)} list -w {workflow} --json | true; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=flow.folder,
        env=flow.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert closing.stdout == f"{ExitCode.BROKEN_PIPE.value}\n"
    assert closing.stderr == ""


# --- ref, workflows, stats


def test_ref_shows_the_instances_that_work_on_an_entity(flow: CommandLine, workflow: str) -> None:
    [row] = flow.inside("ref", "order", workflow).out.splitlines()
    assert row.split("\t")[1:4] == [workflow, "ERRORED", f"order {workflow}"]
    shown = flow.on_terminal("ref", "order", workflow, environment={"NO_COLOR": "1"})
    assert shown.out.startswith("ERRORED 1\n")
    document = flow.inside("ref", "order", workflow, "--json").document
    assert (document["refType"], document["refId"]) == ("order", workflow)
    assert document["statusCounts"] == [{"status": "ERRORED", "count": 1}]
    assert [node["status"] for node in document["instances"]["nodes"]] == ["ERRORED"]
    assert flow.inside("ref", "order", "cli-none", "--json").document["instances"]["nodes"] == []


def test_workflows(flow: CommandLine, workflow: str, api: Api) -> None:
    api.data(
        "mutation ($input: RegisterWorkflowInput!) { registerWorkflow(input: $input)"
        " { __typename } }",
        input={"name": workflow, "description": "Of the tests", "retentionDays": 30},
    )
    [row] = flow.inside("workflows", "--search", workflow).out.splitlines()
    name, total, counts, latest, days, description, bound = row.split("\t")
    assert bound == "no"
    assert (name, total, days, description) == (workflow, "3", "30", "Of the tests")
    assert set(counts.split()) == {"RUNNING=1", "COMPLETED=1", "ERRORED=1"}
    assert latest.startswith("cli-running-")
    shown = flow.on_terminal("workflows", "--search", workflow, columns=140)
    assert "30 days" in shown.out
    [node] = flow.inside("workflows", "--search", workflow, "--json").document["nodes"]
    assert (node["name"], node["retentionDays"]) == (workflow, 30)
    assert "No workflows." in flow.on_terminal("workflows", "--search", "cli-none").out


def test_stats(flow: CommandLine, workflow: str) -> None:
    rows = [
        line.split("\t")
        for line in flow.inside("stats", "-w", workflow, "--slices", "3").out.splitlines()
    ]
    figures = {row[0]: row[1] for row in rows if len(row) == 2}
    assert figures["total"] == "3"
    assert figures["ERRORED"] == "1"
    assert figures["retries"] == "2"
    assert float(figures["p50"]) <= float(figures["p95"])
    slices = [row for row in rows if row[0] == "slice"]
    assert len(slices) == 3
    assert slices[-1][2:] == ["3", "1", "1"]
    shown = flow.on_terminal("stats", "-w", workflow, environment={"NO_COLOR": "1"})
    assert re.search(r"COMPLETED +1  █+\n", shown.out)
    assert re.search(r"started +█  3\n", shown.out)
    assert "median" in shown.out
    document = flow.inside("stats", "-w", workflow, "--json").document
    assert document["total"] == 3
    assert isinstance(document["durationP50"], int)
    assert len(document["timeline"]) == 24
    empty = flow.on_terminal("stats", "-w", "cli-none", environment={"NO_COLOR": "1"})
    assert empty.out == "instances  0\nretries    0\n"
