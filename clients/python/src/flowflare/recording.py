"""Results and errors as they are recorded: any value as JSON within the service's limits."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import re
import traceback
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowflare.depth import is_deep
from flowflare.errors import message_of
from flowflare.scalars import serialize_datetime

if TYPE_CHECKING:
    from types import TracebackType

# The service's limits: docs/limits.md.
MAX_JSON_BYTES = 524_288
MAX_JSON_DEPTH = 200
MAX_ERROR_STACK = 32_768
PREVIEW_CHARACTERS = 1_000
WRITTEN_CHARACTERS = 8_388_608
WRITTEN_LEVELS = 100_000
BIGINT_BITS = 14_284

# The file's folder, with the separator.
_PACKAGE = __file__.removesuffix("recording.py")
_TEXTUAL = (uuid.UUID, decimal.Decimal, pathlib.PurePath, complex)
_SET_LIKE = (set, frozenset)
_CONTAINERS = (dict, list, tuple)
_NAMES = (str, int, float)
_MAX_SAFE_INTEGER = 2**53 - 1
_MAX_FORMS = 8
"""Conversions of one value at most, as from an enum member to a dataclass to a dict."""
_VALUE_CHARACTERS = 8
_MAX_PREVIEWS = 20
"""Values in one text that JSON cannot express and that have a preview."""
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LAST_LINE = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)


class Recorded(NamedTuple):
    """A value as it is recorded: JSON text, and what it is of the value (the API's OutputKind)."""

    text: str
    kind: str

    @property
    def as_output(self) -> str:
        """JSON of the members of an update whose output this is."""
        # Without a kind, null clears the output.
        return f'"output":{self.text},"outputKind":"{self.kind}"'


REDACTED = Recorded("null", "REDACTED")
"""The value of a sensitive step, which is not recorded."""


def recorded(value: object) -> Recorded:
    """A value as compact JSON in the forms of docs/values.md, within the service's limits.

    Nothing is raised. The writer keeps its own stack and stops at a limit: a value may be nested
    thousands of levels deep, contain itself, or repeat a part so often that its text would be
    endless.
    """
    try:
        return _Writer().write(value)
    except Exception:
        # It contains itself, or code of its own fails.
        return Recorded(_plain(_stand_in(value)), "UNSERIALIZABLE")


def json_text(value: object) -> str:
    """The text of `recorded`."""
    return recorded(value).text


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


class _StandIn(dict[str, str]):
    """The form of a value that JSON cannot express."""


@dataclasses.dataclass(slots=True)
class _Container:
    """An object or a list that is being written; the items of an object are pairs."""

    source: object
    items: Iterator[Any]
    is_object: bool
    is_empty: bool = True


class _Writer:
    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._open: list[_Container] = []
        # The ids of the sources of what is open.
        self._sources: set[int] = set()
        self._previews = _MAX_PREVIEWS
        self._is_converted = False
        self._is_deep = False

    def write(self, root: object) -> Recorded:
        value = self._convert(root)
        if isinstance(value, _StandIn):
            return Recorded(_plain(value), "UNSERIALIZABLE")
        self._add(value)
        while self._open and not self._is_over_limit:
            self._continue(self._open[-1])
        text = _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", "".join(self._pieces))
        size = len(text.encode())
        if self._open or self._is_deep or size > MAX_JSON_BYTES:
            preview = {"truncated": True, "bytes": size, "preview": text[:PREVIEW_CHARACTERS]}
            return Recorded(_plain(preview), "TRUNCATED")
        return Recorded(text, "CONVERTED" if self._is_converted else "JSON")

    @property
    def _is_over_limit(self) -> bool:
        return self._length > WRITTEN_CHARACTERS or len(self._open) > WRITTEN_LEVELS

    def _continue(self, container: _Container) -> None:
        """Write the next value of the innermost container, or its end."""
        for item in container.items:
            if not container.is_empty:
                self._push(",")
            container.is_empty = False
            value = item
            if container.is_object:
                name, value = item
                self._push(f"{_quoted(_name(name))}:")
            self._add(self._convert(value))
            return
        self._open.pop()
        self._sources.discard(id(container.source))
        self._push("}" if container.is_object else "]")

    def _add(self, value: Any) -> None:
        """Write a converted value, or open it."""
        # Any value takes as long as a text of some characters.
        self._length += _VALUE_CHARACTERS
        if isinstance(value, str):
            self._push(_quoted(value))
        elif not isinstance(value, (*_CONTAINERS, _Container)):
            self._push(_plain(value))
        elif _is_flat(value):
            # The encoder is ten times faster, and most objects and lists are of this kind.
            self._push(_plain(value))
            self._is_deep = self._is_deep or len(self._open) >= MAX_JSON_DEPTH
        else:
            self._begin(value if isinstance(value, _Container) else self._container(value))

    def _begin(self, container: _Container) -> None:
        if id(container.source) in self._sources:
            raise ValueError("the value contains itself")
        self._sources.add(id(container.source))
        self._open.append(container)
        self._is_deep = self._is_deep or len(self._open) > MAX_JSON_DEPTH
        self._push("{" if container.is_object else "[")

    def _push(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)

    def _container(self, value: Any, source: object | None = None) -> _Container:
        source = value if source is None else source
        if not isinstance(value, dict):
            return _Container(source, iter(value), is_object=False)
        if all(name is None or isinstance(name, _NAMES) for name in value):
            return _Container(source, iter(value.items()), is_object=True)
        self._is_converted = True
        return _Container(source, iter(value.items()), is_object=False)

    def _convert(self, value: Any) -> Any:
        """The value that is written in place of a value: an atom, a dict, a list, a _Container."""
        source = value
        for _ in range(_MAX_FORMS):
            if value is None or isinstance(value, (str, bool)):
                return value
            if isinstance(value, _StandIn):
                return value
            if isinstance(value, int):
                return self._integer(value)
            if isinstance(value, float):
                if math.isfinite(value):
                    return value
                value = None
            elif isinstance(value, _CONTAINERS):
                # A new object of each visit does not show that the value contains itself.
                return value if value is source else self._container(value, source)
            else:
                value = self._default(value)
            self._is_converted = True
        return _StandIn(_stand_in(source))

    def _integer(self, value: int) -> object:
        if abs(value) <= _MAX_SAFE_INTEGER:
            return int(value)
        self._is_converted = True
        # The engine takes it for a BigInt. The time for a longer one would grow with the square
        # of its length.
        if value.bit_length() > BIGINT_BITS:
            return _StandIn(_stand_in(value))
        return int.__repr__(value)

    def _default(self, value: object) -> object:
        """The conversion of a value that is not JSON."""
        if isinstance(value, datetime.timedelta):
            return value // datetime.timedelta(milliseconds=1)
        if isinstance(value, datetime.datetime) and value.tzinfo is not None:
            return serialize_datetime(value)
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
            return {"bytes": memoryview(value).nbytes}
        if isinstance(value, BaseException):
            return {"name": type(value).__name__, "message": message_of(value)}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if callable(dump := getattr(value, "model_dump", None)):
            return dump(mode="json")
        # Making a preview takes a while, because the object is searched for depth.
        self._previews -= 1
        return _StandIn(_stand_in(value, has_preview=self._previews >= 0))


def _is_flat(value: object) -> bool:
    """True if a value is a list or an object of a few atoms that the encoder writes as they are."""
    kind = type(value)
    if kind is dict:
        items: Any = value.values()  # type: ignore[attr-defined]  # narrowed by its exact type
        if not all(type(name) is str for name in value):  # type: ignore[attr-defined]
            return False
    elif kind is list or kind is tuple:
        items = value
    else:
        return False
    size = 0
    for item in items:
        of = type(item)
        if of is str:
            size += len(item)
        elif of is int:
            if not -_MAX_SAFE_INTEGER <= item <= _MAX_SAFE_INTEGER:
                return False
        elif of is float:
            if not math.isfinite(item):
                return False
        elif of is not bool and item is not None:
            return False
        size += 1
        if size > MAX_JSON_BYTES:
            return False
    return True


def _name(name: object) -> str:
    """The name of a member in JSON, as `json` writes it."""
    if isinstance(name, str):
        return name
    return _plain(name) if name is None or isinstance(name, bool) else repr(name)


def _quoted(text: str) -> str:
    return _plain(text[: WRITTEN_CHARACTERS + 1])


_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _stand_in(value: object, *, has_preview: bool = True) -> dict[str, str]:
    return {
        "unserializable": _type_name(value),
        "preview": _preview(value, 200) if has_preview else "",
    }


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
