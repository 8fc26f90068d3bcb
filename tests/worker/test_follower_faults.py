"""Nothing of a history is missing or doubled after evictions, crashes and failures of D1."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from scripts.local_server import LocalServer
from tests.worker.api import Api
from tests.worker.engine_history import assert_recorded
from tests.worker.event_log import events_after, head
from tests.worker.plain_workflow import (
    FOLDER,
    PROMPTLY_S,
    RETRIES,
    Deed,
    assert_followed,
    send,
    show,
    start,
    until_status,
    until_step,
    whole_history,
)
from tests.worker.subscribers import NodeClients
from tests.worker.test_workflows import QUERY, SUBSCRIPTION

if TYPE_CHECKING:
    from pathlib import Path

# The runtime evicts an object after about ten idle seconds.
EVICTED_S = 17
D1_STATEMENTS = 500


def cost(server: LocalServer) -> Any:
    """The cost of following since the shard was created."""
    return server.follower("status")["cost"]


def test_a_follower_whose_instances_rest_leaves_memory_and_wakes_in_time(
    plain: LocalServer, plain_api: Api
) -> None:
    retries = {"limit": 1, "delay": 25_000, "backoff": "constant"}
    plans: list[list[Deed]] = [
        [["do", "one", 1], ["sleep", "nap", 25_000], ["do", "two", 1]],
        [["retry", "pay", retries, 1]],
    ]
    started = [start(plain_api, plan) for plan in plans]
    until_status(plain_api, started[0], "SLEEPING")
    until_step(plain_api, started[1], "pay", "RETRYING")
    time.sleep(EVICTED_S)
    assert not plain.evict(class_name="WorkflowFollower"), "the object is still in memory"
    for instance_id in started:
        assert_followed(plain, plain_api, instance_id)
        recorded = time.time()
        ended = whole_history(plain, instance_id)[-1]["timestamp"] / 1000
        assert recorded - ended < PROMPTLY_S


def test_an_eviction_of_the_follower_loses_nothing(plain: LocalServer, plain_api: Api) -> None:
    plan: list[Deed] = [["loop", "a", 20], ["sleep", "nap", 3000], ["loop", "b", 20]]
    instance_id = start(plain_api, plan)
    for _ in range(3):
        time.sleep(0.3)
        plain.evict(class_name="WorkflowFollower")
    assert_followed(plain, plain_api, instance_id)


def test_a_failure_of_the_database_delays_only(plain: LocalServer, plain_api: Api) -> None:
    plan: list[Deed] = [["loop", "a", 10], ["sleep", "nap", 1000], ["loop", "b", 10]]
    started = [start(plain_api, plan) for _ in range(5)]
    # Every batch of the follower fails.
    plain.query("ALTER TABLE refusals RENAME TO missing")
    try:
        plain.wait_for_log("no such table: refusals")
        time.sleep(2)
    finally:
        plain.query("ALTER TABLE missing RENAME TO refusals")
    for instance_id in started:
        assert_followed(plain, plain_api, instance_id)
    assert all(row["failures"] == 0 for row in plain.follower("status")["instances"])


def test_values_of_many_megabytes_are_recorded_in_bounded_batches(
    plain: LocalServer, plain_api: Api
) -> None:
    many: list[Deed] = [["value", f"v{n}", "megabyte"] for n in range(12)]
    started = [start(plain_api, many) for _ in range(4)]
    for instance_id in started:
        assert_followed(plain, plain_api, instance_id)
    assert cost(plain)["mostBytes"] <= 8 * 1024 * 1024


def test_an_invocation_has_fewer_statements_than_d1_allows(
    plain: LocalServer, plain_api: Api
) -> None:
    before = cost(plain)
    assert_followed(plain, plain_api, start(plain_api, [["loop", "many", 300]]))
    after = cost(plain)
    assert after["statements"] - before["statements"] > D1_STATEMENTS
    assert after["invocations"] > before["invocations"]
    assert 0 < after["largestInvocation"] <= D1_STATEMENTS


def test_instances_survive_kills_of_everything(prepared: None, tmp_path: Path) -> None:
    plan: list[Deed] = [
        ["loop", "a", 10],
        ["retry", "pay", RETRIES[0], 2],
        ["parallel", 4, 100],
        ["sleep", "nap", 1500],
        ["loop", "b", 10],
        ["wait", "hold", "go"],
    ]
    chance = random.Random(13)
    server = LocalServer(vars={"FOLLOWER_SHARDS": "2"}, beside=[FOLDER], state=tmp_path / "state")
    server.start()
    try:
        with Api(server) as api, NodeClients() as node:
            after = head(api)
            node.open("kills", server)
            variables = {"filter": {"workflow": ["plain"]}, "after": after}
            inbox = node.subscribe(
                "kills", "kills-events", SUBSCRIPTION, variables=variables, resume=True
            )
            started = [start(api, plan) for _ in range(20)]
            for _ in range(4):
                time.sleep(chance.uniform(0.1, 2))
                server.crash()
                server.start()
                # The local engine goes on when it gets an event.
                for instance_id in started:
                    server.fetch("plain", f"/{instance_id}/event", method="POST")
            for instance_id in started:
                until_step(api, instance_id, "hold", "RUNNING")
            for instance_id in started:
                send(api, instance_id, "go")
                until_status(api, instance_id, "COMPLETED")
            for instance_id in started:
                history = whole_history(server, instance_id)
                assert_recorded(show(api, instance_id), history)
            log = events_after(api, after, query=QUERY, filter_={"workflow": ["plain"]})
            inbox.until(lambda inbox: len(inbox.events) >= len(log))
            assert inbox.events == log
    finally:
        server.stop()
