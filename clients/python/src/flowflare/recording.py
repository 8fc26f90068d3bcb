"""What results and errors look like in the service: JSON within its limits, whatever they are."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import re
import traceback
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowflare.errors import message_of

if TYPE_CHECKING:
    from types import TracebackType

# The service's limits: docs/limits.md.
MAX_JSON_BYTES = 524_288
MAX_JSON_DEPTH = 200
MAX_ERROR_STACK = 32_768
PREVIEW_CHARACTERS = 1_000

# The file's folder, with the separator.
_PACKAGE = __file__.removesuffix("recording.py")
_TEXTUAL = (uuid.UUID, decimal.Decimal, pathlib.PurePath, complex)
_SET_LIKE = (set, frozenset)
_LAST_LINE = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)


def json_text(value: object) -> str:
    """Compact JSON of any value.

    Dates, enums, dataclasses, pydantic models and the like become what JSON has for them. What
    is too large is replaced by its size and a preview, and what has no form in JSON by its type
    and a preview.
    """
    if _is_deep(value):
        return _stand_in(value, "is nested too deeply")
    try:
        text = _encode(value)
    except Exception:
        return _stand_in(value, "is no JSON")
    size = len(text.encode("utf-8"))
    if size <= MAX_JSON_BYTES:
        return text
    return _plain({"truncated": True, "bytes": size, "preview": text[:PREVIEW_CHARACTERS]})


def described(error: BaseException) -> dict[str, str]:
    """An error as `ErrorInput`: its name, its message, and its stack.

    What the engine hands back has lost its type: its text is a traceback, or begins with the
    name. Then both are read from the text.
    """
    message = message_of(error)
    name = getattr(error, "name", None)
    if not isinstance(name, str) or not name:
        name = type(error).__name__
    stack = "".join(
        traceback.format_exception(type(error), error, _without_ours(error.__traceback__))
    )
    if "Traceback (most recent call last):" in message:
        stack = message
        last = message.rstrip().rpartition("\n")[2].strip()
        if match := _LAST_LINE.fullmatch(last):
            name, message = match[1].rpartition(".")[2], match[2] or ""
    elif isinstance(error, KeyError) and len(error.args) == 1:
        message = f"{error.args[0]!r}"
    message = message.removeprefix(f"{name}: ")
    if len(stack) > MAX_ERROR_STACK:
        # The end of a Python traceback is where it happened.
        stack = "…" + stack[1 - MAX_ERROR_STACK :]
    return {"name": _clean(name), "message": _clean(message), "stack": _clean(stack)}


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from where the workflow's own code begins."""
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.tb_next
    return frame or trace


def encode(value: object) -> str:
    """Compact JSON of what this package has made itself."""
    return _plain(value)


def _encode(value: object) -> str:
    text = _encoder.encode(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: only as an escape can it be sent
        return json.dumps(value, default=_default, separators=(",", ":"), allow_nan=False)
    return text


def _default(value: object) -> object:
    """What JSON has for a value that it does not know."""
    if isinstance(value, datetime.timedelta):
        return value // datetime.timedelta(milliseconds=1)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, _TEXTUAL):
        return str(value)
    if isinstance(value, _SET_LIKE):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": len(value)}
    if isinstance(value, BaseException):
        return {"name": type(value).__name__, "message": message_of(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    return {"unserializable": _type_name(value), "preview": _preview(value, 200)}


_encoder = json.JSONEncoder(
    default=_default, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _is_deep(value: object) -> bool:
    """Asked before encoding: where the stack ends on WebAssembly, so does the process."""
    level: list[Any] = [value]
    for _ in range(MAX_JSON_DEPTH):
        children = {
            id(child): child
            for item in level
            if isinstance(item, (dict, list, tuple))
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list, tuple))
        }
        if not children:
            return False
        level = list(children.values())
    return True


def _stand_in(value: object, why: str) -> str:
    preview = _preview(value, PREVIEW_CHARACTERS) if why == "is no JSON" else ""
    return _plain(
        {"unserializable": _type_name(value), "reason": f"the value {why}", "preview": preview}
    )


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _preview(value: object, limit: int) -> str:
    try:
        text = repr(value)
    except Exception:
        return ""
    return _clean(text if len(text) <= limit else text[: limit - 1] + "…")


def _clean(text: str) -> str:
    """Text that can be sent: without lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")
