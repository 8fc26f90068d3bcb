"""`places` finds all places of the schema, and makes valid documents."""

from __future__ import annotations

from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_scalar_type,
    parse,
    validate,
)

from schema.build import core
from tests.support.places import places


def test_each_argument_and_each_member_of_an_input_has_a_place() -> None:
    wanted: set[tuple[str, ...]] = set()
    for type_ in core.type_map.values():
        if type_.name.startswith("__"):
            continue
        if isinstance(type_, GraphQLObjectType):
            wanted |= {
                (type_.name, name, argument)
                for name, field in type_.fields.items()
                for argument, declared in field.args.items()
                if is_scalar_type(get_named_type(declared.type))
            }
        if isinstance(type_, GraphQLInputObjectType):
            wanted |= {
                (type_.name, name)
                for name, member in type_.fields.items()
                if is_scalar_type(get_named_type(member.type))
            }
    found: set[tuple[str, ...]] = set()
    for place in places():
        type_, name = place.fields[-1]
        assert isinstance(type_, GraphQLObjectType)
        if not place.members:
            found.add((type_.name, name, place.argument))
            continue
        outer = get_named_type(type_.fields[name].args[place.argument].type)
        for member in place.members[:-1]:
            assert isinstance(outer, GraphQLInputObjectType)
            outer = get_named_type(outer.fields[member].type)
        found.add((outer.name, place.members[-1]))
    assert found == wanted


def test_the_document_of_each_place_is_valid() -> None:
    for place in places():
        count = 1 if place.operation == "subscription" and place.is_at_root else 2
        names = [f"$v{number}" for number in range(count)]
        assert validate(core, parse(place.document(names, variables=count))) == [], str(place)
