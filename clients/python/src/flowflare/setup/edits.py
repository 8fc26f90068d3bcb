"""Edits of a configuration, in any syntax, and their effect on its value."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""The path of a value: names of members, and indexes in lists."""


class Unparsable(Exception):
    """A text is not valid in its syntax; the message says where."""


class NotEditable(Exception):
    """A text is written in a form that cannot take the change."""


@dataclass(frozen=True, slots=True)
class Put:
    """Set the member at `path`; missing objects on the way are created."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Append:
    """Append an element to the list at `path`; a missing list is created."""

    path: Path
    value: Any


Edit = Put | Append


def applied(config: Any, edits: list[Edit]) -> Any:
    """The value of the configuration after the edits. Raises NotEditable."""
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
    # Raises for a value that is neither an object nor a list, or that is too short.
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
        raise NotEditable(f"it has no member or element `{key}`") from None


def dotted(path: Path) -> str:
    """A path with dots."""
    return ".".join(str(key) for key in path) or "the file"
