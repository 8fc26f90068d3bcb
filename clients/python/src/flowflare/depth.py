"""A check of a value's depth, made before anything recurses over the value.

`json`, `repr` and the `str` of an exception recurse in C. On WebAssembly the end of the stack is
not a RecursionError but the end of the process (Pyodide 314.0.6, 2026-11-27).
"""

from __future__ import annotations

import gc
import types

MAX_LEVELS = 200
MAX_OBJECTS = 100_000

# References from a value to the program that made it, which are not followed.
_PROGRAM = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
)


def is_deep(value: object, levels: int = MAX_LEVELS) -> bool:
    """True if a value is nested more than `levels` deep, or refers to too many objects to check.
    Keys, attributes and references from C extensions count as well."""
    level = [value]
    seen = {id(value)}
    for _ in range(levels):
        following = []
        for child in gc.get_referents(*level):
            # An object that the collector does not track refers to no object that it tracks.
            if gc.is_tracked(child) and not isinstance(child, _PROGRAM) and id(child) not in seen:
                seen.add(id(child))
                following.append(child)
        if not following:
            return False
        if len(seen) > MAX_OBJECTS:
            return True
        level = following
    return True
