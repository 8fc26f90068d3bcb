"""The operations of the clients cover the API, and what is generated from them is compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from graphql import (
    FieldNode,
    OperationDefinitionNode,
    build_schema,
    parse,
    validate,
)

from scripts import generate_clients
from scripts.codegen.python_client import OPERATIONS, SCHEMA
from scripts.project import ROOT
from tests.support.markdown import code, rows, section

if TYPE_CHECKING:
    from pathlib import Path

SDL = build_schema(SCHEMA.read_text(encoding="utf-8"))
DOCUMENT = parse("\n".join(path.read_text() for path in sorted(OPERATIONS.glob("*.graphql"))))
DEFINED = [node for node in DOCUMENT.definitions if isinstance(node, OperationDefinitionNode)]
BY_GLOBAL_ID = {"node", "nodes"}
"""For clients with a cache of objects, which have documents of their own."""


def test_the_operations_fit_the_schema() -> None:
    assert validate(SDL, DOCUMENT) == []


@pytest.mark.parametrize("kind", ["query", "mutation", "subscription"])
def test_every_root_field_has_an_operation(kind: str) -> None:
    root = getattr(SDL, f"{kind}_type")
    used = {
        field.name.value
        for operation in DEFINED
        if operation.operation.value == kind
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
    }
    assert used == root.fields.keys() - BY_GLOBAL_ID


def test_every_operation_is_documented_with_its_method() -> None:
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    documented = [row[:2] for row in rows(section(page, "Operations"))]
    operations = [name for cell, _ in documented for name in code(cell)]
    methods = [name for _, cell in documented for name in code(cell)]
    names = [operation.name.value for operation in DEFINED if operation.name]
    assert sorted(operations) == sorted(names)
    assert methods == [re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in operations]


def test_stale_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_clients, "ROOT", tmp_path)
    generated, committed = tmp_path / "generated", tmp_path / "committed"
    for folder in (generated, committed):
        folder.mkdir()
        (folder / "same.py").write_text("same")
        (folder / "changed.py").write_text(folder.name)
    (generated / "new.py").write_text("")
    (committed / "gone.py").write_text("")
    (committed / "__pycache__").mkdir()
    assert generate_clients.differences(generated, committed) == [
        "committed/changed.py",
        "committed/gone.py",
        "committed/new.py",
    ]
