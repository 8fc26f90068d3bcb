"""The project's configuration file: finding, reading and writing it."""

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
"""The names, in wrangler's order of precedence."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration of wrangler's: its path, and its text with its own line ends."""

    path: Path
    text: str

    @property
    def config(self) -> dict[str, Any]:
        """The value that the file contains. Raises CliError with the line at fault."""
        try:
            value = toml.parse(self.text) if self._is_toml else jsonc.parse(self.text).value
        except Unparsable as error:
            raise CliError(
                f"{self.path.name} cannot be read: {error}", hint="Correct it and run this again."
            ) from None
        if not isinstance(value, dict):
            raise CliError(
                f"{self.path.name} must contain an object", hint="Is it wrangler's file?"
            )
        return value

    def edited(self, edits: list[Edit]) -> ConfigFile:
        """The file after the edits. Raises CliError if one of them is not possible."""
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
        """The differences in the form of `diff -u`; empty without any."""
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
    """Read a configuration. Raises CliError if it is missing or not UTF-8."""
    try:
        return ConfigFile(path, path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise CliError(
            f"{path} cannot be read: {error.strerror}", hint="Give another one with --config."
        ) from None
    except UnicodeDecodeError:
        raise CliError(f"{path} is not UTF-8", hint="Save it as UTF-8.") from None


def found_in(folder: Path) -> list[Path]:
    """The configurations in the nearest folder upwards that has any. Raises CliError."""
    for place in (folder, *folder.parents):
        if found := [place / name for name in NAMES if (place / name).is_file()]:
            return found
    raise CliError(
        f"There is no {', '.join(NAMES[:-1])} or {NAMES[-1]} here or above",
        hint="Go to the Worker's folder, or give the file with --config.",
    )


def given(path: Path) -> Path:
    """The file of an option; for a folder, the configuration in it. Raises UsageMistake."""
    if path.is_dir():
        found = [path / name for name in NAMES if (path / name).is_file()]
        if len(found) != 1:
            count = "no" if not found else "more than one"
            raise UsageMistake(f"{path} has {count} configuration", hint="Name the file itself.")
        return found[0]
    if path.suffix not in (".json", ".jsonc", ".toml"):
        raise UsageMistake(
            f"{path} must end in .json, .jsonc or .toml", hint="Name wrangler's file."
        )
    return path


def write(file: ConfigFile) -> None:
    """Replace the file in one step, keeping its mode. Raises CliError."""
    # A link is followed, so that the file is replaced and not the link.
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
            hint="It is unchanged. Check the permissions of the file and its folder.",
        ) from None
