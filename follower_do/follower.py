"""The classes that connect the follower to the runtime, with `edge.mjs`."""

import json
from typing import Any

from pyodide.ffi import create_proxy
from workers import DurableObject, WorkerEntrypoint, import_from_javascript

from resolvers.base import limits
from resolvers.base.json_text import decode
from resolvers.base.scrubbing import Scrubber
from resolvers.following.follower import Follower
from resolvers.runtime.database import CommandDatabase
from resolvers.runtime.runner import Runner
from resolvers.runtime.settings import SETTINGS, VALUES

_EDGE = import_from_javascript("follower_do/edge.mjs")
_RUNNER = Runner()
_followers: list[Follower] = []
_SETTINGS = {
    "history": {
        "errorCharacters": limits.MAX_FOLLOW_ERROR,
        "events": limits.MAX_FOLLOW_EVENTS,
        "bytes": limits.MAX_FOLLOW_PART_BYTES,
        "values": VALUES,
        "ahead": limits.FOLLOW_AHEAD,
        "calls": limits.MAX_FOLLOW_CALLS,
        "pauseMs": limits.FOLLOW_PAUSE_MS,
        "partMs": limits.FOLLOW_PART_MS,
        "beginMs": limits.FOLLOW_BEGIN_MS,
    },
    "startMs": limits.FOLLOW_START_MS,
    "openMs": limits.FOLLOW_OPEN_MS,
    "watchMs": limits.FOLLOW_WATCH_MS,
    "retryMs": limits.FOLLOW_RETRY_MS,
    "maxRetryMs": limits.FOLLOW_MAX_REST_MS,
    "open": limits.MAX_FOLLOW_OPEN,
    "statements": limits.MAX_FOLLOW_STATEMENTS,
    "eventStatements": Follower.EVENT_STATEMENTS,
    "partStatements": Follower.PART_STATEMENTS,
    "batchBytes": limits.MAX_FOLLOW_BYTES,
    "commands": SETTINGS,
}


class WorkflowFollower(DurableObject):
    """One shard of the follower. Its handlers are JavaScript functions."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        _install()
        follower = _EDGE.open(self.ctx._ctx)
        # The runtime looks these names up, as it does for handlers at module level.
        self.on_alarm = follower.onAlarm
        self.follow = follower.follow
        self._follower = follower

    async def status(self) -> str:
        """The followed instances and the cost of following them, as JSON."""
        return str(self._follower.status())


class WorkflowHistories(WorkerEntrypoint):
    """The entrypoint that reads the engine's histories for the follower."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.open = _EDGE.openHistory


def _install() -> None:
    """Hand this isolate's functions and settings to the edge, once; they outlive the call."""
    if _followers:
        return
    follower = Follower(CommandDatabase(), Scrubber.parse(decode(_EDGE.scrub())))
    _followers.append(follower)

    def work(jobs: str, now_ms: float) -> str:
        return _RUNNER.start(follower.work(decode(jobs), now_ms=int(now_ms)))

    functions = (work, _RUNNER.resume)
    _EDGE.install(json.dumps(_SETTINGS), *(create_proxy(function) for function in functions))
