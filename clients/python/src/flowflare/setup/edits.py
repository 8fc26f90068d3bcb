"""What is to change in a configuration, whatever its syntax, and what that means for its value."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Where a value is: names of members, and places in lists."""


class Unparsable(Exception):
    """A text that is not in its syntax; the message says where."""


class NotEditable(Exception):
    """A text whose form leaves no place for a change."""


@dataclass(frozen=True, slots=True)
class Put:
    """The member at `path` gets this value; objects on the way that are missing are made."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Append:
    """The list at `path` gets one more element; a list that is missing is made."""

    path: Path
    value: Any


Edit = Put | Append


def applied(config: Any, edits: list[Edit]) -> Any:
    """The configuration after the edits, as a value. Raises NotEditable where none can be."""
    result = copy.deepcopy(config)
    for edit in edits:
        _apply(result, edit)
    return result


def _apply(config: Any, edit: Edit) -> None:
    parent = config
    for key in edit.path[:-1]:
        if isinstance(parent, dict) and key not in parent:
            parent[key] = {}
        parent = step(parent, key)
    last = edit.path[-1]
    if isinstance(parent, dict):
        parent.setdefault(last, [] if isinstance(edit, Append) else None)
    # What is neither an object nor a list, or too short, is refused here.
    elements = step(parent, last)
    if isinstance(edit, Put):
        parent[last] = edit.value
        return
    if not isinstance(elements, list):
        raise NotEditable(f"`{dotted(edit.path)}` is not a list")
    elements.append(edit.value)


def step(value: Any, key: str | int) -> Any:
    """The member or the element of a value. Raises NotEditable if it has none."""
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        raise NotEditable(f"there is no place for `{key}`") from None


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(str(key) for key in path) or "the file"
