"""Encodes and decodes JSON text, with encoders made once: making one costs more than most calls."""

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from resolvers.base.limits import MAX_BODY_DEPTH

# Strings with any content; the last one may be unterminated.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Brackets as steps of depth: 1 for an opening one, -1 (as a signed byte) for a closing one.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_SEPARATORS = (",", ":")

# Compact and pure ASCII.
encode = json.JSONEncoder(separators=_SEPARATORS).encode

# Compact UTF-8; NaN and the infinities raise ValueError.
encode_value = json.JSONEncoder(separators=_SEPARATORS, ensure_ascii=False, allow_nan=False).encode

# Like `json.loads`, but refuses NaN and the infinities.
decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def decode_untrusted(text: str, *, max_depth: int = MAX_BODY_DEPTH) -> Any:
    """Decode JSON text from outside; the message of a ValueError names the fault."""
    if nested_deeper(text, max_depth):
        raise ValueError(f"must be nested at most {max_depth} levels deep (MAX_BODY_DEPTH)")
    try:
        return decode(text)
    except json.JSONDecodeError as error:
        raise ValueError("is not valid JSON") from error
    except ValueError as error:  # more digits than Python converts
        raise ValueError("contains a number with too many digits") from error


def nested_deeper(text: str, limit: int) -> bool:
    """Return True if JSON text is nested deeper than `limit`.

    Call it before parsing: the standard library's parser recurses, and on WebAssembly running
    out of stack is not an exception but the end of the process (Pyodide 314.0.6, 2026-11-22).
    """
    if text.count("[") + text.count("{") <= limit:
        return False
    brackets = _STRINGS.sub("", text).encode("ascii", "replace")
    steps = memoryview(brackets.translate(_STEPS, _OTHERS)).cast("b")
    return max(accumulate(steps), default=0) > limit
