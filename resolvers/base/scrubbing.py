"""Scrubbing: parts of values and errors that are never stored, by patterns of the configuration.

    {"*": ["password"], "order": ["card.number", "/sk-[a-z0-9]+/"]}

A pattern is the name of a member, or a regular expression between slashes:

    password      {"user": {"Password": "hunter2"}} → {"user": {"Password": "[SCRUBBED]"}}
    card.number   {"card": {"number": 4111}, "number": 7} → {"card": {"number": "[SCRUBBED]"}, …}
    /sk-[a-z]+/   "the key sk-abc" → "the key [SCRUBBED]"

Rules that cannot be read replace everything: nothing may be stored that they were to keep out.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.base.json_text import decode, encode, encode_value
from resolvers.base.limits import MAX_JSON_BYTES
from resolvers.base.vocabulary import OutputKind

MARK = "[SCRUBBED]"

# The name in the configuration that stands for all workflows.
_ALL = "*"
# The members of a report's input that are JSON values.
_VALUES = ("input", "output", "metadata")
_ERROR_TEXTS = ("name", "message", "stack")
# The kinds of outputs that scrubbing leaves as they are.
_STAND_INS = (OutputKind.TRUNCATED, OutputKind.UNSERIALIZABLE)


@dataclass(frozen=True, slots=True)
class Glob:
    """A name in which `*` stands for any characters; upper and lower case are the same."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Glob":
        """Parse a name, such as `*token*`."""
        return cls(tuple(text.casefold().split("*")))

    def matches(self, name: str) -> bool:
        """True if the whole name matches. The time grows with its length only."""
        name = name.casefold()
        first, *middle = self.parts
        if not middle:
            return name == first
        *middle, last = middle
        at, end = len(first), len(name) - len(last)
        if at > end or not name.startswith(first) or not name.endswith(last):
            return False
        for part in middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A value afterwards; `kind` is SCRUBBED or TRUNCATED if a part of it was replaced."""

    value: Any
    kind: OutputKind | None = None

    def kind_of(self, before: str | None) -> OutputKind | None:
        """The kind of an output afterwards, from the one before."""
        if self.kind is None or before in _STAND_INS:
            return None if before is None else OutputKind(before)
        return self.kind


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns for the instances of one workflow."""

    # Each is the names on a path, outermost first.
    paths: tuple[tuple[Glob, ...], ...] = ()
    texts: tuple[re.Pattern[str], ...] = ()
    # True to replace everything.
    is_blind: bool = False

    @classmethod
    def parse(cls, patterns: object) -> "Rules":
        """Parse a list of patterns; the message of a ValueError names the fault."""
        if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
            raise ValueError("must be a list of patterns, which are texts")
        paths, texts = [], []
        for pattern in patterns:
            if len(pattern) > 2 and pattern[0] == pattern[-1] == "/":
                try:
                    texts.append(re.compile(pattern[1:-1]))
                except re.error as error:
                    raise ValueError(f"{pattern} is not a regular expression: {error}") from error
                continue
            names = pattern.split(".")
            if not all(names) or "/" in pattern[:1] + pattern[-1:]:
                raise ValueError(
                    f"{pattern!r} is neither names joined by dots nor a /regular expression/"
                )
            paths.append(tuple(Glob.parse(name) for name in names))
            if len(names) > 1:
                # A name may contain dots.
                paths.append((Glob.parse(pattern),))
        return cls(tuple(paths), tuple(texts))

    @classmethod
    def merge(cls, all_rules: Iterable["Rules"]) -> "Rules":
        """Rules with the patterns of several."""
        merged = cls()
        for rules in all_rules:
            merged = cls(
                merged.paths + rules.paths,
                merged.texts + rules.texts,
                merged.is_blind or rules.is_blind,
            )
        return merged

    def __bool__(self) -> bool:
        return self.is_blind or bool(self.paths or self.texts)

    def text(self, text: str) -> str:
        """Scrub a text, such as the message of an error."""
        if self.is_blind:
            return MARK
        for pattern in self.texts:
            # An empty match has nothing to hide.
            text = pattern.sub(lambda match: MARK if match[0] else "", text)
        return text

    def value(self, value: Any) -> Scrubbed:
        """Scrub a JSON value; the given one is left as it is."""
        scrubbed, is_changed = self._copy(value)
        if not is_changed:
            return Scrubbed(value)
        size = len(_encode(scrubbed))
        if size > MAX_JSON_BYTES:
            # The marks are longer than what they replace.
            cut = {"truncated": True, "bytes": size, "preview": MARK}
            return Scrubbed(cut, OutputKind.TRUNCATED)
        return Scrubbed(scrubbed, OutputKind.SCRUBBED)

    def json(self, text: str) -> Scrubbed:
        """Scrub JSON text; `value` is a text, too."""
        scrubbed = self.value(decode(text)) if self else Scrubbed(None)
        if scrubbed.kind is None:
            return Scrubbed(text)
        return Scrubbed(_encode(scrubbed.value).decode(), scrubbed.kind)

    def _copy(self, root: Any) -> tuple[Any, bool]:
        """A scrubbed copy of a value, and True if it differs."""
        if self.is_blind:
            return (root, False) if root is None else (MARK, True)
        copier = _Copier(self)
        return copier.copy(root), copier.is_changed

    def hides(self, path: Sequence[str]) -> bool:
        """True if the member that a path ends with is to be replaced."""
        return any(
            len(globs) <= len(path)
            and all(
                glob.matches(name)
                for glob, name in zip(reversed(globs), reversed(path), strict=False)
            )
            for globs in self.paths
        )

    @property
    def depth(self) -> int:
        """The most names of a path that decide."""
        return max(map(len, self.paths), default=1)


class _Copier:
    """Copies one value, without recursion."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._depth = rules.depth
        self.is_changed = False
        # Containers whose items are still those of the original, with the names that lead to them.
        self._waiting: list[tuple[Any, tuple[str, ...]]] = []

    def copy(self, root: Any) -> Any:
        copied = self._begin(root, ())
        while self._waiting:
            container, path = self._waiting.pop()
            if isinstance(container, list):
                # The items of a list have the path of the list.
                container[:] = [self._begin(item, path) for item in container]
                continue
            members = list(container.items())
            container.clear()
            is_stand_in = _is_stand_in(dict(members))
            for name, member in members:
                inner = (*path, name)[-self._depth :]
                if member is not None and (
                    self._rules.hides(inner) or (is_stand_in and name == "preview")
                ):
                    container[self._text(name)] = self._changed(member, MARK)
                else:
                    container[self._text(name)] = self._begin(member, inner)
        return copied

    def _begin(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, (dict, list)):
            copied = value.copy()
            self._waiting.append((copied, path))
            return copied
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = encode(value)
            return value if self._text(text) == text else MARK
        return value

    def _text(self, text: str) -> str:
        return str(self._changed(text, self._rules.text(text)))

    def _changed(self, before: Any, after: Any) -> Any:
        self.is_changed = self.is_changed or before != after
        return after


def _is_stand_in(value: Mapping[str, Any]) -> bool:
    """True for the form of a value that is too large or that JSON cannot express.

    Its preview is a part of the value in which no members can be found.
    """
    return "preview" in value and (value.get("truncated") is True or "unserializable" in value)


def _encode(value: Any) -> bytes:
    try:
        return encode_value(value).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be stored as an escape sequence
        return encode(value).encode()


class Scrubber:
    """The rules for each workflow; `problem` names the faults of the configuration."""

    def __init__(self, rules: Mapping[str, Rules] | None = None, problem: str = "") -> None:
        own = dict(rules or {})
        common = own.pop(_ALL, Rules())
        self._common = common
        self._own = {name: Rules.merge([common, found]) for name, found in own.items()}
        self._all = Rules.merge([common, *own.values()])
        self.problem = problem

    @classmethod
    def parse(cls, value: object) -> "Scrubber":
        """Read the variable SCRUB, an object or its JSON text.

        Rules that are not valid replace everything.
        """
        if not value:
            return cls()
        blind = Rules(is_blind=True)
        try:
            given = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return cls({_ALL: blind}, "it is not JSON")
        if not isinstance(given, dict):
            return cls(
                {_ALL: blind}, "it must be an object of workflow names and lists of patterns"
            )
        rules, problems = {}, []
        for workflow, patterns in given.items():
            try:
                rules[workflow] = Rules.parse(patterns)
            except ValueError as error:
                rules[workflow] = blind
                problems.append(f"{workflow}: {error}")
        return cls(rules, "; ".join(problems))

    def rules(self, workflow: str | None) -> Rules:
        """The rules for a workflow, or those of all workflows if it is not known."""
        if workflow is None:
            return self._all
        return self._own.get(workflow, self._common)

    def report(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Scrub the input of a mutation that reports or starts.

        It is scrubbed before it is checked, because checking cuts long texts. The result is
        `given` itself if no pattern applies.
        """
        rules = self.rules(given.get("workflow"))
        if not rules:
            return given
        result = dict(given)
        for name in _VALUES:
            if name in given:
                scrubbed = rules.value(given[name])
                result[name] = scrubbed.value
                if name == "output" and scrubbed.kind is not None:
                    result["outputKind"] = scrubbed.kind_of(given.get("outputKind"))
        if error := given.get("error"):
            result["error"] = {
                name: rules.text(text) if name in _ERROR_TEXTS and isinstance(text, str) else text
                for name, text in error.items()
            }
        return result
