"""Calls to the service, and the translation of their failures into the CLI's."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from flowflare.cli.errors import CliError, Denied, TimeIsUp, Unreachable, UsageMistake
from flowflare.cli.results import ambiguous, refused_value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import timedelta

    from flowflare.cli.settings import Settings
    from flowflare.client import FlowflareClient
    from flowflare.errors import GraphQLRequestError

T = TypeVar("T")
_GET_A_KEY = "Set FLOWFLARE_API_KEY, or give --api-key."
_PATIENCE_S = 5.0
"""Time that an interrupted command has to end."""


def ask(
    settings: Settings,
    operation: Callable[[FlowflareClient], Awaitable[T]],
    *,
    timeout: timedelta | None = None,
) -> T:
    """Run an operation with a client of its own. Raises CliError for every failure."""
    import asyncio  # noqa: PLC0415 - heavy, and so is the client

    from flowflare.client import FlowflareClient  # noqa: PLC0415

    async def run() -> T:
        _end_when_interrupted()
        async with (
            asyncio.timeout(timeout.total_seconds() if timeout is not None else None),
            FlowflareClient(settings.url, settings.key) as client,
        ):
            return await operation(client)

    try:
        with _translated(settings, timeout):
            return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _end_when_interrupted() -> None:
    """Cancel the running task at Ctrl-C, and again if it continues: before Python 3.12
    `asyncio.wait_for` loses a cancellation that coincides with the end of its wait."""
    import asyncio  # noqa: PLC0415 - heavy

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        task.cancel()
        loop.call_later(_PATIENCE_S, interrupt)

    # Windows has no such handlers; asyncio cancels the task once there.
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGINT, interrupt)


@contextmanager
def _translated(settings: Settings, timeout: timedelta | None) -> Iterator[None]:
    from flowflare import errors  # noqa: PLC0415 - heavy

    try:
        yield
    except errors.InvalidVariable as error:
        raise UsageMistake(str(error)) from error
    except errors.Unreachable as error:
        hint = f"Is it running at {settings.url}? Set its address with --url or FLOWFLARE_URL."
        raise Unreachable(str(error), hint=hint) from error
    except errors.UnexpectedAnswer as error:
        hint = f"Check --url or FLOWFLARE_URL, which is {settings.url}."
        raise Unreachable(str(error), hint=hint) from error
    except errors.Unauthenticated as error:
        hint = "Check FLOWFLARE_API_KEY or --api-key." if settings.key else _GET_A_KEY
        raise Denied(error.message, hint=hint) from error
    except errors.Forbidden as error:
        raise Denied(error.message, hint="Use a key or token that allows it.") from error
    except errors.Ambiguous as error:
        raise ambiguous(error.workflows) from error
    except errors.GraphQLRequestError as error:
        raise _refused(error) from error
    except TimeoutError as error:
        if timeout is None:
            raise
        raise TimeIsUp(
            "The instance has not finished in time",
            hint="It continues; `flowflare get` shows its status.",
        ) from error


def _refused(error: GraphQLRequestError) -> CliError:
    """The error for a request that the service refused; it names the argument at fault."""
    if error.code in ("INVALID_ARGUMENT", "INVALID_INPUT", "PAYLOAD_TOO_LARGE"):
        return refused_value(error.message, str(error.extensions.get("argument") or ""))
    if error.code == "INTERNAL":
        reference = error.extensions.get("reference", "unknown")
        return CliError(error.message, hint=f"The Worker's log has the details under {reference}.")
    return CliError(f"{error.message} ({error.code})" if error.code else error.message)
