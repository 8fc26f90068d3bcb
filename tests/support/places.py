"""All places of the schema that take a scalar, and documents that put values there.

A place is an argument or a member of an input below one, of a root field or of a field that is
reached from one: `instance(instanceId: "hostile") { step(name: HERE) { id } }`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)
from graphql.type import is_required_argument, is_required_input_field

from schema.build import core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphql import GraphQLArgument, GraphQLField, GraphQLNamedType
    from graphql.type import GraphQLInputType

NAME = "hostile"
"""The name of the instance, its workflow and its reference in all other arguments."""

_ORDINARY = {
    "Boolean": "true",
    "DateTime": '"2026-01-01T00:00:00Z"',
    "Duration": "60000",
    "EventCursor": '"0000000000000000"',
    "ID": f'"Workflow:{NAME}"',
    "Int": "1",
    "JSON": "{}",
    "String": f'"{NAME}"',
}


@dataclass(frozen=True)
class Place:
    """A place for a value: the fields that lead to it, the argument, and the members below that."""

    operation: str
    # From the root down; each with its parent type.
    fields: tuple[tuple[GraphQLNamedType, str], ...]
    argument: str
    members: tuple[str, ...]
    type: GraphQLInputType
    # False if an earlier place has the same argument, or the same member of the same input.
    is_first: bool

    def __str__(self) -> str:
        fields = ".".join(name for _, name in self.fields)
        return f"{self.operation} {fields}({'.'.join((self.argument, *self.members))})"

    @property
    def is_at_root(self) -> bool:
        """True for an argument of a root field."""
        return len(self.fields) == 1

    def document(self, values: Sequence[str], *, variables: int = 0) -> str:
        """An operation with an alias of the field for each value, a literal or `$v0`, `$v1`, …"""
        *above, (parent, name) = self.fields
        field = _fields(parent)[name]
        text = " ".join(
            f"a{number}: {name}{self._arguments(field, value)} {_selection(field)}"
            for number, value in enumerate(values)
        )
        text = f"... on {parent} {{ {text} }}" if above else text
        for outer, name in reversed(above):
            field = _fields(outer)[name]
            text = f"... on {outer} {{ {name}{_required(field.args)} {{ {text} }} }}"
        declared = ", ".join(f"$v{number}: {self.type}" for number in range(variables))
        return f"{self.operation}{f'({declared})' if declared else ''} {{ {text} }}"

    def _arguments(self, field: GraphQLField, value: str) -> str:
        given = {self.argument: _around(field.args[self.argument].type, self.members, value)}
        return _required(field.args, given)


def places() -> Iterator[Place]:
    """All places; of the fields that lead to an argument, those of the shortest path."""
    met: set[tuple[str, ...]] = set()
    roots = {
        "query": core.query_type,
        "mutation": core.mutation_type,
        "subscription": core.subscription_type,
    }
    for operation, root in roots.items():
        assert root is not None
        seen: set[str] = set()
        waiting: deque[tuple[GraphQLNamedType, tuple[tuple[GraphQLNamedType, str], ...]]]
        waiting = deque([(root, ())])
        while waiting:
            type_, path = waiting.popleft()
            if type_.name in seen:
                continue
            seen.add(type_.name)
            if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
                waiting.extend((possible, path) for possible in core.get_possible_types(type_))
                continue
            for name, field in _fields(type_).items():
                fields = (*path, (type_, name))
                waiting.append((get_named_type(field.type), fields))
                for argument, declared in field.args.items():
                    for members, leaf, owner in _leaves(declared.type):
                        key = (owner, *members[-1:]) if owner else (type_.name, name, argument)
                        is_first = key not in met
                        met.add(key)
                        yield Place(operation, fields, argument, members, leaf, is_first)


def _fields(type_: GraphQLNamedType) -> dict[str, GraphQLField]:
    return type_.fields if isinstance(type_, GraphQLObjectType) else {}


def _leaves(
    type_: GraphQLInputType, owner: str = "", *, is_required: bool = False
) -> Iterator[tuple[tuple[str, ...], GraphQLInputType, str]]:
    """The scalars of an argument: the members that lead to each, its type, and the input type
    that contains it, empty for the argument itself."""
    if isinstance(type_, GraphQLNonNull):
        yield from _leaves(type_.of_type, owner, is_required=True)
    elif isinstance(type_, GraphQLList):
        yield from _leaves(type_.of_type, owner)
    elif isinstance(type_, GraphQLInputObjectType):
        for name, member in type_.fields.items():
            for members, leaf, inner in _leaves(member.type, type_.name):
                yield (name, *members), leaf, inner
    elif not isinstance(type_, GraphQLEnumType):
        yield (), GraphQLNonNull(type_) if is_required else type_, owner


def _around(type_: GraphQLInputType, members: tuple[str, ...], value: str) -> str:
    """A literal of a type with the value at the end of the members."""
    if isinstance(type_, GraphQLNonNull):
        return _around(type_.of_type, members, value)
    if isinstance(type_, GraphQLList):
        return f"[{_around(type_.of_type, members, value)}]"
    if not isinstance(type_, GraphQLInputObjectType):
        return value
    name, *rest = members
    inner = _around(type_.fields[name].type, tuple(rest), value)
    given = {name: inner}
    for other, member in type_.fields.items():
        if is_required_input_field(member) and other not in given:
            given[other] = _ordinary(member.type)
    return "{" + ", ".join(f"{key}: {text}" for key, text in given.items()) + "}"


def _ordinary(type_: GraphQLInputType) -> str:
    """An ordinary literal of a type."""
    if isinstance(type_, GraphQLNonNull):
        return _ordinary(type_.of_type)
    if isinstance(type_, GraphQLList):
        return f"[{_ordinary(type_.of_type)}]"
    if isinstance(type_, GraphQLEnumType):
        return "RUNNING" if "RUNNING" in type_.values else next(iter(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        required = {
            name: _ordinary(member.type)
            for name, member in type_.fields.items()
            if is_required_input_field(member)
        }
        # A `@oneOf` input requires one of its members.
        name, member = next(iter(type_.fields.items()))
        required = required or {name: _ordinary(member.type)}
        return "{" + ", ".join(f"{key}: {text}" for key, text in required.items()) + "}"
    return _ORDINARY[type_.name]


def _required(arguments: dict[str, GraphQLArgument], given: dict[str, str] | None = None) -> str:
    """The given arguments, and the other ones that are required."""
    texts = dict(given or {})
    for name, argument in arguments.items():
        if is_required_argument(argument) and name not in texts:
            texts[name] = _ordinary(argument.type)
    inner = ", ".join(f"{name}: {text}" for name, text in texts.items())
    return f"({inner})" if inner else ""


def _selection(field: GraphQLField) -> str:
    """A selection of a few members, so that the arguments of a field are used."""
    type_ = get_named_type(field.type)
    if is_leaf_type(type_):
        return ""
    texts = ["__typename"]
    possible: Sequence[Any] = [type_]
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
        possible = core.get_possible_types(type_)
    texts += [f"... on {each} {{ {_members(each)} }}" for each in possible]
    return "{ " + " ".join(texts) + " }"


def _members(type_: GraphQLObjectType) -> str:
    """The leaves of an error; else the first leaf, and the first leaf of an object."""
    leaves = [name for name, field in type_.fields.items() if is_leaf_type(_named(field))]
    if "Error" in [interface.name for interface in type_.interfaces]:
        return " ".join(leaves)
    objects = (
        f"{name} {{ {_first_leaf(_named(field))} }}"
        for name, field in type_.fields.items()
        if isinstance(_named(field), GraphQLObjectType) and not field.args
    )
    return " ".join([*leaves[:1], next(objects, "")])


def _first_leaf(type_: GraphQLObjectType) -> str:
    leaves: Iterator[str]
    leaves = (name for name, field in type_.fields.items() if is_leaf_type(_named(field)))
    return next(leaves)


def _named(field: GraphQLField) -> Any:
    return get_named_type(field.type)
