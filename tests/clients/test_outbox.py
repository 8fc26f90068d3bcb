"""The updates on their way: kept in order and bounded, through failures of a real HTTP server."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flowflare import Flowflare
from flowflare.outbox import Outbox, Update
from flowflare.reports import Reports
from flowflare.runs import Run
from tests.clients.gateway import Call, Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

APPLIED = {"data": {"track": {"__typename": "TrackPayload"}}}
REFUSED = {
    "data": {
        "track": {"__typename": "NotFound", "code": "NOT_FOUND", "message": "No such instance."}
    }
}

FOLLOWED = {"data": {"track": {"__typename": "TrackPayload", "followed": True}}}

RESTARTED = {
    "data": {
        "track": {
            "__typename": "RunMismatch",
            "code": "RUN_MISMATCH",
            "message": "'i-1' is in run 2.",
        }
    }
}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(script=lambda call: (200, APPLIED)) as running:
        yield running


@pytest.fixture
async def service(gateway: Gateway) -> AsyncIterator[Flowflare]:
    limit = timedelta(milliseconds=500)
    async with Flowflare(url=gateway.url, api_key="secret-key", timeout=limit) as flowflare:
        yield flowflare


def outbox(service: Flowflare, **limits: Any) -> Outbox:
    reports = Reports(service, Run("i-1", "send-invoice", number=1))
    return Outbox(reports, "instance 'i-1'", **{"first_retry_s": 0.01, "linger_s": 0.01, **limits})


def update(number: int, **more: Any) -> Update:
    return Update("step", f'"name":"{number}"', f"step {number}", **more)


def sent(call: Call) -> list[int]:
    """The numbers of the updates of a call."""
    return [int(given["step"]["name"]) for given in call.operation["variables"]["updates"]]


def batches(gateway: Gateway) -> list[list[int]]:
    return [sent(call) for call in gateway.calls]


async def emptied(box: Outbox) -> None:
    """Wait until all has gone."""
    async with asyncio.timeout(10):
        while len(box):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)


async def test_queued_updates_travel_with_flushed_ones(
    gateway: Gateway, service: Flowflare
) -> None:
    box = outbox(service, linger_s=60)
    box.put(update(1))
    box.put(update(2), update(3))
    assert gateway.calls == []
    await box.flush()
    assert batches(gateway) == [[1, 2, 3]]
    assert len(box) == 0
    await box.flush()
    assert len(gateway.calls) == 1
    assert gateway.calls[0].authorization == "Bearer secret-key"


async def test_an_update_that_nothing_follows_is_sent_after_a_while(
    gateway: Gateway, service: Flowflare
) -> None:
    box = outbox(service)
    box.put(update(1))
    await emptied(box)
    assert batches(gateway) == [[1]]


async def test_parallel_flushes_keep_the_order_and_share_calls(
    gateway: Gateway, service: Flowflare
) -> None:
    box = outbox(service, linger_s=60)

    async def step(number: int) -> None:
        box.put(update(number))
        await box.flush()
        assert number in [one for batch in batches(gateway) for one in batch]

    await asyncio.gather(*(step(number) for number in range(20)))
    assert [one for batch in batches(gateway) for one in batch] == list(range(20))
    assert len(gateway.calls) <= 3


async def test_failed_calls_are_repeated_in_order_without_blocking_callers(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    answers: Iterator[tuple[int, object]] = iter([(503, {}), (500, {}), (429, {})])
    gateway.script = lambda call: next(answers, (200, APPLIED))
    box = outbox(service)
    box.put(update(1))
    await box.flush()
    assert box.is_away
    box.put(update(2))
    await box.flush()
    await emptied(box)
    delivered = batches(gateway)[3:]
    assert [one for batch in delivered for one in batch] == [1, 2]
    # Said once, not each time.
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "secret-key" not in caplog.text


@pytest.mark.parametrize("mode", ["hang", "lose"])
async def test_a_call_without_an_answer_is_repeated(
    gateway: Gateway, service: Flowflare, mode: Any
) -> None:
    gateway.mode = mode
    if mode == "lose":
        gateway.target = "http://127.0.0.1:9"  # nobody is there
        gateway.script = None
    box = outbox(service)
    box.put(update(1))
    assert not await box.drain()
    assert len(box) == 1
    gateway.mode, gateway.script = "pass", lambda call: (200, APPLIED)
    assert await box.drain()
    assert batches(gateway)[-1] == [1]


async def test_a_refused_update_is_logged_and_the_others_are_sent(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.script = lambda call: (200, REFUSED if 2 in sent(call) else APPLIED)
    box = outbox(service)
    box.put(update(1), update(2), update(3))
    assert await box.drain()
    assert batches(gateway) == [[1, 2, 3], [1], [2], [3]]
    assert [record.getMessage() for record in caplog.records] == [
        "instance 'i-1': step 2 was refused: NOT_FOUND: No such instance."
    ]


async def test_a_refused_repetition_is_not_logged_as_a_warning(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    late = {"__typename": "IllegalTransition", "code": "ILLEGAL_TRANSITION", "message": "Late."}
    answers = iter([(503, {}), (200, {"data": {"track": late}})])
    gateway.script = lambda call: next(answers, (200, APPLIED))
    box = outbox(service)
    box.put(update(1))
    caplog.set_level(logging.INFO, logger="flowflare")
    assert not await box.drain()
    assert await box.drain()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_no_update_is_sent_before_the_number_of_the_run_is_known(
    gateway: Gateway, service: Flowflare
) -> None:
    record = {"workflow": {"name": "send-invoice"}, "status": "RUNNING", "run": 3, "steps": []}
    answers: Iterator[tuple[int, object]] = iter([(503, {}), (200, {"data": {"instance": record}})])
    gateway.script = lambda call: next(answers, (200, APPLIED))
    box = Outbox(Reports(service, Run("i-1", None)), "instance 'i-1'", first_retry_s=0.01)
    box.put(update(1))
    await box.flush()
    box.put(update(2))
    await emptied(box)
    assert [call.name for call in gateway.calls] == ["Look", "Look", "Track"]
    members = {"instanceId": "i-1", "workflow": "send-invoice", "run": 3}
    assert gateway.calls[2].operation["variables"]["updates"] == [
        {"step": {**members, "name": "1"}},
        {"step": {**members, "name": "2"}},
    ]


@pytest.mark.parametrize("refused_at", [1, 2])
async def test_the_updates_of_a_run_that_was_restarted_are_dropped_at_once(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture, refused_at: int
) -> None:
    # The first call may be refused for another reason, so that its updates are sent one by one.
    answers = iter([REFUSED] * (refused_at - 1))
    gateway.script = lambda call: (200, next(answers, RESTARTED))
    caplog.set_level(logging.INFO, logger="flowflare")
    box = outbox(service)
    box.put(*(update(number) for number in range(3)))
    await box.flush()
    assert len(box) == 0
    box.put(update(3, creates=True))
    await box.flush()
    assert await box.drain()
    box.close()
    assert len(gateway.calls) == refused_at
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "INFO",
            "instance 'i-1': it was restarted, so 3 updates of the run before are dropped:"
            " RUN_MISMATCH: 'i-1' is in run 2.",
        )
    ]
    assert box.lost == 0


async def test_updates_that_are_put_while_a_restart_is_found_out_are_dropped_too(
    gateway: Gateway, service: Flowflare
) -> None:
    box = outbox(service, linger_s=60)
    loop = asyncio.get_running_loop()

    def script(call: Call) -> tuple[int, object]:
        loop.call_soon_threadsafe(box.put, update(2))
        return 200, RESTARTED

    gateway.script = script
    box.put(update(1))
    async with asyncio.timeout(5):
        await asyncio.gather(box.flush(), box.flush())
    assert (len(box), batches(gateway)) == (0, [[1]])


async def test_a_key_that_is_refused_is_not_tried_again(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    denied = {"errors": [{"message": "No.", "extensions": {"code": "UNAUTHENTICATED"}}]}
    gateway.script = lambda call: (401, denied)
    box = outbox(service)
    box.put(update(1), update(2))
    assert await box.drain()
    assert len(gateway.calls) == 1
    assert box.lost == 2
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "secret-key" not in caplog.text


async def test_the_oldest_updates_are_dropped_except_the_first(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    box = outbox(service, linger_s=60, max_updates=3)
    box.put(update(0, creates=True), *(update(number) for number in range(1, 6)))
    assert await box.drain()
    assert batches(gateway) == [[0, 4, 5]]
    assert box.lost == 3
    assert "dropped the oldest 3" in caplog.text
    small = outbox(service, linger_s=60, max_bytes=2 * len(update(7).members))
    small.put(update(6), update(7), update(8))
    assert await small.drain()
    assert batches(gateway)[-1] == [7, 8]


async def test_a_batch_stays_below_the_services_limits(
    gateway: Gateway, service: Flowflare
) -> None:
    box = outbox(service, linger_s=60)
    box.put(*(update(number) for number in range(150)))
    await box.flush()
    assert [len(batch) for batch in batches(gateway)] == [100, 50]
    large = f'"name":"1","output":"{"x" * 500_000}"'
    box.put(*(Update("step", large, "large") for _ in range(4)))
    await box.flush()
    assert [len(batch) for batch in batches(gateway)[2:]] == [2, 2]


async def test_undelivered_updates_are_logged_without_their_content(
    gateway: Gateway, service: Flowflare, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.mode = "refuse"
    box = outbox(service)
    box.put(Update("step", '"output":"private"', "step 'charge' COMPLETED"))
    assert not await box.drain()
    box.close()
    assert "1 updates could not be delivered" in caplog.text
    assert "step 'charge' COMPLETED" in caplog.text
    assert "private" not in caplog.text
    assert box.lost == 1


async def test_a_stopped_run_reports_the_ended_steps_only(
    gateway: Gateway, service: Flowflare
) -> None:
    box = outbox(service, linger_s=60)
    box.put(update(1), update(2, ends_step=True), update(3))
    await box.abandon(lambda one: one.ends_step)
    assert batches(gateway) == [[2]]
    gateway.mode = "refuse"
    box.put(update(4, ends_step=True))
    await box.abandon(lambda one: one.ends_step)
    assert len(box) == 0


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"data": None}),
        (200, {"data": {}}),
        (200, []),
        (404, {}),
        (200, {"data": {"track": 1}}),
    ],
)
async def test_an_answer_that_is_not_a_result_leaves_the_outbox_empty(
    gateway: Gateway, service: Flowflare, status: int, body: Any
) -> None:
    gateway.script = lambda call: (status, body)
    box = outbox(service)
    box.put(update(1))
    await box.flush()
    await box.drain()
    box.close()
    assert len(box) == 0


def history(following: str, status: str = "RUNNING") -> dict[str, Any]:
    """The answer to the question whether the instance is followed."""
    return {"data": {"instance": {"status": status, "following": following}}}


def answering(
    gateway: Gateway, *histories: dict[str, Any], track: object = FOLLOWED
) -> list[dict[str, Any]]:
    """Have the gateway answer questions in turn, the last one again and again, and return those
    that are left."""
    left = list(histories)

    def script(call: Call) -> tuple[int, object]:
        if call.name == "Track":
            return 200, track
        return 200, left.pop(0) if len(left) > 1 else left[0]

    gateway.script = script
    return left


def calls(gateway: Gateway) -> list[Any]:
    """The numbers of the updates of each call; the name of a call without any."""
    return [sent(call) if call.name == "Track" else call.name for call in gateway.calls]


async def test_nothing_is_sent_while_the_instance_is_followed(
    gateway: Gateway, service: Flowflare
) -> None:
    answering(gateway, history("FOLLOWED"))
    box = outbox(service, linger_s=60)
    box.note_history("recorded")
    for number in range(3):
        box.put(update(number))
        await box.flush()
    assert calls(gateway) == []
    assert await box.drain()
    assert (calls(gateway), len(box), box.lost) == (["Following"], 0, 0)


async def test_the_answer_to_a_batch_tells_that_the_instance_is_followed(
    gateway: Gateway, service: Flowflare
) -> None:
    answering(gateway, history("FOLLOWED"))
    box = outbox(service, linger_s=60)
    box.put(update(1))
    await box.flush()
    box.put(update(2))
    await box.flush()
    assert await box.drain()
    assert calls(gateway) == [[1], "Following"]


async def test_updates_are_sent_in_order_if_the_instance_is_followed_no_longer(
    gateway: Gateway, service: Flowflare
) -> None:
    answering(gateway, history("BEHIND"), track=APPLIED)
    box = outbox(service, linger_s=60)
    box.note_history("recorded")
    box.put(update(1), update(2))
    await box.flush()
    assert await box.drain()
    box.put(update(3))
    await box.flush()
    assert calls(gateway) == ["Following", [1, 2], [3]]


async def test_a_stack_is_sent_at_once_and_its_answer_saves_the_question(
    gateway: Gateway, service: Flowflare
) -> None:
    answering(gateway, history("FOLLOWED"))
    box = outbox(service, linger_s=60)
    box.note_history("recorded")
    box.put(update(1), update(2, is_needed=True), update(3))
    await box.flush()
    assert await box.drain()
    assert calls(gateway) == [[1, 2, 3]]


async def test_a_question_is_asked_again_after_a_while(
    gateway: Gateway, service: Flowflare
) -> None:
    answering(gateway, history("FOLLOWED"))
    box = outbox(service, hold_s=0.05)
    box.note_history("recorded")
    box.put(update(1))
    assert len(box) == 1
    await emptied(box)
    assert calls(gateway) == ["Following"]


@pytest.mark.parametrize(
    ("last", "track", "expected"),
    [
        (history("FOLLOWED"), FOLLOWED, [[2]]),
        (history("BEHIND"), APPLIED, [[1, 2]]),
    ],
)
async def test_a_run_that_ends_before_its_history_begins_waits_for_that(
    gateway: Gateway,
    service: Flowflare,
    last: dict[str, Any],
    track: object,
    expected: list[list[int]],
) -> None:
    awaited = history("FOLLOWED", "QUEUED")
    answering(gateway, awaited, awaited, last, track=track)
    box = outbox(service, linger_s=60)
    box.note_history("awaited")
    box.put(update(1), update(2, is_needed=True))
    assert await box.drain()
    assert calls(gateway) == ["Following"] * 3 + expected


async def test_a_question_without_an_answer_keeps_the_updates(
    gateway: Gateway, service: Flowflare
) -> None:
    gateway.mode = "refuse"
    box = outbox(service, linger_s=60)
    box.note_history("recorded")
    box.put(update(1))
    assert not await box.drain()
    assert len(box) == 1
    gateway.mode = "pass"
    answering(gateway, history("NOT_FOLLOWED"), track=APPLIED)
    assert await box.drain()
    assert calls(gateway)[-1] == [1]


@pytest.mark.parametrize(("following", "lost"), [("FOLLOWED", 0), ("BEHIND", 2)])
async def test_updates_that_exceed_the_queue_are_lost_if_the_instance_is_followed_no_longer(
    gateway: Gateway,
    service: Flowflare,
    caplog: pytest.LogCaptureFixture,
    following: str,
    lost: int,
) -> None:
    answering(gateway, history(following), track=APPLIED)
    box = outbox(service, linger_s=60, max_updates=3)
    box.note_history("recorded")
    box.put(*(update(number) for number in range(5)))
    assert await box.drain()
    assert box.lost == lost
    assert ("dropped the oldest 2" in caplog.text) is (lost > 0)
