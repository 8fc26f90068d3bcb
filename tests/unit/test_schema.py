"""The schema as clients see it."""

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
)

from resolvers.compiling.fields import expression_of
from resolvers.writing.mutation_fields import MUTATION
from schema.build import core
from scripts.export_schema import CONTRACT, broken_promises


def described() -> Iterator[tuple[str, str | None]]:
    """All types, fields and arguments of this schema with their descriptions."""
    for name, type_ in core.type_map.items():
        if name.startswith("__") or name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        yield name, type_.description
        if isinstance(type_, GraphQLEnumType):
            continue
        if isinstance(type_, GraphQLInputObjectType):
            for field, member in type_.fields.items():
                yield f"{name}.{field}", member.description
        if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)):
            for field, definition in type_.fields.items():
                yield f"{name}.{field}", definition.description
                for argument, declared in definition.args.items():
                    yield f"{name}.{field}({argument}:)", declared.description


def test_everything_is_described() -> None:
    assert [name for name, description in described() if not description] == []


def test_descriptions_are_sentences_without_a_full_stop_at_their_end() -> None:
    ended = [name for name, text in described() if text and text.endswith((".", " "))]
    assert ended == []


def test_the_schema_keeps_the_contract() -> None:
    assert broken_promises(core, CONTRACT.read_text()) == []


@pytest.mark.parametrize(
    ("promise", "less"),
    [
        ("canPause: Boolean!", "canPause: Boolean"),
        ("  sleepUntil: DateTime\n", ""),
        ("stats(filter: InstanceFilter)", "stats"),
        ("union TrackResult = TrackPayload | InvalidInput", "union TrackResult = InvalidInput"),
        ("  WAITING_FOR_PAUSE\n", ""),
    ],
)
def test_a_broken_promise_is_found(promise: str, less: str) -> None:
    contract = CONTRACT.read_text()
    assert promise in contract
    weaker = build_schema(contract.replace(promise, less))
    assert broken_promises(weaker, contract) != []


def test_every_root_field_has_an_expression_or_a_mutation_handler() -> None:
    assert core.query_type is not None
    assert core.mutation_type is not None
    for name, field in core.query_type.fields.items():
        assert callable(expression_of(field)), name
    for name, field in core.mutation_type.fields.items():
        assert field.extensions["strawberry-definition"].metadata[MUTATION], name


def test_every_mutation_returns_a_union_of_one_payload_and_errors() -> None:
    error = core.type_map["Error"]
    assert isinstance(error, GraphQLInterfaceType)
    failures = {type_.name for type_ in core.get_implementations(error).objects}
    assert core.mutation_type is not None
    for name, field in core.mutation_type.fields.items():
        result = get_named_type(field.type)
        assert isinstance(result, GraphQLUnionType), name
        assert result.name.endswith("Result")
        members = {member.name for member in result.types}
        payloads = members - failures
        assert len(payloads) == 1, name
        assert all(payload.endswith("Payload") for payload in payloads), name
        assert members & failures, name
