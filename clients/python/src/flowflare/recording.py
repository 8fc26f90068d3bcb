"""Results and errors as they are recorded: any value as JSON within the service's limits."""

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

from flowflare.depth import is_deep
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
_CONTAINERS = (dict, list, tuple)
_KNOWN = (str, int, float, *_CONTAINERS)
_ATOMS = frozenset({str, int, float, bool, type(None)})
_MAX_FORMS = 8
"""Conversions of one value at most, as from an enum member to a dataclass to a dict."""
_LAST_LINE = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)


class _Unfit(Exception):
    """A value cannot be written as JSON; the message gives the reason."""


def json_text(value: object) -> str:
    """Compact JSON of any value.

    Dates, enums, dataclasses, pydantic models and the like are converted to JSON's types. A value
    that is too large is replaced by its size and a preview, a value that JSON cannot express by
    its type and a preview.
    """
    try:
        text = _encode(value, _forms(value))
    except _Unfit as error:
        return _stand_in(value, str(error))
    except Exception:
        return _stand_in(value, "cannot be written as JSON", _preview(value, PREVIEW_CHARACTERS))
    size = len(text.encode("utf-8"))
    if size <= MAX_JSON_BYTES:
        return text
    return _plain({"truncated": True, "bytes": size, "preview": text[:PREVIEW_CHARACTERS]})


def described(error: BaseException) -> dict[str, str]:
    """An error as `ErrorInput`: its name, its message, and its stack.

    An error that comes back from the engine has lost its type: its text is a traceback, or begins
    with the name. Then name and message are read from the text.
    """
    message = message_of(error)
    name = getattr(error, "name", None)
    if not isinstance(name, str) or not name:
        name = type(error).__name__
    stack = _stack(error)
    if "Traceback (most recent call last):" in message:
        stack = message
        last = message.rstrip().rpartition("\n")[2].strip()
        if match := _LAST_LINE.fullmatch(last):
            name, message = match[1].rpartition(".")[2], match[2] or ""
            if name == "JsException" and (own := _LAST_LINE.fullmatch(message)):
                name, message = own[1], own[2] or ""
    message = message.removeprefix(f"{name}: ")
    if len(stack) > MAX_ERROR_STACK:
        # The end of a Python traceback shows where the error was raised.
        stack = "…" + stack[1 - MAX_ERROR_STACK :]
    return {"name": _clean(name), "message": _clean(message), "stack": _clean(stack)}


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package at its top."""
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.tb_next
    return frame or trace


def _stack(error: BaseException) -> str:
    trace = _without_ours(error.__traceback__)
    if any(is_deep(one.args) for one in _related(error)):
        return "".join(traceback.format_tb(trace))
    return "".join(traceback.format_exception(type(error), error, trace))


def _related(error: BaseException) -> list[BaseException]:
    """An error with its causes, contexts and members: every error in its traceback."""
    found = [error]
    known = {id(error)}
    for one in found:
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        for other in (one.__cause__, one.__context__, *members):
            if other is not None and id(other) not in known:
                known.add(id(other))
                found.append(other)
    return found


def encode(value: object) -> str:
    """Compact JSON of a value that this package has made itself."""
    return _clean(_plain(value))


Forms = dict[int, tuple[object, object]]
"""By the id of a value that is not JSON: the value, and its conversion to JSON's types."""


def _encode(value: object, forms: Forms) -> str:
    if forms:
        options: dict[str, Any] = {"default": lambda item: forms[id(item)][1], **_OPTIONS}
        encoder = json.JSONEncoder(ensure_ascii=False, **options)
    else:
        options, encoder = _OPTIONS, _encoder
    text = encoder.encode(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate can be sent as an escape only
        return json.JSONEncoder(**options).encode(value)
    return text


def _forms(value: object) -> Forms:
    """Convert everything in a value that is not JSON, level by level, before the encoder recurses.

    An object that occurs several times is visited once for each level, and counted as often as
    the encoder would write it. Raises _Unfit if the value is too deep or too large.
    """
    forms: Forms = {}
    root = _known(value, forms)
    level = {id(root): (root, 1)} if isinstance(root, _CONTAINERS) else {}
    written = 0
    for _ in range(MAX_JSON_DEPTH):
        following: dict[int, tuple[Any, int]] = {}
        for item, times in level.values():
            written += times
            for child in item.values() if isinstance(item, dict) else item:
                if type(child) in _ATOMS:
                    continue
                known = _known(child, forms)
                if isinstance(known, _CONTAINERS):
                    before = following.get(id(known))
                    following[id(known)] = (known, times + (before[1] if before else 0))
        if not following:
            return forms
        if written > MAX_JSON_BYTES:
            raise _Unfit("is too large")
        level = following
    raise _Unfit("is nested too deeply")


def _known(value: object, forms: Forms) -> Any:
    """The value as one of JSON's types; the conversions this takes are added to `forms`."""
    for _ in range(_MAX_FORMS):
        if value is None or isinstance(value, _KNOWN):
            return value
        if id(value) not in forms:
            forms[id(value)] = (value, _default(value))
        value = forms[id(value)][1]
    raise _Unfit("cannot be written as JSON")


def _default(value: object) -> object:
    """The conversion of a value that is not JSON."""
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


_OPTIONS: dict[str, Any] = {"separators": (",", ":"), "allow_nan": False}
_encoder = json.JSONEncoder(ensure_ascii=False, **_OPTIONS)
_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _stand_in(value: object, why: str, preview: str = "") -> str:
    return _plain(
        {"unserializable": _type_name(value), "reason": f"the value {why}", "preview": preview}
    )


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _preview(value: object, limit: int) -> str:
    if is_deep(value):
        return ""
    try:
        text = repr(value)
    except Exception:
        return ""
    return _clean(text if len(text) <= limit else text[: limit - 1] + "…")


def _clean(text: str) -> str:
    """Text without lone surrogates, which could not be sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
