"""Restarts of a followed instance: what each keeps, and what concurrent ones lead to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.worker.api import Api, act, run_cron
from tests.worker.test_runs import SHOW, instance_id, log_of, restart, show, start, until

if TYPE_CHECKING:
    from scripts.local_server import LocalServer

__all__ = ["instance_id"]

TRACKED = "order-processing"


def test_a_restart_begins_the_next_run_and_keeps_the_ones_before(
    api: Api, instance_id: str
) -> None:
    start(api, TRACKED, instance_id, holdMs=1, failPayments=1)
    ended = [until(api, instance_id, 1, "COMPLETED")]
    for number in (2, 3):
        restart(api, instance_id)
        ended.append(until(api, instance_id, number, "COMPLETED"))
    for number, instance in enumerate(ended, 1):
        assert instance["run"] == number
        assert [run["number"] for run in instance["runs"]] == list(range(number, 0, -1))
        current, *before = instance["runs"]
        for field in ("status", "output", "error", "startedAt", "completedAt", "steps"):
            assert current[field] == instance[field], field
        # The rows of the run stay as they were.
        assert before == [earlier["runs"][0] for earlier in reversed(ended[: number - 1])]
        assert [step["name"] for step in current["steps"]] == [
            "validate",
            "charge card",
            "hold for stock",
            "ship",
        ]
        assert {step["run"] for step in current["steps"]} == {number}
        assert current["output"] == {"paymentId": "pay-2", "parcels": 1}
        assert current["duration"] >= 0
        charge = current["steps"][1]
        assert [attempt["status"] for attempt in charge["attempts"]] == ["FAILED", "COMPLETED"]
        assert charge["attempts"][0]["error"] == {"message": "card declined at attempt 1"}
    last = ended[-1]
    first, *later = (log_of(last, number) for number in (1, 2, 3))
    assert [first[0], first[-1]] == [
        ("INSTANCE_QUEUED", None, None),
        ("INSTANCE_COMPLETED", None, None),
    ]
    assert later == [[("INSTANCE_RESTARTED", None, None), *first[1:]]] * 2
    for event in last["events"]["events"]:
        assert event["step"] is None or event["step"]["run"] == event["run"]


def test_concurrent_restarts_number_the_runs_without_gaps(
    api: Api, server: LocalServer, instance_id: str
) -> None:
    start(api, TRACKED, instance_id, holdMs=600_000, failPayments=0)
    api.until(SHOW, lambda data: data["instance"]["status"] == "SLEEPING", id=instance_id)
    query = """mutation($input: InstanceActionInput!) {
      answer: restartWorkflow(input: $input) {
        __typename ... on InstancePayload { instance { run } } ... on Error { code }
      }
    }"""

    def call(_: int) -> Any:
        with Api(server) as caller:
            return caller.data(query, input={"instanceId": instance_id})["answer"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(8)))
    kinds = {answer["__typename"] for answer in answers}
    assert "InstancePayload" in kinds
    # A second restart is refused while the instance is queued, here or in the engine.
    assert kinds <= {"InstancePayload", "IllegalTransition", "EngineUnavailable"}
    instance = show(api, instance_id)
    count = instance["run"]
    assert [run["number"] for run in instance["runs"]] == list(range(count, 0, -1))
    types = [event["type"] for event in instance["events"]["events"]]
    assert types.count("INSTANCE_RESTARTED") == count - 1
    runs = [event["run"] for event in instance["events"]["events"]]
    assert runs == sorted(runs)
    # Each run was begun by one restart.
    begun = sorted(answer["instance"]["run"] for answer in answers if "instance" in answer)
    assert len(begun) == len(set(begun))
    assert set(begun) <= set(range(2, count + 1))
    assert all(run["status"] == "TERMINATED" for run in instance["runs"][1:])
    # The last run goes on, and the next restart is an ordinary one.
    api.until(SHOW, lambda data: data["instance"]["status"] == "SLEEPING", id=instance_id)
    restart(api, instance_id)
    assert show(api, instance_id)["run"] == count + 1
    assert act(api, "terminateWorkflow", instance_id)["instance"] == {"status": "TERMINATED"}


def test_a_run_that_is_recorded_as_terminated_has_ended_in_the_engine(
    api: Api, server: LocalServer, instance_id: str
) -> None:
    names = [f"{instance_id}-{number}" for number in range(12)]
    for name in names:
        start(api, TRACKED, name, holdMs=600_000, failPayments=0)
    with ThreadPoolExecutor(2) as pool, Api(server) as other:
        for name in names:
            api.until(SHOW, lambda data: data["instance"]["status"] == "SLEEPING", id=name)
            begun = pool.submit(act, other, "restartWorkflow", name)
            ended = pool.submit(act, api, "terminateWorkflow", name)
            begun.result(), ended.result()
    recorded = {name: show(api, name)["status"] for name in names}
    terminated = [name for name in names if recorded[name] == "TERMINATED"]
    # The cron trigger compares unfinished instances only.
    for name in terminated:
        server.query(
            "UPDATE instances SET status='UNKNOWN',completed_at=NULL,"
            "updated_at='2020-01-01T00:00:00.000Z' WHERE instance_id=?1",
            [name],
        )
    # The first run leaves the difference to the follower, and the second one repairs it.
    run_cron(server)
    run_cron(server)
    in_engine = {name: show(api, name)["status"] for name in terminated}
    assert in_engine == dict.fromkeys(terminated, "TERMINATED")
