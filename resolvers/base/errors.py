"""Errors of the domain.

FlowflareError
├── RequestError        the request as a whole is refused before any SQL runs
│   ├── AccessError     no key, a wrong one, or one that does not allow this
│   └── ArgumentError   an argument of one field is out of bounds
└── Refusal             a mutation's expected failure: a member of its result union
"""

from collections.abc import Mapping, Sequence

from resolvers.base.vocabulary import ErrorCode


class FlowflareError(Exception):
    """Root of the tree."""


class RequestError(FlowflareError):
    """The request is refused. `code` goes to `extensions.code`, `status` is HTTP's."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int = 400,
        path: Sequence[str | int] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.path = list(path) if path is not None else None
        self.extensions = {"code": code, **(extensions or {})}


class AccessError(RequestError):
    """UNAUTHENTICATED (401: no valid key) or FORBIDDEN (403: the key does not allow this)."""

    @classmethod
    def unauthenticated(cls, message: str) -> "AccessError":
        """Make the error for a missing or invalid key."""
        return cls(message, code="UNAUTHENTICATED", status=401)

    @classmethod
    def forbidden(cls, message: str) -> "AccessError":
        """Make the error for a valid key that does not allow the request."""
        return cls(message, code="FORBIDDEN", status=403)


class ArgumentError(RequestError):
    """An argument's value is out of bounds; `argument` names it, with dots for nested fields."""

    def __init__(self, message: str, *, argument: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(
            message, code="INVALID_ARGUMENT", path=path, extensions={"argument": argument}
        )
        self.argument = argument


class Refusal(FlowflareError):
    """An expected failure of a mutation, which becomes a `type_name` with these fields."""

    def __init__(self, type_name: str, code: ErrorCode, message: str, **fields: object) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.fields: dict[str, object] = {"code": str(code), "message": message, **fields}


def invalid_input(
    message: str, path: Sequence[str], *, code: ErrorCode = ErrorCode.INVALID_INPUT
) -> Refusal:
    """Make an InvalidInput for the input field at `path`, outermost field first."""
    return Refusal("InvalidInput", code, message, path=list(path))
