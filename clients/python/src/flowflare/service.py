"""`Flowflare`: the service's address, and the operations that the tracking needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from flowflare.depth import MAX_LEVELS, is_deep
from flowflare.errors import GraphQLRequestError, Refused, UnexpectedAnswer, Unreachable
from flowflare.transport import IN_WORKER, Transport, TransportOwner

BINDING = "FLOWFLARE"
URL = "FLOWFLARE_URL"
KEY = "FLOWFLARE_API_KEY"
DEFAULT_TIMEOUT = timedelta(seconds=5)
# The levels that the service accepts in a value, and some for the inputs around it.
_MAX_DEPTH = MAX_LEVELS + 20

_TRACK = (
    "mutation Track($updates: [TrackingUpdate!]!) { track(updates: $updates)"
    " { __typename ... on TrackPayload { followed } ... on Error { code message } } }"
)
_LOOK = (
    "query Look($id: String!, $workflow: String, $steps: Boolean!) {"
    " instance(instanceId: $id, workflow: $workflow) {"
    " workflow { name } reference { refType refId } status following run"
    " steps @include(if: $steps) { name occurrence status } } }"
)
_FOLLOWING = (
    "query Following($id: String!, $workflow: String) {"
    " instance(instanceId: $id, workflow: $workflow) { status following } }"
)


class Flowflare(TransportOwner):
    """The service, over a service binding or at its address; each call has a time limit.

    ```python
    Flowflare(service_binding=env.FLOWFLARE)
    Flowflare(url="https://flowflare.example.workers.dev", api_key="…")
    ```

    Outside a Worker it keeps connections open: close it with `await flowflare.aclose()`, or use
    it as an asynchronous context manager.
    """

    def __init__(
        self,
        *,
        service_binding: Any = None,
        url: str | None = None,
        api_key: str | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
    ) -> None:
        if (service_binding is None) == (url is None):
            raise ValueError("Give either service_binding or url.")
        if service_binding is not None and not IN_WORKER:
            raise ValueError("service_binding works only inside a Worker; give url instead.")
        self._transport = Transport(
            url=url, service_binding=service_binding, api_key=api_key, timeout=timeout
        )

    @classmethod
    def from_env(cls, env: Any = None, *, timeout: timedelta = DEFAULT_TIMEOUT) -> Self:
        """The service that an environment is configured with.

        `env` is a Worker's: the service binding FLOWFLARE, else the variable FLOWFLARE_URL with
        the secret FLOWFLARE_API_KEY. It may also be a mapping with the last two; by default that
        is the process's environment. Raises ValueError if there is neither.
        """
        if env is None:
            env = os.environ
        binding = _named(env, BINDING)
        if binding is not None and not isinstance(binding, str):
            return cls(service_binding=binding, timeout=timeout)
        url = _named(env, URL)
        if not url:
            raise ValueError(
                f"There is neither a service binding {BINDING} nor a variable {URL}: bind the"
                f" service in wrangler.jsonc, or set {URL} and {KEY}."
            )
        return cls(url=str(url), api_key=_named(env, KEY), timeout=timeout)

    async def execute(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Run an operation and return its `data`. Raises FlowflareError, or ValueError before
        anything is sent if JSON cannot express the variables."""
        if is_deep(variables, _MAX_DEPTH):
            raise ValueError(f"variables must not be nested more than {_MAX_DEPTH} levels deep")
        body = json.dumps({"query": query, "variables": dict(variables or {})}, allow_nan=False)
        return await self._execute(body)

    async def track(self, updates: Sequence[str]) -> bool:
        """Apply `TrackingUpdate`s, each given as JSON text, in one transaction. Returns True if one
        of them is about an instance that the service follows, on which they have no effect. Raises
        Refused if one of them is refused; none is applied then. The code is RUN_MISMATCH if one
        names another `run` than the current one."""
        query = json.dumps(_TRACK)
        body = f'{{"query":{query},"variables":{{"updates":[{",".join(updates)}]}}}}'
        result = (await self._execute(body))["track"]
        if result["__typename"] != "TrackPayload":
            raise Refused(result["code"], result["message"])
        return bool(result.get("followed"))

    async def following(
        self, instance_id: str, *, workflow: str | None = None
    ) -> dict[str, Any] | None:
        """Read `status` and `following` of an instance; None if it is not tracked."""
        variables = {"id": instance_id, "workflow": workflow}
        found: dict[str, Any] | None = (await self.execute(_FOLLOWING, variables))["instance"]
        return found

    async def look(self, instance_id: str, *, workflow: str | None = None) -> dict[str, Any] | None:
        """Read the current state of an instance; None if it is not tracked.

        It has `workflow` (its `name`), `reference` (`refType`, `refId`), `status`, `following`,
        `run`, and the `steps` of that run (`name`, `occurrence`, `status`), which are None if they
        are too large to be read. Without `workflow` it raises Refused with the code AMBIGUOUS if
        instances of several workflows have the id.
        """
        variables = {"id": instance_id, "workflow": workflow}
        try:
            return await self._look({**variables, "steps": True})
        except Refused as error:
            if error.code != "RESULT_TOO_LARGE":
                raise
        found = await self._look({**variables, "steps": False})
        return None if found is None else {**found, "steps": None}

    async def _look(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await self.execute(_LOOK, variables))["instance"]
        return found

    async def _execute(self, body: str) -> dict[str, Any]:
        try:
            return await self._transport.execute(body)
        except GraphQLRequestError as error:
            if error.code == "INTERNAL":
                # The same updates may be accepted a moment later, so they have to be kept.
                raise Unreachable(str(error)) from error
            raise
        except UnexpectedAnswer as error:
            raise Refused("BAD_RESPONSE", str(error)) from error


class Nowhere:
    """Stands in for a service that is not configured: the run continues untracked."""

    async def track(self, updates: Sequence[str]) -> bool:
        """Drop the updates."""
        return False

    async def following(
        self, instance_id: str, *, workflow: str | None = None
    ) -> dict[str, Any] | None:
        """No instance is known."""
        return None

    async def look(self, instance_id: str, *, workflow: str | None = None) -> dict[str, Any] | None:
        """No instance is known."""
        return None


def _named(env: Any, name: str) -> Any:
    """A binding or variable of an environment; None if it is absent, null or undefined."""
    found = env.get(name) if isinstance(env, Mapping) else getattr(env, name, None)
    return None if found is None or type(found).__name__ in ("JsNull", "JsUndefined") else found
