"""Everything that the package raises.

FlowflareError
├── Unreachable              no answer: no connection, no time left, a server that failed
├── Denied                   the key is missing, not valid, or does not allow this
├── Refused                  the service refused the request; `code` says why
│   └── GraphQLRequestError  a GraphQL response with `errors`
│       ├── Unauthenticated  no key, or one that is not valid; also Denied
│       ├── Forbidden        the key does not allow this; also Denied
│       └── Ambiguous        instances of several workflows have the id: give `workflow`
├── InvalidVariable          a value that cannot be sent; also ValueError
└── UnexpectedAnswer         an answer that is not Flowflare's: a wrong address, another version
NonRetryableError            raised by the work of a step: it fails without another attempt

A mutation's expected failures are not exceptions in `flowflare.client`: they are members of its
result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowflare.depth import is_deep

UNKNOWN = "UNKNOWN"
"""The code of an error that came without one."""


class FlowflareError(Exception):
    """Base of every failure between this package and the service."""


class Unreachable(FlowflareError):
    """The service did not answer in time, or asked to try again later."""


class Denied(FlowflareError):
    """The service denies access to this caller."""


class Refused(FlowflareError):
    """The service refused the request. `code` is one of docs/errors.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class GraphQLRequestError(Refused):
    """The service answered with errors.

    `code` and `path` are the first error's (docs/errors.md lists the codes), `errors` has all of
    them as they came, and `data` is the data beside them.
    """

    def __init__(self, errors: Sequence[Mapping[str, Any]], data: Any = None) -> None:
        self.errors = [dict(error) for error in errors]
        self.data = data
        first = self.errors[0] if self.errors else {}
        self.message = str(first.get("message", "The operation failed."))
        self.path: list[str | int] = list(first.get("path") or [])
        self.extensions: dict[str, Any] = dict(first.get("extensions") or {})
        super().__init__(str(self.extensions.get("code", UNKNOWN)), self.message)


class Unauthenticated(GraphQLRequestError, Denied):
    """No key was sent, or one that is not valid (any more)."""


class Forbidden(GraphQLRequestError, Denied):
    """The key or token does not allow this."""


class Ambiguous(GraphQLRequestError):
    """Instances of several workflows have the id of a query or subscription.

    `workflows` has the names of these workflows, at most 100. Give one of them as `workflow`.
    """

    @property
    def workflows(self) -> list[str]:
        """Names of the workflows, as `extensions.workflows` of the error."""
        return list(self.extensions.get("workflows") or [])


class InvalidVariable(FlowflareError, ValueError):
    """A variable has a value that cannot be sent, so nothing was sent.

    `path` leads to the value from the name of the variable: `["input", "input", "total"]`.
    """

    def __init__(self, path: Sequence[str | int], fault: str) -> None:
        self.path = list(path)
        super().__init__(f"{'.'.join(map(str, path))} {fault}")


class UnexpectedAnswer(FlowflareError):
    """The answer is not Flowflare's, or not that of a version this client knows."""


class NonRetryableError(Exception):
    """Raised by the work of a step that must not be tried again.

    The engine knows it by this name, which Cloudflare's own exception has too: either will do.
    """


def is_retryable(error: BaseException) -> bool:
    """True if an attempt that failed with this error may be followed by another."""
    return all(kind.__name__ != NonRetryableError.__name__ for kind in type(error).__mro__)


def message_of(error: BaseException) -> str:
    """The text of an error; empty if its class cannot produce one, or if it contains a value
    that is nested too deeply to be written."""
    if is_deep(error.args):
        return ""
    try:
        return str(error)
    except Exception:
        return ""
