"""Errors of the package.

FlowflareError
├── Unreachable     the service did not answer, or asks to try again
├── Denied          the key is missing, wrong, or does not allow this
└── Refused         the service has understood and said no; `code` says why
NonRetryableError   raised by the work of a step: it fails at once, without another attempt
"""

from __future__ import annotations

from flowflare.depth import is_deep


class FlowflareError(Exception):
    """Root of what goes wrong between this package and the service."""


class Unreachable(FlowflareError):
    """The service did not answer in time, or its answer asks to try again."""


class Denied(FlowflareError):
    """The service does not let this caller in."""


class Refused(FlowflareError):
    """The service refused what was sent. `code` is one of docs/errors.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NonRetryableError(Exception):
    """Raised by the work of a step that must not be tried again.

    The engine knows it by this name, which Cloudflare's own exception has too: either will do.
    """


def is_retryable(error: BaseException) -> bool:
    """Whether an attempt that failed with this error may be followed by another."""
    return all(kind.__name__ != NonRetryableError.__name__ for kind in type(error).__mro__)


def message_of(error: BaseException) -> str:
    """The text of an error, whatever its class makes of it; empty where it holds a value that is
    too deep to be written."""
    if is_deep(error.args):
        return ""
    try:
        return str(error)
    except Exception:
        return ""
