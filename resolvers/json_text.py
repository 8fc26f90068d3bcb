"""JSON text, in and out, with encoders made once: making one costs more than most values."""

import json
from typing import NoReturn


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)


_SEPARATORS = (",", ":")

# Compact and pure ASCII.
encode = json.JSONEncoder(separators=_SEPARATORS).encode

# Compact UTF-8; NaN and the infinities raise ValueError.
encode_value = json.JSONEncoder(separators=_SEPARATORS, ensure_ascii=False, allow_nan=False).encode

# As `json.loads`, but NaN and the infinities are no JSON.
decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
