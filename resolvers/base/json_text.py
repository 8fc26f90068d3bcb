"""JSON text, in and out, with encoders made once: making one costs more than most values."""

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from resolvers.base.limits import MAX_BODY_DEPTH

# Whatever is in them; the last one may be left open.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Brackets as steps: one level down, or one up as a signed byte. The rest is left out.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)


_SEPARATORS = (",", ":")

# Compact and pure ASCII.
encode = json.JSONEncoder(separators=_SEPARATORS).encode

# Compact UTF-8; NaN and the infinities raise ValueError.
encode_value = json.JSONEncoder(separators=_SEPARATORS, ensure_ascii=False, allow_nan=False).encode

# As `json.loads`, but NaN and the infinities are no JSON.
decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def decode_untrusted(text: str, *, max_depth: int = MAX_BODY_DEPTH) -> Any:
    """The value of JSON text from outside; ValueError says what is wrong with it."""
    if nested_deeper(text, max_depth):
        raise ValueError(f"may be nested {max_depth} levels deep (MAX_BODY_DEPTH)")
    try:
        return decode(text)
    except json.JSONDecodeError as error:
        raise ValueError("is not JSON") from error
    except ValueError as error:  # more digits than Python converts
        raise ValueError("holds a number of too many digits") from error


def nested_deeper(text: str, limit: int) -> bool:
    """Whether JSON text is nested deeper than `limit`.

    Asked before parsing: the standard library's parser recurses, and on WebAssembly running
    out of stack is not an exception but the end of the process (Pyodide 314.0.6, 2026-11-22).
    """
    if text.count("[") + text.count("{") <= limit:
        return False
    brackets = _STRINGS.sub("", text).encode("ascii", "replace")
    steps = memoryview(brackets.translate(_STEPS, _OTHERS)).cast("b")
    return max(accumulate(steps), default=0) > limit
