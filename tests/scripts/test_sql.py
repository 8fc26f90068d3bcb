"""Tests that migrations are split into statements as SQLite splits them."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import apsw
import pytest

from scripts.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIGRATIONS = sorted((ROOT / "migrations").glob("*.sql"))


@pytest.fixture(scope="module")
def split(run_node: Callable[[str], str]) -> Callable[[str], list[str]]:
    def split(script: str) -> list[str]:
        statements: list[str] = json.loads(
            run_node(
                'import { splitStatements } from "./scripts/sql.mjs";'
                f"console.log(JSON.stringify(splitStatements({json.dumps(script)})));"
            )
        )
        return statements

    return split


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" ; -- only a comment;\n /* ; */ ;", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', \"a;b\", [c;d], 'it''s;';", ["SELECT ';', \"a;b\", [c;d], 'it''s;'"]),
        ("SELECT 1 -- one; two\n;", ["SELECT 1"]),
        ("BEGIN; COMMIT", ["BEGIN", "COMMIT"]),
        (
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = CASE WHEN 1 THEN 2 END;"
            " DELETE FROM b; END; SELECT 1;",
            [
                "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = CASE WHEN 1 THEN 2 END;"
                " DELETE FROM b; END",
                "SELECT 1",
            ],
        ),
        (
            "CREATE TEMP TRIGGER t AFTER INSERT ON a WHEN CASE WHEN 1 THEN 1 END"
            " BEGIN SELECT 1; END",
            [
                "CREATE TEMP TRIGGER t AFTER INSERT ON a WHEN CASE WHEN 1 THEN 1 END"
                " BEGIN SELECT 1; END"
            ],
        ),
    ],
)
def test_a_script_is_split_into_statements(
    split: Callable[[str], list[str]], script: str, statements: list[str]
) -> None:
    assert split(script) == statements


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda path: path.name)
def test_each_part_of_a_migration_is_one_statement(
    split: Callable[[str], list[str]], migration: Path
) -> None:
    script = migration.read_text(encoding="utf-8")
    parts = split(script)
    assert parts
    for part in parts:
        assert sqlite3.complete_statement(part + ";")


def test_statement_by_statement_makes_the_same_database(
    split: Callable[[str], list[str]],
) -> None:
    # The standard library's sqlite3 may lack functions that migrations use.
    whole, parts = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        script = migration.read_text(encoding="utf-8")
        whole.execute(script)
        for statement in split(script):
            parts.execute(statement)
    names = "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY type, name"
    assert whole.execute(names).fetchall() == parts.execute(names).fetchall()
