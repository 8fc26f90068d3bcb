"""Three reporters at once: some order of their calls explains every result, the log and the state.

The service takes calls one after the other, in an order that nobody sees. So the test searches for
one: it respects the order in which calls began and ended, and a model (report_model.py) that
applies the calls in it gives exactly the results that the callers got, the events of the log in
their order, and the instance that is there in the end.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.local_server import LocalServer
from tests.worker.api import Api
from tests.worker.event_log import START
from tests.worker.report_model import Event, Instance, apply, refuse_restart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 16
REPORTERS = 3
CALLS = 20
_ERRORS = """... on RunMismatch { run } ... on IllegalTransition { from to stepFrom stepTo }
  ... on NotFound { code message } ... on InvalidInput { code message }"""
_INSTANCE = "run status output error { message } metadata"
_STEP = """run name occurrence index status attemptCount output error { message }
  attempts { number status error { message } }"""
QUERIES = {
    "instance": f"""mutation($given: UpdateWorkflowInstanceInput!) {{
      answer: updateWorkflowInstance(input: $given) {{
        __typename {_ERRORS} ... on InstancePayload {{ instance {{ {_INSTANCE} }} }}
      }}
    }}""",
    "step": f"""mutation($given: UpdateWorkflowStepInput!) {{
      answer: updateWorkflowStep(input: $given) {{
        __typename {_ERRORS} ... on StepPayload {{ step {{ {_STEP} }} }}
      }}
    }}""",
    "track": f"""mutation($given: [TrackingUpdate!]!) {{
      answer: track(updates: $given) {{
        __typename {_ERRORS} ... on TrackPayload {{ applied }}
      }}
    }}""",
    "restart": """mutation($given: InstanceActionInput!) {
      answer: restartWorkflow(input: $given) {
        __typename ... on InstancePayload { instance { run status } }
        ... on IllegalTransition { from to stepFrom stepTo } ... on EngineUnavailable { message }
      }
    }""",
}
SHOW = f"""query($id: String!) {{
  instance(instanceId: $id) {{
    {_INSTANCE} runs(first: 50) {{ number status output error {{ message }} steps {{ {_STEP} }} }}
    events(first: 1000) {{
      events {{ type run status step {{ name occurrence }} attempt data }} hasMore
    }}
  }}
}}"""
# Most reports are about a running instance, but each status is reported.
INSTANCE_STATUSES = [
    *["RUNNING"] * 6,
    *["SLEEPING", "WAITING", "WAITING_FOR_PAUSE", "PAUSED", "UNKNOWN"] * 2,
    *["COMPLETED", "ERRORED", "TERMINATED"],
]
STEP_STATUSES = [*["RUNNING", "RETRYING"] * 4, *["COMPLETED", "FAILED"] * 2, "PENDING"]


@dataclass(frozen=True)
class Call:
    """A call that was made: its content, its result, and when it began and ended."""

    call: dict[str, Any]
    result: dict[str, Any]
    began: float
    ended: float


class Reporters:
    """Several callers that report on one instance at once; one of them also restarts it."""

    def __init__(self, server: LocalServer, instance_id: str, seed: int) -> None:
        self._server = server
        self._instance_id = instance_id
        self._seed = seed
        # The last run and the reports of the others that a reporter knows.
        self._run = 1
        self._sent: list[dict[str, Any]] = []
        self._together = threading.Barrier(REPORTERS)

    def run(self) -> list[list[Call]]:
        """The calls of each reporter, in its order."""
        with ThreadPoolExecutor(REPORTERS) as pool:
            return list(pool.map(self._report, range(REPORTERS)))

    def _report(self, number: int) -> list[Call]:
        choice = random.Random(f"{self._seed} {number}")
        made: list[Call] = []
        with Api(self._server) as api:
            api.data("{ __typename }")
            self._together.wait()
            for _ in range(CALLS):
                call = self._choose(choice, may_restart=number == 0)
                [(kind, given)] = call.items()
                began = time.monotonic()
                result = api.data(QUERIES[kind], given=given)["answer"]
                made.append(Call(call, result, began, time.monotonic()))
                if "restart" in call and "instance" in result:
                    self._run = result["instance"]["run"]
        return made

    def _choose(self, choice: random.Random, *, may_restart: bool) -> dict[str, Any]:
        if may_restart and choice.random() < 0.2:
            return {"restart": {"instanceId": self._instance_id}}
        if self._sent and choice.random() < 0.2:
            return choice.choice(self._sent)  # doubled, or late
        if choice.random() < 0.25:
            call: dict[str, Any] = {"track": [self._update(choice) for _ in range(3)]}
        else:
            call = self._update(choice)
        self._sent.append(call)
        return call

    def _update(self, choice: random.Random) -> dict[str, Any]:
        run = choice.choice([None, None, self._run, self._run, self._run - 1, self._run + 1])
        given: dict[str, Any] = {"instanceId": self._instance_id}
        if run:
            given["run"] = run
        mark = f"{choice.getrandbits(32):08x}"
        if choice.random() < 0.3:
            given["status"] = choice.choice([*INSTANCE_STATUSES, None])
            if choice.random() < 0.3:
                given["output"] = mark
            if choice.random() < 0.3:
                given["metadata"] = {choice.choice("ab"): choice.choice([1, 2, None])}
            if given["status"] == "ERRORED":
                given["error"] = {"message": mark}
            return {"instance": given}
        given |= {
            "name": choice.choice(["load", "load (2)"]),
            "status": choice.choice(STEP_STATUSES),
        }
        if choice.random() < 0.5:
            given["occurrence"] = choice.choice([1, 2])
        if choice.random() < 0.6:
            given["attempt"] = choice.choice([1, 1, 2, 2, 3, 5])
        if choice.random() < 0.4:
            given["output"] = mark
        if given["status"] in ("RETRYING", "FAILED"):
            given["error"] = {"message": mark}
        return {"step": given}


class Search:
    """A search for an order of calls that explains what was seen."""

    def __init__(
        self, calls: Sequence[Sequence[Call]], log: Sequence[Any], shown: dict[str, Any]
    ) -> None:
        self._calls = calls
        self._log = log
        self._shown = shown
        self._seen: set[str] = set()
        # The furthest that an order came, and why it did not go on.
        self._furthest = -1
        self._reasons: list[str] = []

    def explain(self) -> str | None:
        """Return None if there is such an order; otherwise the reasons why the longest ones end."""
        # Each entry: the number of calls taken of each reporter, the instance, the number of events
        # that the calls wrote, and whether the restart of the first reporter has read its status.
        waiting = [((0,) * len(self._calls), Instance(), 1, False)]
        while waiting:
            taken, instance, events, has_read = waiting.pop()
            key = json.dumps([taken, events, has_read, instance.shown()])
            if key in self._seen:
                continue
            self._seen.add(key)
            if all(done == len(calls) for done, calls in zip(taken, self._calls, strict=True)):
                if events == len(self._log) and instance.shown() == self._shown:
                    return None
                self._note(
                    taken,
                    f"in the end, of {len(self._log)} events, {events} are"
                    f" explained, and the instance is {self._shown}, not {instance.shown()}",
                )
                continue
            for number in self._next(taken):
                call = self._calls[number][taken[number]]
                if "restart" in call.call and not has_read:
                    refused = refuse_restart(instance)
                    if refused is None:
                        waiting.append((taken, instance, events, True))
                        continue
                    after, result, written = instance, refused, list[Event]()
                else:
                    after, result, written = apply(instance, call.call)
                end = events + len(written)
                if result != call.result or sorted_ends(written) != self._log[events:end]:
                    self._note(
                        taken,
                        f"{call.call} of reporter {number} had the result"
                        f" {call.result} and the log goes on with"
                        f" {self._log[events : events + 4]}; in this order it would be"
                        f" {result} with the events {written}",
                    )
                    continue
                rest = tuple(done + (n == number) for n, done in enumerate(taken))
                waiting.append((rest, after, end, has_read and number != 0))
        return f"after {self._furthest} calls:\n" + "\n".join(self._reasons)

    def _next(self, taken: Sequence[int]) -> list[int]:
        """The reporters whose next call may be the next: no other call ended before it began."""
        heads = {
            number: self._calls[number][done]
            for number, done in enumerate(taken)
            if done < len(self._calls[number])
        }
        first_end = min(call.ended for call in heads.values())
        return [number for number, call in heads.items() if call.began <= first_end]

    def _note(self, taken: Sequence[int], reason: str) -> None:
        if sum(taken) > self._furthest:
            self._furthest, self._reasons = sum(taken), []
        if sum(taken) == self._furthest:
            self._reasons.append(reason)


def sorted_ends(events: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Events with those of steps that ended together in the order of their names."""
    found = list(events)
    start = 0
    while start < len(found):
        end = start
        while end < len(found) and found[end][0] == "STEP_CANCELLED":
            end += 1
        found[start:end] = sorted(found[start:end], key=str)
        start = end + 1
    return found


def log_of(events: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Events of the API in the form of the model's."""
    return sorted_ends(
        [
            (
                event["type"],
                event["run"],
                event["status"],
                event["step"]["name"] if event["step"] else None,
                event["step"]["occurrence"] if event["step"] else None,
                event["attempt"],
                ((event["data"] or {}).get("error") or {}).get("message"),
            )
            for event in events
        ]
    )


@pytest.fixture(scope="module")
def server(prepared: None) -> Iterator[LocalServer]:
    """A server that follows nothing, with a Workflow that leaves the reports to the tests."""
    folder = Path(__file__).parent / "engine_worker"
    with LocalServer(vars={"FOLLOWER_SHARDS": "0"}, beside=[folder]) as running:
        yield running


def test_some_order_explains_the_reports_of_three_at_once(server: LocalServer) -> None:
    happened: Counter[str] = Counter()
    with Api(server) as api:
        for seed in range(ROUNDS):
            instance_id = f"at-once-{uuid.uuid4()}"
            given = {"workflow": "untracked", "instanceId": instance_id, "input": {"event": "no"}}
            started = api.data(START, input=given)["startWorkflow"]
            assert started == {"__typename": "InstancePayload"}
            calls = Reporters(server, instance_id, seed).run()
            shown = api.data(SHOW, id=instance_id)["instance"]
            events = shown.pop("events")
            assert not events["hasMore"]
            log = log_of(events["events"])
            assert log[0] == ("INSTANCE_QUEUED", 1, "QUEUED", None, None, None, None)
            problem = Search(calls, log, shown).explain()
            assert problem is None, f"no order explains round {seed}: {problem}"
            happened += Counter(c.result["__typename"] for made in calls for c in made)
            happened += Counter(event[0] for event in log)
            happened["runs"] += shown["run"]
            happened["late failures"] += sum(
                event[0] == "ATTEMPT_FAILED"
                and before[0] not in ("ATTEMPT_STARTED", "STEP_STARTED")
                for before, event in itertools.pairwise(log)
            )
    # The rounds were not idle.
    expected = ["InstancePayload", "StepPayload", "TrackPayload", "RunMismatch"]
    expected += ["IllegalTransition", "STEP_CANCELLED", "INSTANCE_RESTARTED", "late failures"]
    assert all(happened[name] >= ROUNDS // 2 for name in expected), happened
    assert happened["runs"] >= 2 * ROUNDS, happened
