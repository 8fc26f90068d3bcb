"""The engine port, implemented with commands to the bindings of Workflows (see engine.mjs)."""

from collections.abc import Mapping, Sequence
from typing import Any

from resolvers.base.limits import ENGINE_CONCURRENCY, ENGINE_SETTLE_MS, ENGINE_TIMEOUT_MS
from resolvers.base.scrubbing import Rules, Scrubber
from resolvers.base.vocabulary import InstanceStatus
from resolvers.ports.engine import STATUSES, EngineError, EngineState, Key
from resolvers.runtime.commands import Command


class CommandEngine:
    """The `Engine` of a Worker; `bindings` names the binding of each workflow.

    If the configuration cannot be read, no workflow is bound and `problem` names the fault.
    `shards` is the number of objects that the followed instances are spread over; 0 follows none.
    What the engine reports of an instance is scrubbed here.
    """

    def __init__(
        self,
        bindings: Mapping[str, str],
        problem: str = "",
        *,
        shards: int = 0,
        scrubber: Scrubber,
    ) -> None:
        self._bindings = bindings
        self._problem = problem
        self._shards = shards
        self._scrubber = scrubber
        self.workflows = frozenset(bindings)
        self.follows = shards > 0

    def unbound(self, workflow: str) -> str:
        """Explain why no Workflow is bound for this name, and how to bind one."""
        if self._problem:
            return f"No Workflow is bound for {workflow!r}: {self._problem}."
        return (
            f"No Workflow is bound for {workflow!r}, so nothing here executes its instances. To"
            " execute them, bind the Workflow and name its binding in the variable WORKFLOWS."
        )

    async def create(self, workflow: str, instance_id: str, *, params: str) -> None:
        """Start an instance with `params`, JSON text; one that exists is left unchanged."""
        await self._request((workflow, instance_id), "create", params)

    async def get_statuses(self, instances: Sequence[Key]) -> list[EngineState | EngineError]:
        """Get the state of each instance, in order. Nothing is raised."""
        return await self._send([self._describe(instance, "getStatus") for instance in instances])

    async def follow(self, instances: Sequence[Key], *, to_end: bool = False) -> None:
        """Have the histories of instances recorded; see `Engine.follow`."""
        bound = [instance for instance in instances if instance[0] in self.workflows]
        if self.follows and bound:
            method = "followToEnd" if to_end else "follow"
            await self._send([self._describe(instance, method) for instance in bound])

    async def act(self, workflow: str, instance_id: str, *, action: str) -> EngineState:
        """Pause, resume, terminate or restart an instance, and return its state afterwards."""
        return await self._request((workflow, instance_id), action)

    async def send_event(
        self, workflow: str, instance_id: str, *, event_type: str, payload: str
    ) -> None:
        """Deliver an event with `payload`, JSON text, to an unfinished instance."""
        await self._request((workflow, instance_id), "sendEvent", event_type, payload)

    async def _request(self, instance: Key, method: str, *arguments: str) -> EngineState:
        [result] = await self._send([self._describe(instance, method, *arguments)])
        if isinstance(result, EngineError):
            raise result
        return result

    def _describe(self, instance: Key, method: str, *arguments: str) -> dict[str, Any]:
        workflow, instance_id = instance
        binding = self._bindings[workflow]
        return {
            "workflow": workflow,
            "binding": binding,
            "method": method,
            "id": instance_id,
            "arguments": arguments,
        }

    async def _send(self, requests: Sequence[Mapping[str, Any]]) -> list[EngineState | EngineError]:
        body = {
            "requests": requests,
            "shards": self._shards,
            "timeoutMs": ENGINE_TIMEOUT_MS,
            "settleMs": ENGINE_SETTLE_MS,
            "concurrency": ENGINE_CONCURRENCY,
        }
        response = await Command({"engine": body})
        return [
            _parse(result, self._scrubber.rules(request["workflow"]))
            for request, result in zip(requests, response["results"], strict=True)
        ]


def _parse(result: Mapping[str, Any], rules: Rules) -> EngineState | EngineError:
    reported = result.get("state")
    state = None
    if reported is not None:
        word, error = reported["status"], reported.get("error")
        status = None if word is None else STATUSES.get(word, InstanceStatus.UNKNOWN)
        output, kind = reported.get("output") or (None, None)
        if output is not None:
            scrubbed = rules.json(output)
            output, kind = scrubbed.value, scrubbed.kind_of(kind)
        failure = (rules.text(error[0]), rules.text(error[1])) if error else None
        state = EngineState(status, output, kind, failure)
    if "error" in result:
        return EngineError(rules.text(result["error"]), state)
    return state or EngineState(None)
