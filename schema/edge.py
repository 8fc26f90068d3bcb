"""The edge between Python and the runtime: the one application of this isolate, and its runner.

It is the only Python module of this package that needs workerd.
"""

import gc
import json
from collections.abc import Coroutine
from typing import Any

from pyodide.ffi import create_proxy
from workers import import_from_javascript

from resolvers.base import limits
from resolvers.base.json_text import decode
from resolvers.runtime.commands import Command
from resolvers.runtime.runner import Runner
from resolvers.runtime.settings import SETTINGS
from schema.application import BINDINGS, COST_HEADERS, VARIABLES, Application, present
from schema.messages import HttpRequest

_EDGE = import_from_javascript("schema/edge.mjs")
_RUNNER = Runner()
_SETTINGS = {
    "bodyBytes": limits.MAX_BODY_BYTES,
    "json": {"depth": limits.MAX_BODY_DEPTH, "values": limits.MAX_BODY_VALUES},
    "skippedBytes": limits.MAX_INIT_FRAME_BYTES,
    "knownCallers": limits.MAX_KNOWN_CALLERS,
    "keepAliveMs": limits.SSE_KEEP_ALIVE_MS,
    "costHeaders": COST_HEADERS,
    "commands": SETTINGS,
}
_applications: list[Application] = []


def application() -> Application:
    """Return this isolate's application.

    It is made at the first call, not at import: there is no configuration yet then, and the
    runtime may be taking a snapshot.
    """
    if not _applications:
        configuration = json.loads(_EDGE.configuration(json.dumps((*VARIABLES, *BINDINGS))))
        _applications.append(Application(configuration))
        functions = (_begin, _RUNNER.resume, _applications[0].services.gatekeeper.valid_until)
        _EDGE.install(json.dumps(_SETTINGS), *(create_proxy(function) for function in functions))
        # All objects made so far live as long as the isolate, so collections can skip them.
        gc.freeze()
    return _applications[0]


def fetch_handler() -> Any:
    """Return the JavaScript function that responds to HTTP requests."""
    application()
    return _EDGE.serve


async def serve_bound(request: Any) -> Any:
    """Respond to a request that came over a service binding and so needs no key."""
    application()
    return await _EDGE.serveBound(request)


async def perform(coroutine: Coroutine[Command, Any, Any]) -> Any:
    """Run domain code where there is an event loop: in a Workflow or a cron trigger.

    Its result crosses as JSON. What it raises is raised here.
    """
    application()
    failure: list[Exception] = []

    async def guarded() -> Any:
        try:
            return await coroutine
        except Exception as error:  # crosses JavaScript, which keeps no types
            failure.append(error)
            return None

    result = json.loads(await _EDGE.run(_RUNNER.start(guarded())))
    if failure:
        raise failure[0]
    return result


def _begin(request_line: str, body: str, failure: str) -> str:
    request = HttpRequest(**decode(request_line), body=body)
    response = _applications[0].respond(request)
    return _RUNNER.start(response, present, speculate=True, failure=failure)
