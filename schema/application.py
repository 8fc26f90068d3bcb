"""The routes of the Worker, with CORS."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from resolvers.access.gatekeeper import Gatekeeper
from resolvers.base.limits import MAX_SOCKETS
from resolvers.base.scrubbing import Scrubber
from resolvers.executing.executor import Executor
from resolvers.ports.database import Database, DatabaseError, Statement
from resolvers.ports.engine import Engine
from resolvers.runtime.database import CommandDatabase
from resolvers.runtime.engine import CommandEngine
from schema.build import core
from schema.http import GraphQLEndpoint
from schema.messages import HttpRequest, HttpResponse

_log = logging.getLogger("flowflare")

_NO_STORE = {"cache-control": "no-store"}
# The variables and secrets that `Application` reads from its configuration.
VARIABLES = (
    "FLOWFLARE_API_KEY",
    "FLOWFLARE_WRITE_KEY",
    "FLOWFLARE_READ_KEY",
    "ALLOWED_ORIGINS",
    "WORKFLOWS",
    "SCRUB",
    "MAX_SOCKETS",
    "FOLLOWER_SHARDS",
)
# The bindings of which it reads only whether the Worker has them.
BINDINGS = ("FOLLOWER",)
# The headers with the cost of a request: batches sent to D1, rows read, rows written.
COST_HEADERS = ("D1-Round-Trips", "D1-Rows-Read", "D1-Rows-Written")
# Also fails if the migrations have not been applied.
_ALIVE = Statement("SELECT 1 FROM workflows LIMIT 1")


def bound_workflows(value: object) -> tuple[dict[str, str], str]:
    """Read the binding of each workflow from the variable WORKFLOWS, an object or its JSON text.

    If it is neither, nothing is bound and the second value names the fault: tracking must not
    depend on it.
    """
    if not value:
        return {}, ""
    try:
        bindings = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return {}, "the variable WORKFLOWS is not JSON"
    if not isinstance(bindings, dict) or not all(isinstance(b, str) for b in bindings.values()):
        return {}, "the variable WORKFLOWS must be an object of workflow names and bindings"
    return bindings, ""


class Services:
    """Database, engine, scrubber and gatekeeper, as the Worker's configuration describes them."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self.database: Database = CommandDatabase()
        self.scrubber = Scrubber.parse(configuration.get("SCRUB"))
        if self.scrubber.problem:
            _log.error("SCRUB is not valid, so values are not stored: %s", self.scrubber.problem)
        shards = _count(configuration.get("FOLLOWER_SHARDS"), 0)
        self.engine: Engine = CommandEngine(
            *bound_workflows(configuration.get("WORKFLOWS")),
            shards=shards if "FOLLOWER" in configuration else 0,
            scrubber=self.scrubber,
        )
        self.gatekeeper = Gatekeeper(
            admin=configuration.get("FLOWFLARE_API_KEY") or "",
            write=configuration.get("FLOWFLARE_WRITE_KEY") or "",
            read=configuration.get("FLOWFLARE_READ_KEY") or "",
        )


class Application:
    """The routes of one Worker. `configuration` holds its variables and secrets."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self.services = Services(configuration)
        self.executor = Executor(core, self.services.engine.workflows)
        self.max_sockets = _count(configuration.get("MAX_SOCKETS"), MAX_SOCKETS)
        self._endpoint = GraphQLEndpoint(self.executor, self.services)
        self._origins = frozenset((configuration.get("ALLOWED_ORIGINS") or "").split())

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """Respond to a request."""
        if request.method == "OPTIONS":
            response = HttpResponse(204, [], {"allow": "GET, POST, OPTIONS"})
        elif request.path == "/graphql":
            response = await self._endpoint.respond(request)
        elif request.path == "/healthz":
            response = await self._health()
        else:
            response = _json(404, {"error": "Not found. GraphQL is at /graphql."})
        self._allow_origin(request, response)
        return response

    async def _health(self) -> HttpResponse:
        try:
            await self.services.database.batch([_ALIVE])
        except DatabaseError:
            return _json(503, {"status": "unavailable"})
        # Anyone may ask, so the patterns are in the log only.
        problem = self.services.scrubber.problem and "SCRUB is not valid; the log has the fault"
        return _json(200, {"status": "ok", **({"problem": problem} if problem else {})})

    def _allow_origin(self, request: HttpRequest, response: HttpResponse) -> None:
        """Add the headers of CORS (fetch.spec.whatwg.org) for listed origins; `*` lists all."""
        origin = request.origin
        if not origin:
            return
        response.headers["vary"] = "Origin"
        if origin not in self._origins and "*" not in self._origins:
            return
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = ", ".join(COST_HEADERS)
        if request.method == "OPTIONS":
            response.headers["access-control-allow-methods"] = "GET, POST"
            allowed = "Authorization, Content-Type, Last-Event-ID"
            response.headers["access-control-allow-headers"] = allowed
            response.headers["access-control-max-age"] = "86400"


def _count(given: object, default: int) -> int:
    """Read a variable that holds a count, from 1; the default if it does not."""
    text = str(given)
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else default


def _json(status: int, value: object) -> HttpResponse:
    headers = {"content-type": "application/json; charset=utf-8", **_NO_STORE}
    return HttpResponse(status, [json.dumps(value)], headers)


def present(response: HttpResponse) -> dict[str, object]:
    """Turn a response into JSON-able members, for the runner."""
    return {
        "status": response.status,
        "kind": response.kind,
        "headers": response.headers,
        "body": response.body,
        "cost": response.show_cost,
    }
