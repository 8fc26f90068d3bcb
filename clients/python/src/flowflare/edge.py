"""The edge to Cloudflare's runtime: no other module of the tracking imports it.

It is imported inside a Python Worker and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import js
from pyodide.ffi import JsException, JsProxy, create_once_callable, to_js
from workers import WorkflowEntrypoint, python_to_rpc

from flowflare.transport import failure

__all__ = [
    "WorkflowEntrypoint",
    "check_result",
    "fetch",
    "post",
    "reaching",
    "refusal",
    "rejected",
]


def unwrapped(binding: Any) -> Any:
    """JavaScript's own service binding. It takes a JavaScript Request, and a call costs half a
    millisecond less than with the SDK's wrapper around it."""
    # Handlers at module level get the binding itself. Reading `_binding` from it would give one of
    # its methods, because it has every name.
    return binding if isinstance(binding, JsProxy) else getattr(binding, "_binding", binding)


async def fetch(
    binding: Any,
    url: str,
    *,
    headers: Mapping[str, str],
    body: str,
    timeout: timedelta | None = None,
) -> Any:
    """POST over a service binding, or with the global `fetch` if `binding` is None; JavaScript's
    Response as soon as its head has arrived. Raises Unreachable."""
    options = {"method": "POST", "headers": dict(headers), "body": body}
    if binding is None and timeout is not None:
        # Ends the connection in time, because a Worker may have few of them. A binding has no
        # connection, and `ctx.exports` takes no signals (workerd 1.20261117.1, 2026-11-25).
        options["signal"] = js.AbortSignal.timeout(timeout // timedelta(milliseconds=1))
    request = js.Request.new(url, to_js(options, dict_converter=js.Object.fromEntries))
    send = js.fetch if binding is None else unwrapped(binding).fetch
    with reaching():
        return await send(request)


async def post(
    binding: Any, url: str, *, headers: Mapping[str, str], body: str, timeout: timedelta
) -> tuple[int, str]:
    """`fetch`, and read the answer: its status and its text. Raises Unreachable unless both have
    arrived within the time."""
    with reaching():
        async with asyncio.timeout(timeout.total_seconds()):
            response = await fetch(binding, url, headers=headers, body=body, timeout=timeout)
            return int(response.status), str(await response.text())


@contextmanager
def reaching() -> Iterator[None]:
    """Raise Unreachable where JavaScript fails to send or to receive, or the time is over."""
    try:
        yield
    except (JsException, OSError) as error:
        raise failure(f"{getattr(error, 'name', type(error).__name__)}: {error}") from error


def check_result(value: Any) -> None:
    """Raise the SDK's error if it cannot convert the result of a step for the engine.

    The converted value is dropped: the SDK converts again, and destroys the proxies in a value
    that is converted twice, which may end the process (workers-runtime-sdk 1.9.5, 2026-11-27).
    """
    with suppress(RecursionError):  # the SDK has more stack left, so the value may still pass
        python_to_rpc(value)


def refusal(value: Any) -> Exception | None:
    """The engine's error for the output of a run; None if the engine accepts it."""
    try:
        js.structuredClone(python_to_rpc(value))
    except Exception as error:
        return error
    return None


def rejected(message: str) -> Any:
    """A JavaScript thenable that rejects with an Error of this message.

    An exception that leaves Python becomes a PythonError with a traceback as its message, and
    Pyodide would turn a real promise into a Python future (314.0.6, 2026-11-25).
    """
    error = js.Error.new(message)
    then = create_once_callable(lambda _, reject: reject(error))
    return to_js({"then": then}, dict_converter=js.Object.fromEntries)
