"""The project's configuration: which file it is, its text and its value, and writing it."""

from __future__ import annotations

import difflib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowflare.cli.errors import CliError, UsageMistake
from flowflare.setup import jsonc, toml
from flowflare.setup.edits import Edit, NotEditable, Unparsable

NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
"""In the order in which wrangler looks for them."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration of wrangler's: where it is, and its text with the line ends it has."""

    path: Path
    text: str

    @property
    def config(self) -> dict[str, Any]:
        """Its value. Raises CliError with the line where it cannot be read."""
        try:
            value = toml.parse(self.text) if self._is_toml else jsonc.parse(self.text).value
        except Unparsable as error:
            raise CliError(
                f"{self.path.name} cannot be read: {error}", hint="Correct it and run this again."
            ) from None
        if not isinstance(value, dict):
            raise CliError(f"{self.path.name} holds no object", hint="Is it wrangler's file?")
        return value

    def edited(self, edits: list[Edit]) -> ConfigFile:
        """The file as it will be. Raises CliError where an edit finds no place."""
        text = self.text
        edit_text = toml.edit if self._is_toml else jsonc.edit
        for edit in edits:
            try:
                text = edit_text(text, edit)
            except NotEditable as error:
                raise CliError(
                    f"{self.path.name} cannot be edited: {error}",
                    hint=f"Write it as docs/setup.md shows: {edit.value}",
                ) from None
        return ConfigFile(self.path, text)

    def diff(self, later: ConfigFile) -> str:
        """What differs, as `diff -u` shows it; empty if nothing does."""
        lines = difflib.unified_diff(
            self.text.splitlines(),
            later.text.splitlines(),
            f"{self.path.name} (now)",
            f"{self.path.name} (then)",
            lineterm="",
        )
        return "\n".join(lines)

    @property
    def _is_toml(self) -> bool:
        return self.path.suffix == ".toml"


def read(path: Path) -> ConfigFile:
    """A configuration. Raises CliError if it is not there or is not UTF-8."""
    try:
        return ConfigFile(path, path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise CliError(
            f"{path} cannot be read: {error.strerror}", hint="Give another one with --config."
        ) from None
    except UnicodeDecodeError:
        raise CliError(f"{path} is not UTF-8", hint="Save it as UTF-8.") from None


def found_in(folder: Path) -> list[Path]:
    """The configurations of the nearest folder that has one, from this one up.

    Raises CliError if there is none.
    """
    for place in (folder, *folder.parents):
        if found := [place / name for name in NAMES if (place / name).is_file()]:
            return found
    raise CliError(
        f"There is no {', '.join(NAMES[:-1])} or {NAMES[-1]} here or above",
        hint="Go to the Worker's folder, or give the file with --config.",
    )


def given(path: Path) -> Path:
    """A file named with an option: a folder stands for the configuration in it."""
    if path.is_dir():
        found = [path / name for name in NAMES if (path / name).is_file()]
        if len(found) != 1:
            count = "no" if not found else "more than one"
            raise UsageMistake(f"{path} has {count} configuration", hint="Name the file itself.")
        return found[0]
    if path.suffix not in (".json", ".jsonc", ".toml"):
        raise UsageMistake(f"{path} is no .json, .jsonc or .toml", hint="Name wrangler's file.")
    return path


def write(file: ConfigFile) -> None:
    """Put the new text in the old one's place at once, with its mode. Raises CliError."""
    # Through a link the file itself is written, not the link.
    target = file.path.resolve()
    temporary: str | None = None
    try:
        mode = target.stat().st_mode & 0o7777
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(file.text.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
        raise CliError(
            f"{file.path} cannot be written: {error.strerror}",
            hint="It is as it was. Check who may write to it and its folder.",
        ) from None
