"""Parts of the Python client, without a server: scalars, events, addresses, delays."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from flowflare.client import (
    UNSET,
    DateTimeRange,
    FlowflareClient,
    FlowflareError,
    InstanceFilter,
    InvalidVariable,
    Reconnect,
    RetryPolicyInput,
    StartWorkflowInput,
    UpdateWorkflowInstanceInput,
)
from flowflare.client.event_stream import EventParser, ServerEvent
from flowflare.client.requests import jsonable
from flowflare.transport import endpoint
from scripts.project import ROOT


def test_instants_are_sent_in_utc_with_milliseconds() -> None:
    noon = datetime(2026, 11, 22, 12, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    sent = jsonable({"range": DateTimeRange(from_=noon), "plain": noon})
    assert sent == {
        "range": {"from": "2026-11-22T10:00:00.123Z"},
        "plain": "2026-11-22T10:00:00.123Z",
    }


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        DateTimeRange(from_=datetime(2026, 11, 22))  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        jsonable({"plain": datetime(2026, 11, 22)})  # noqa: DTZ001


def test_spans_of_time_are_sent_in_milliseconds() -> None:
    policy = RetryPolicyInput(limit=3, delay=timedelta(seconds=1.5))
    assert jsonable({"policy": policy}) == {"policy": {"limit": 3, "delay": 1500}}
    filter = InstanceFilter(stalled_for=timedelta(days=1))
    assert jsonable({"filter": filter}) == {"filter": {"stalledFor": 86_400_000}}


def test_members_that_are_not_given_are_not_sent_and_none_is_null() -> None:
    update = UpdateWorkflowInstanceInput(instance_id="a", output=None)
    sent = jsonable({"input": update, "first": UNSET, "after": None})
    assert sent == {"input": {"instanceId": "a", "output": None}, "after": None}


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


circular: list[object] = []
circular.append(circular)
ANYTHING: list[tuple[object, list[str | int], str]] = [
    (math.nan, [], "number"),
    ({"total": [1, math.inf]}, ["total", 1], "number"),
    ({"total": -math.inf}, ["total"], "number"),
    (10**5_000, [], "number"),
    ("a\ud800", [], "Unicode"),
    ({"a": ["\udfff"]}, ["a", 0], "Unicode"),
    ({"a": {"\ud800": 1}}, ["a"], "Unicode"),
    ({math.nan}, [0], "number"),
    (object(), [], "as JSON"),
    (b"\xff", [], "as JSON"),
    (nested(1_000), [0] * 6, "MAX_JSON_DEPTH"),
    (nested(100_000), [0] * 6, "MAX_JSON_DEPTH"),
    (circular, [0] * 6, "MAX_JSON_DEPTH"),
]


@pytest.mark.parametrize(("value", "path", "fault"), ANYTHING, ids=lambda item: str(type(item)))
async def test_a_value_that_cannot_be_sent_is_an_error_of_its_field(
    value: object, path: list[str | int], fault: str
) -> None:
    start = StartWorkflowInput(workflow="a", input=value)
    # Nobody listens there: to send it would raise Unreachable.
    async with FlowflareClient("http://127.0.0.1:1") as client:
        with pytest.raises(InvalidVariable, match=fault) as caught:
            await client.start_workflow(start)
    assert caught.value.path == ["input", "input", *path]
    assert str(caught.value).startswith(".".join(map(str, caught.value.path)))
    assert isinstance(caught.value, FlowflareError)
    assert isinstance(caught.value, ValueError)


def test_values_that_the_service_accepts_are_sent() -> None:
    deep = nested(200)
    value = {"": "\U0001f600", "n": 10**100, "1": None, "__proto__": deep, "d": date(2026, 1, 2)}
    sent = jsonable({"input": StartWorkflowInput(workflow="a", input=value)})
    assert sent == {"input": {"workflow": "a", "input": {**value, "d": "2026-01-02"}}}
    assert json.loads(json.dumps(sent)) == sent


def test_models_accept_the_names_of_the_api() -> None:
    update = UpdateWorkflowInstanceInput.model_validate({"instanceId": "a"})
    assert update.instance_id == "a"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://flowflare.example.com", "https://flowflare.example.com/graphql"),
        ("https://flowflare.example.com/", "https://flowflare.example.com/graphql"),
        ("http://localhost:8787/graphql", "http://localhost:8787/graphql"),
        ("https://example.com/api?x#y", "https://example.com/api/graphql"),
    ],
)
def test_a_service_s_address_leads_to_its_endpoint(given: str, expected: str) -> None:
    assert endpoint(given) == expected


@pytest.mark.parametrize("url", ["", "localhost:8787", "ftp://example.com", "https://"])
def test_an_address_that_is_not_an_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url must be an http"):
        endpoint(url)


def test_delays_double_up_to_the_longest_and_vary() -> None:
    reconnect = Reconnect(first=timedelta(seconds=1), longest=timedelta(seconds=8))
    for failures, expected in [(1, 1.0), (2, 2.0), (4, 8.0), (5, 8.0), (5000, 8.0)]:
        delays = {reconnect.delay_s(failures) for _ in range(50)}
        assert len(delays) > 1
        assert all(expected / 2 <= delay <= expected for delay in delays)


STREAM = (
    'id: 1\nevent: next\ndata: {"ä":\ndata: 1}\n\n'
    ": keep alive\n\n"
    "data: no type\r\n\r\n"
    "event: complete\ndata:\n\n"
    "event: next\ndata: not complete"
).encode()
EVENTS = [
    ServerEvent("next", '{"ä":\n1}'),
    ServerEvent("message", "no type"),
    ServerEvent("complete", ""),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_the_same_however_the_stream_is_cut(size: int) -> None:
    parser = EventParser()
    chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_the_package_loads_the_client_only_when_it_is_used() -> None:
    code = (
        "import sys, flowflare.client\n"
        "assert not {'gql', 'httpx', 'pydantic', 'websockets'} & sys.modules.keys(), sys.modules\n"
        "flowflare.client.FlowflareClient\n"
        "assert 'gql' in sys.modules and not {'httpx', 'websockets'} & sys.modules.keys()\n"
        "try:\n"
        "    flowflare.client.NoSuchName\n"
        "except AttributeError as error:\n"
        "    assert 'flowflare.client' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "clients" / "python" / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_aware_instants_are_accepted() -> None:
    range = DateTimeRange(from_=datetime(2026, 11, 22, tzinfo=UTC))
    assert range.from_ is not None
    assert range.from_.tzinfo is not None
