"""The vocabularies of Python, of the tables' CHECKs and of GraphQL are equal."""

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest
from graphql import EnumTypeDefinitionNode, GraphQLEnumType, parse

from resolvers.base import vocabulary
from resolvers.base.transitions import TERMINAL
from schema.build import core

_ROOT = Path(__file__).parents[2]
_ENUMS: dict[str, type[StrEnum]] = {
    name: value
    for name, value in vars(vocabulary).items()
    if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum
}
# The vocabulary of each column that has one, by table and name.
_COLUMNS: dict[tuple[str, str], Iterable[str]] = {
    ("instances", "status"): vocabulary.InstanceStatus,
    ("events", "status"): vocabulary.InstanceStatus,
    ("events", "type"): vocabulary.EventType,
    # Those that a run may end with.
    ("runs", "status"): sorted(TERMINAL),
    ("steps", "kind"): vocabulary.StepKind,
    ("steps", "status"): vocabulary.StepStatus,
    ("steps", "retry_backoff"): vocabulary.Backoff,
    **{(table, "output_kind"): vocabulary.OutputKind for table in ("instances", "runs", "steps")},
    ("attempts", "status"): vocabulary.AttemptStatus,
}


def checks() -> dict[tuple[str, str], list[str]]:
    """The values that each `CHECK (column IN (…))` allows, by table and column."""
    found = {}
    for path in sorted((_ROOT / "migrations").glob("*.sql")):
        for table, body in re.findall(
            r"CREATE TABLE (\w+) \((.*?)\n\) STRICT", path.read_text(), re.DOTALL
        ):
            # Only CHECKs in the definitions of columns: one of the table may name a column too.
            for column, values in re.findall(
                r"^  (\w+) TEXT[^,]*?CHECK \(\1 IN \(([^)]*)\)\)", body, re.MULTILINE | re.DOTALL
            ):
                found[table, column] = re.findall(r"'(\w+)'", values)
    return found


def test_the_checks_are_those_of_the_listed_columns() -> None:
    assert set(checks()) == set(_COLUMNS)


@pytest.mark.parametrize(("table", "column"), _COLUMNS)
def test_a_check_allows_the_vocabulary_in_its_order(table: str, column: str) -> None:
    assert checks()[table, column] == [str(word) for word in _COLUMNS[table, column]]


@pytest.mark.parametrize("name", _ENUMS)
def test_a_graphql_enum_has_the_words_of_the_vocabulary(name: str) -> None:
    type_ = core.type_map[name]
    assert isinstance(type_, GraphQLEnumType)
    assert list(type_.values) == [str(word) for word in _ENUMS[name]]


def test_the_schema_has_every_word_of_the_contracts_enums() -> None:
    contract = {
        node.name.value: {value.name.value for value in node.values or ()}
        for node in parse((_ROOT / "schema" / "contract.graphql").read_text()).definitions
        if isinstance(node, EnumTypeDefinitionNode)
    }
    assert set(contract) <= set(_ENUMS)
    for name, words in contract.items():
        assert words <= {str(word) for word in _ENUMS[name]}


def test_every_word_is_its_own_name() -> None:
    for enum in _ENUMS.values():
        assert [word.name for word in enum] == [word.value for word in enum]
