"""Turns exceptions into the `errors` of a response, over HTTP or a WebSocket."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from resolvers.base.errors import RequestError
from resolvers.base.limits import (
    D1_MAX_STRING_BYTES,
    MAX_REPORTED_LOCATIONS,
    MAX_REPORTED_MESSAGE,
    MAX_RESULT_BYTES,
    MAX_SAME_ID,
)
from resolvers.compiling.documents import InvalidDocument
from resolvers.executing.executor import ExecutionFailed
from resolvers.ports.database import DatabaseError

_log = logging.getLogger("flowflare")


@dataclass(frozen=True, slots=True)
class Report:
    """The errors of a failed request, and their status over HTTP."""

    errors: list[dict[str, Any]]
    status: int
    # True if execution had begun: then the response also has `data`, which is null.
    executed: bool = False


def report(error: Exception) -> Report:
    """Report any exception. Call it in the handler of the exception, which may be logged."""
    match error:
        case RequestError():
            return Report([_refusal(error)], error.status)
        case InvalidDocument():
            return Report([_with_code(problem) for problem in error.errors], 400)
        case ExecutionFailed():
            return Report([{**_cause(error.error), "path": error.path}], 200, executed=True)
        case DatabaseError() if (ambiguity := error.ambiguity) is not None:
            return Report([_ambiguous(ambiguity)], 200, executed=True)
        case DatabaseError() if error.is_too_big:
            return Report([_too_large()], 200, executed=True)
        case _:
            return Report([_masked()], 500, executed=True)


def error_of(message: str, code: str, **extensions: object) -> dict[str, Any]:
    """Make one entry of `errors`."""
    return {"message": message, "extensions": {"code": code, **extensions}}


def _cause(error: Exception) -> dict[str, Any]:
    if isinstance(error, RequestError):
        return {"message": _shortened(error.message), "extensions": error.extensions}
    return _with_code(error) if isinstance(error, GraphQLError) else _masked()


def _ambiguous(found: Mapping[str, Any]) -> dict[str, Any]:
    workflows = sorted(found["workflows"])[:MAX_SAME_ID]
    message = (
        f"Instances of several workflows have the id {found['ambiguous']!r}. Name one with"
        " `workflow`; `extensions.workflows` has their names."
    )
    return {**error_of(message, "AMBIGUOUS", workflows=workflows), "path": [found["path"]]}


def _too_large() -> dict[str, Any]:
    return error_of(
        f"The result has more than {MAX_RESULT_BYTES} bytes (MAX_RESULT_BYTES), or one of its"
        f" fields has more than {D1_MAX_STRING_BYTES} (D1_MAX_STRING_BYTES). Select fewer rows, or"
        " leave out input and output.",
        "RESULT_TOO_LARGE",
    )


def _refusal(error: RequestError) -> dict[str, Any]:
    formatted: dict[str, Any] = {
        "message": _shortened(error.message),
        "extensions": error.extensions,
    }
    if error.path:
        formatted["path"] = error.path
    return formatted


def _masked() -> dict[str, Any]:
    """Log an unexpected failure, and return an error that reveals only its reference in the log."""
    reference = str(uuid.uuid4())
    _log.exception("Unexpected failure %s", reference)
    message = f"Something went wrong in the service. Its log has the details under {reference}."
    return error_of(message, "INTERNAL", reference=reference)


def _with_code(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["message"] = _shortened(error.message)
    if error.locations:
        formatted["locations"] = formatted["locations"][:MAX_REPORTED_LOCATIONS]
    formatted["extensions"] = {"code": "INVALID_DOCUMENT", **formatted.get("extensions", {})}
    return formatted


def _shortened(message: str) -> str:
    """Cut a message: a name or value that it quotes may be as long as the request."""
    if len(message) <= MAX_REPORTED_MESSAGE:
        return message
    return message[: MAX_REPORTED_MESSAGE - 1] + "…"
