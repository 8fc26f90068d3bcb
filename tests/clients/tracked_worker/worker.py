"""Workflows of another Worker, bound to the service, as a user would write them."""

import asyncio
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from js import JSON
from workers import Response, WorkflowEntrypoint, python_to_rpc
from workers.workflows import NonRetryableError as CloudflaresNonRetryableError

from flowflare import Flowflare, NonRetryableError, Retries, tracked
from flowflare.workflows import TrackedStep, TrackedWorkflow

QUICK = Retries(limit=2, delay=timedelta(milliseconds=100), backoff="exponential")
# How often the work of a step ran, by instance and step: an engine that replays runs none again.
EXECUTIONS: dict[str, int] = {}


class Declined(Exception):
    """The bank says no, for now."""


class Bounced(NonRetryableError):
    """The address does not exist."""


def count(key: str) -> int:
    """Count an execution."""
    EXECUTIONS[key] = EXECUTIONS.get(key, 0) + 1
    return EXECUTIONS[key]


class SendInvoice(TrackedWorkflow):
    """A step, a flaky one, a sleep, an event, and two steps in parallel."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Input: `fail`, how often the charge fails; `hold`, milliseconds of sleep."""
        wish = event["payload"] or {}
        instance_id = event["instanceId"]

        def totals() -> dict[str, Any]:
            count(f"{instance_id}/total")
            return {"total": 25}

        async def charge(attempt: Any) -> str:
            await asyncio.sleep(0)
            if attempt.number <= wish.get("fail", 0):
                raise Declined(f"declined at attempt {attempt.number}")
            return f"payment-{attempt.number}"

        total = await step.do("total", totals)
        payment = await step.do("charge", charge, retries=QUICK, timeout=timedelta(minutes=1))
        await step.sleep("hold", timedelta(milliseconds=wish.get("hold", 100)))
        approval = await step.wait_for_event(
            "approval", type="approved", timeout=timedelta(hours=1)
        )

        def mail(to: str) -> str:
            count(f"{instance_id}/mailed")
            return f"to the {to}"

        mails = await asyncio.gather(
            step.do("mail", lambda: mail("customer")), step.do("mail", lambda: mail("books"))
        )
        return {**total, "payment": payment, "by": approval["payload"]["by"], "mails": mails}


class Failures(TrackedWorkflow):
    """Fails in the way its input asks for: `final`, `never`, `cloudflare`, `slow`, `caught`,
    `outside`, `race`."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """One step that fails."""
        way = event["payload"]["way"]

        async def work() -> None:
            if way == "never":
                raise Bounced("no such address")
            if way == "cloudflare":
                raise CloudflaresNonRetryableError("no such address")
            if way == "slow":
                await asyncio.sleep(2)
            raise Declined("declined")

        retries = Retries(limit=1, delay=timedelta(milliseconds=100), backoff="constant")
        if way == "outside":
            await step.do("fine", lambda: 1)
            raise KeyError("not in a step")
        if way == "race":
            waits = Retries(limit=1, delay=timedelta(hours=1), backoff="constant")
            slow = asyncio.create_task(step.do("work", work, retries=waits))
            fast = asyncio.create_task(step.do("fast", lambda: asyncio.sleep(0.5, "won")))
            await asyncio.wait({slow, fast}, return_when=asyncio.FIRST_COMPLETED)
            return fast.result()
        try:
            await step.do("work", work, retries=retries, timeout=timedelta(milliseconds=300))
        except Exception:
            if way != "caught":
                raise
        return await step.do("after", lambda: "went on")


# The steps of `Names`, each with its result.
STEPS = [
    ("load", "A"),
    ("load (2)", "B"),
    ("load", "C"),
    ("", "no name"),
    ("x" * 256, 1),
    ("x" * 256, 2),
    ("x" * 256, 3),
    ("Ω😀", "letters"),
]
# The engine lets sleeps have names that it refuses for steps that run code.
SLEEPS = ["\t", "load\nrows", "load rows", "y" * 300, "y" * 301, "\ud800", ""]


class Names(TrackedWorkflow):
    """Steps with names that occur again, and with names of any text."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Returns what the engine gave back for each step."""
        for name in SLEEPS:
            await step.sleep(name, timedelta(milliseconds=event["payload"]["hold"]))
        return [await step.do(name, lambda result=result: result) for name, result in STEPS]


class Restarted(TrackedWorkflow):
    """Its first run fails after `s5`; the next one waits for an event before that step."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Returns the result of `s5`."""
        is_first = count(f"{event['instanceId']}/runs") == 1
        await step.do("s1", lambda: 1)
        if not is_first:
            await step.wait_for_event("release", type="release", timeout=timedelta(hours=1))
        result = await step.do("s5", lambda: "OLD RUN" if is_first else "NEW RUN")
        if is_first:
            raise Declined("the old run")
        return result


class Shapes(TrackedWorkflow):
    """Results of many kinds, and Cloudflare's own decorators."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Returns what the last step made of the first ones."""
        await step.do("large", lambda: "x" * 600_000)
        await step.do("moment", lambda: datetime(2026, 11, 25, tzinfo=UTC))
        await step.do("nothing", lambda: None)
        await step.do("bytes", lambda: b"1234")
        await step.do("secret", lambda: "hunter2", config={"sensitive": "output"})
        await step.sleep_until("past", datetime(2026, 1, 1, tzinfo=UTC))
        await step.sleep_until("soon", datetime.now(UTC) + timedelta(milliseconds=100))

        @step.do("one")
        async def one() -> int:
            return 1

        @step.do("two", config={"retries": {"limit": 1, "delay": "1 second"}})
        async def two(ctx: Any) -> int:
            return 1 + int(ctx["attempt"])

        @step.do("sum", depends=[one, two], concurrent=True)
        async def total(first: int, second: int) -> int:
            return first + second

        return await total()


def nested(levels: int) -> list[Any]:
    """A list in a list, and so on."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def circular() -> list[Any]:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


KEPT = nested(8_000)
# To free so deep a value would end the process, with Flowflare or without (Pyodide 314.0.6).
VALUES: dict[str, Callable[[], Any]] = {
    "generator": lambda: (number for number in range(3)),
    "map": lambda: map(str, [1]),
    "iterator": lambda: iter([1]),
    "iterator in a dict": lambda: {"rows": iter([1])},
    "file": lambda: io.BytesIO(b"1"),
    "object": object,
    "range": lambda: range(3),
    "frozenset": lambda: frozenset({1}),
    "date": lambda: datetime.now(UTC).date(),
    "tuple": lambda: (1, 2),
    "circular": circular,
    "1,000 levels": lambda: nested(1_000),
    "8,000 levels": lambda: KEPT,
    "900 levels": lambda: nested(900),
    "not a number": lambda: float("nan"),
    "large number": lambda: 10**5_000,
    "lone surrogate": lambda: {"a\ud800": "\ud800"},
    "bytes": lambda: [b"123"],
    "keys": lambda: {1: "one", "toString": 2, "hasOwnProperty": None},
    "JavaScript's names": lambda: {"__proto__": {"a": 1}, "constructor": 2},
}


async def returns(event: Any, do: Any) -> Any:
    """A step, or the run itself, returns the value that the input names."""
    make = VALUES[event["payload"]["value"]]
    if event["payload"]["by"] == "run":
        return make()
    return type(await do(make)).__name__


class Returns(TrackedWorkflow):
    """Returns what the engine may refuse."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Input: `value`, and `by`, `step` or `run`."""
        config = {"retries": {"limit": 1, "delay": 50}}
        return await returns(event, lambda make: step.do("value", make, config=config))


class Untracked(WorkflowEntrypoint):
    """The same, without Flowflare."""

    async def run(self, event: Any, step: Any) -> Any:
        """Input: as that of `Returns`."""
        config = {"retries": {"limit": 1, "delay": 50}}

        async def do(make: Any) -> Any:
            async def value() -> Any:
                return make()

            return await step.do("value", config=config)(value)()

        return await returns(event, do)


class Unconfigured(TrackedWorkflow):
    """Nobody has said where the service is."""

    def flowflare(self) -> Flowflare:
        return Flowflare.from_env({})

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """One step."""
        return await step.do("work", lambda: "done all the same")


class Plain(WorkflowEntrypoint):
    """A workflow that keeps its base class."""

    async def run(self, event: Any, step: Any) -> Any:
        """One step."""
        wish = event["payload"] or {}
        async with tracked(
            self.env, event, step, workflow="plain", reference=("order", "7")
        ) as tracking:
            result = await tracking.do("work", lambda: "done")
            if wish.get("fails"):
                raise ValueError("no luck")
            tracking.output = {"result": result}
        return tracking.output


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """`/executions`: what ran how often in this isolate; `/status/BINDING/ID`: the engine's word;
    `/create/BINDING/ID` starts an instance without the service, the body is its input."""
    path = request.url.split("/", 3)[3]
    if path == "executions":
        return Response(json.dumps(EXECUTIONS))
    wish, binding, instance_id = path.split("/")
    if wish == "create":
        params = json.loads(await request.text() or "null")
        await getattr(env, binding).create(
            JSON.parse(json.dumps({"id": instance_id, "params": params}))
        )
    instance = await getattr(env, binding).get(instance_id)
    return Response(JSON.stringify(python_to_rpc(await instance.status())))
