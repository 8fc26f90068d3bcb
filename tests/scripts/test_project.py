"""Tests of the helpers that all scripts share."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from scripts import setup, vendor
from scripts.project import SetupError, digest, parse_jsonc, run, wrangler_config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{\n // why\n "a": 1, /* and\n how */ }', {"a": 1}),
        ('{"url": "https://x/*y*/", "b": [1, 2,],}', {"url": "https://x/*y*/", "b": [1, 2]}),
        (r'{"quote": "\" // no comment,]"}', {"quote": '" // no comment,]'}),
    ],
)
def test_jsonc(text: str, value: object) -> None:
    assert parse_jsonc(text) == value


def test_a_digest_depends_on_where_parts_end() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_a_failing_command_is_reported_with_its_output() -> None:
    with pytest.raises(SetupError, match=r"status 3:\nwhy"):
        run(["sh", "-c", "echo why; exit 3"])


def test_dev_vars_contain_a_random_key_and_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".dev.vars"
    monkeypatch.setattr(setup, "DEV_VARS", path)
    setup.ensure_dev_vars()
    name, _, key = path.read_text().splitlines()[-1].partition("=")
    assert name == "FLOWFLARE_API_KEY"
    assert len(key) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_dev_vars_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".dev.vars"
    path.write_text("MINE=1\n")
    monkeypatch.setattr(setup, "DEV_VARS", path)
    setup.ensure_dev_vars()
    assert path.read_text() == "MINE=1\n"


def test_pruning_follows_the_configuration(tmp_path: Path) -> None:
    kept = ("strawberry/schema.py", "pydantic/main.py", "graphql/language/ast.py")
    dropped = ("tzdata/zones", "x-1.dist-info/METADATA", "a/b/c.pyc", "pydantic/v1/x/y.py")
    for name in (*kept, *dropped):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    vendor.prune(tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert files == set(kept)
    assert not (tmp_path / "tzdata").exists()


def test_no_development_flag_is_configured() -> None:
    flags = wrangler_config()["compatibility_flags"]
    assert "python_workers" in flags
    assert not [flag for flag in flags if "development" in flag or "experimental" in flag]
