"""The Durable Object's class, which connects the follower to the runtime with `edge.mjs`."""

import json
from typing import Any

from pyodide.ffi import create_proxy
from workers import DurableObject, import_from_javascript

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
    "events": limits.MAX_FOLLOW_UPDATES,
    "bytes": limits.MAX_FOLLOW_BYTES,
    "values": VALUES,
    "lingerMs": limits.FOLLOW_LINGER_MS,
    "openMs": limits.FOLLOW_OPEN_MS,
    "quietMs": limits.FOLLOW_QUIET_MS,
    "watchMs": limits.FOLLOW_WATCH_MS,
    "retryMs": limits.FOLLOW_RETRY_MS,
    "maxRetryMs": limits.FOLLOW_REST_MS,
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
        """The followed instances and whether their histories are open, as JSON."""
        return str(self._follower.status())


def _install() -> None:
    """Hand this isolate's functions and settings to the edge, once; they outlive the call."""
    if _followers:
        return
    follower = Follower(CommandDatabase(), Scrubber.parse(decode(_EDGE.scrub())))
    _followers.append(follower)

    def begin(workflow: str, instance_id: str, search: bool) -> str:
        return _RUNNER.start(follower.begin((workflow, instance_id), search=search))

    def record(reading: int, events: str, is_over: bool, now_ms: float) -> str:
        return _RUNNER.start(
            follower.record(reading, decode(events), is_over=is_over, now_ms=int(now_ms))
        )

    functions = (begin, record, _RUNNER.resume)
    _EDGE.install(json.dumps(_SETTINGS), *(create_proxy(function) for function in functions))
