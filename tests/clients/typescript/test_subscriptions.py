"""`subscribe`: every event once, in order, through a service that is killed and started again."""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from scripts.project import VENV_BIN, tool_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clients.typescript.scripts import Scripts

FOLLOW = Path(__file__).parent / "live" / "follow.mjs"
DEADLINE_S = 40
START = """mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename }
}"""


class Follower:
    """A subscriber in a Node process of its own (see live/follow.mjs)."""

    def __init__(self, scripts: Scripts, *arguments: str, key: str | None = None) -> None:
        server = scripts.server
        self._lines: Queue[dict[str, Any]] = Queue()
        self._process = subprocess.Popen(
            [VENV_BIN / "node", FOLLOW, *arguments],
            env={
                **tool_environment(),
                "FLOWFLARE_URL": server.url,
                "FLOWFLARE_API_KEY": key or server.key,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.cursor = ""

    def next(self) -> dict[str, Any]:
        """The next event, or how the subscription ended; cursors are kept."""
        while True:
            try:
                line = self._lines.get(timeout=DEADLINE_S)
            except Empty:
                raise AssertionError("The subscription brought nothing more.") from None
            if "cursor" not in line:
                return line
            self.cursor = line["cursor"]

    def is_silent(self, seconds: float = 0.2) -> bool:
        """True if nothing arrives within the time."""
        with self._lines.not_empty:
            return not self._lines.queue and not self._lines.not_empty.wait(seconds)

    def ids(self, count: int) -> list[str]:
        """The instances of the next events."""
        return [self.next()["id"] for _ in range(count)]

    def stop(self) -> dict[str, Any]:
        """Abort the subscription and return the last line."""
        assert self._process.stdin is not None
        self._process.stdin.write("stop\n")
        self._process.stdin.flush()
        return self.ended()

    def ended(self) -> dict[str, Any]:
        """Wait for the process to end by itself and return its last line."""
        last = self.next()
        assert self._process.wait(DEADLINE_S) == 0
        return last

    def close(self) -> None:
        """End the process, whatever it is doing."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(json.loads(line))


class Follow(Protocol):
    """Starts a follower, which is ended after the test."""

    def __call__(self, *arguments: str, key: str | None = None) -> Follower: ...


@pytest.fixture
def follow(scripts: Scripts) -> Iterator[Follow]:
    followers: list[Follower] = []

    def started(*arguments: str, key: str | None = None) -> Follower:
        followers.append(Follower(scripts, *arguments, key=key))
        return followers[-1]

    yield started
    for follower in followers:
        follower.close()


def starter(scripts: Scripts) -> tuple[str, Callable[[], str]]:
    """A workflow of the test's own, and what starts an instance of it."""
    workflow = f"followed-{secrets.token_hex(4)}"

    def start() -> str:
        id_ = secrets.token_hex(6)
        scripts.api.data(START, input={"workflow": workflow, "instanceId": id_, "trackOnly": True})
        return id_

    return workflow, start


def test_a_subscription_resumes_after_the_service_was_killed(
    scripts: Scripts, follow: Follow
) -> None:
    workflow, start = starter(scripts)
    before = start()
    follower = follow(workflow, "0000000000000000")
    assert follower.ids(1) == [before]
    live = [start(), start()]
    assert follower.ids(2) == live
    scripts.server.crash()
    scripts.server.start()
    after = [start() for _ in range(3)]
    assert follower.ids(3) == after
    assert follower.stop() == {"ended": "done"}
    # The cursor that was kept leads on, in another process.
    resumed = follow(workflow, follower.cursor)
    last = start()
    events = resumed.ids(1)
    while events[-1] != last:
        # The cursor comes after its page was processed, so the last page may be repeated.
        assert events[-1] in after
        events += resumed.ids(1)
    assert resumed.stop() == {"ended": "done"}


def test_a_subscription_without_a_cursor_begins_now(scripts: Scripts, follow: Follow) -> None:
    workflow, start = starter(scripts)
    start()
    follower = follow(workflow)
    # It has begun once an event arrives; until then more are started.
    started: list[str] = []
    while follower.is_silent():
        started.append(start())
    first = follower.next()["id"]
    position = started.index(first)
    assert follower.ids(len(started) - position - 1) == started[position + 1 :]
    assert follower.stop() == {"ended": "done"}


def test_a_key_that_is_refused_ends_the_subscription(follow: Follow) -> None:
    follower = follow("any", "0000000000000000", key="wrong")
    assert follower.ended() == {"ended": "UnauthenticatedError", "code": "UNAUTHENTICATED"}


def test_an_invalid_cursor_ends_the_subscription(follow: Follow) -> None:
    ended = follow("any", "nonsense").ended()
    assert ended["ended"] == "RequestError", ended
