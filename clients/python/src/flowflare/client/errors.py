"""What can go wrong between a client and the service.

FlowflareError
├── Unreachable              no answer: no connection, no time left, a server that failed
├── InvalidVariable          a value that cannot be sent; also ValueError
├── UnexpectedAnswer         an answer that is not Flowflare's: a wrong address, another version
└── Refused
    └── GraphQLRequestError  the service refused the operation, or a part of it failed
        ├── Unauthenticated  no key, or one that is not valid; also Denied
        └── Forbidden        the key does not allow this; also Denied

A mutation's expected failures are not exceptions: they are members of its result. The classes
without a description here are those of the tracking, in flowflare.errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowflare.errors import Denied, FlowflareError, Refused, Unreachable

__all__ = [
    "FlowflareError",
    "Forbidden",
    "GraphQLRequestError",
    "InvalidVariable",
    "Unauthenticated",
    "UnexpectedAnswer",
    "Unreachable",
    "request_error",
]

UNKNOWN = "UNKNOWN"
"""The code of an error that came without one."""


class InvalidVariable(FlowflareError, ValueError):
    """A variable holds a value that cannot be sent, so nothing was.

    `path` leads to it from the name of the variable: `["input", "input", "total"]`.
    """

    def __init__(self, path: Sequence[str | int], fault: str) -> None:
        self.path = list(path)
        super().__init__(f"{'.'.join(map(str, path))} {fault}")


class UnexpectedAnswer(FlowflareError):
    """What answered is not Flowflare, or one that this client does not know."""


class GraphQLRequestError(Refused):
    """The service answered with errors.

    `code` and `path` are the first error's (docs/errors.md lists the codes), `errors` has them all
    as they came, and `data` what there is beside them.
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


KINDS = {"UNAUTHENTICATED": Unauthenticated, "FORBIDDEN": Forbidden}


def request_error(errors: Sequence[Any], data: Any = None) -> GraphQLRequestError:
    """The exception for GraphQL errors as they came, of the class that the first one calls for."""
    code = (errors[0].get("extensions") or {}).get("code") if errors else None
    return KINDS.get(str(code), GraphQLRequestError)(errors, data)
