"""Random valid operations over a database, and their comparison with the reference.

`hypothesis_graphql` draws which fields are selected. This module adds values, aliases, merged
fields, fragments, directives and variables, so that arguments name existing objects.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    parse_type,
    print_ast,
)
from graphql.type import GraphQLInputType, is_nullable_type
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from schema.build import core
from tests.support.reference import Reference
from tests.support.values import Pool, ast, value_for

_SCALARS: Any = {
    "DateTime": st.just(nodes.String("2025-03-01T00:00:00.000Z")),
    "EventCursor": st.just(nodes.String("0000000000000001")),
    "Duration": st.just(nodes.Int(1)),
    "JSON": st.just(nodes.Null),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """An operation and its variables."""

    query: str
    variables: dict[str, Any]


@cache
def _selections() -> st.SearchStrategy[DocumentNode]:
    document: Callable[[DocumentNode], DocumentNode] = lambda node: node  # noqa: E731
    return queries(core, custom_scalars=_SCALARS, print_ast=document)


@st.composite
def operations(draw: st.DrawFn, pool: Pool) -> Drawn:
    """A valid query whose arguments mostly name objects in the pool."""
    document = draw(_selections())
    [operation] = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert core.query_type is not None
    rewriting = _Rewriting(draw, pool)
    root = rewriting.selection(operation.selection_set, core.query_type)
    rewritten = OperationDefinitionNode(
        operation=OperationType.QUERY,
        name=NameNode(value="Drawn"),
        variable_definitions=tuple(rewriting.definitions),
        directives=(),
        selection_set=root,
    )
    return Drawn(
        print_ast(DocumentNode(definitions=(rewritten, *rewriting.fragments))),
        rewriting.variables,
    )


class _Rewriting:
    """The state of one operation while it is rewritten."""

    def __init__(self, draw: st.DrawFn, pool: Pool) -> None:
        self._draw = draw
        self._pool = pool
        self.definitions: list[VariableDefinitionNode] = []
        self.variables: dict[str, Any] = {}
        self.fragments: list[FragmentDefinitionNode] = []
        self._names = 0

    def _chance(self, percent: int) -> bool:
        return self._draw(st.integers(0, 99)) >= 100 - percent

    def _name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"

    def selection(
        self, node: SelectionSetNode | None, type_: GraphQLCompositeType
    ) -> SelectionSetNode:
        """Rewrite a selection set with all fields below it."""
        assert node is not None
        selections: list[SelectionNode] = []
        for selection in node.selections:
            if isinstance(selection, InlineFragmentNode):
                assert selection.type_condition is not None
                inner: Any = core.type_map[selection.type_condition.name.value]
                selections += self._wrapped(self.selection(selection.selection_set, inner), inner)
            else:
                assert isinstance(selection, FieldNode)
                selections += self._field(selection, type_)
        if self._chance(15):
            selections.append(_field_node("__typename"))
        found = SelectionSetNode(selections=tuple(selections))
        if self._chance(8):
            return SelectionSetNode(selections=tuple(self._wrapped(found, type_)))
        return found

    def _wrapped(self, inner: SelectionSetNode, type_: GraphQLCompositeType) -> list[SelectionNode]:
        """Wrap a selection into a fragment on its type or an interface; spread it once or twice."""
        condition = type_.name
        fits = isinstance(type_, GraphQLObjectType) and all(
            isinstance(node, FieldNode) and node.name.value in ("id", "__typename")
            for node in inner.selections
        )
        if fits and isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)):
            condition = ([i.name for i in type_.interfaces] or [condition])[0]
        on = NamedTypeNode(name=NameNode(value=condition))
        if self._chance(50):
            return [
                InlineFragmentNode(
                    type_condition=on, directives=self._directives(), selection_set=inner
                )
            ]
        name = self._name("F")
        self.fragments.append(
            FragmentDefinitionNode(
                name=NameNode(value=name), type_condition=on, directives=(), selection_set=inner
            )
        )
        spread = FragmentSpreadNode(name=NameNode(value=name), directives=self._directives())
        return [spread, spread] if self._chance(20) else [spread]

    def _field(self, node: FieldNode, type_: GraphQLCompositeType) -> list[SelectionNode]:
        name = node.name.value
        if name == "__typename":
            return [node]
        assert isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType))
        definition = type_.fields[name]
        inner = None
        if node.selection_set is not None:
            target: Any = get_named_type(definition.type)
            inner = self.selection(node.selection_set, target)
        alias = NameNode(value=self._name("a")) if self._chance(20) else node.alias
        arguments = self._arguments(name, definition)
        directives = self._directives()
        built = [
            FieldNode(
                name=node.name,
                alias=alias,
                arguments=arguments,
                directives=directives,
                selection_set=part,
            )
            for part in self._parts(inner)
        ]
        return list(built)

    def _parts(self, inner: SelectionSetNode | None) -> list[SelectionSetNode | None]:
        """Repeat a field now and then: a leaf unchanged, an object with parts of its selection."""
        if not self._chance(12):
            return [inner]
        if inner is None or len(inner.selections) < 2:
            return [inner, inner]
        cut = self._draw(st.integers(1, len(inner.selections) - 1))
        return [
            SelectionSetNode(selections=inner.selections[:cut]),
            SelectionSetNode(selections=inner.selections[cut - 1 :]),
        ]

    def _directives(self) -> tuple[DirectiveNode, ...]:
        if not self._chance(10):
            return ()
        value = self._draw(st.booleans())
        condition: ValueNode = BooleanValueNode(value=value)
        if self._chance(60):
            condition = self._variable("Boolean!", value)
        argument = ArgumentNode(name=NameNode(value="if"), value=condition)
        name = self._draw(st.sampled_from(("skip", "include")))
        return (DirectiveNode(name=NameNode(value=name), arguments=(argument,)),)

    def _variable(self, type_: str, value: Any) -> VariableNode:
        variable = VariableNode(name=NameNode(value=self._name("v")))
        self.definitions.append(
            VariableDefinitionNode(variable=variable, type=parse_type(type_), directives=())
        )
        self.variables[variable.name.value] = value
        return variable

    def _arguments(self, name: str, definition: GraphQLField) -> tuple[ArgumentNode, ...]:
        values: dict[str, Any] = {}
        for argument, declared in sorted(definition.args.items(), reverse=True):
            # In this order `orderBy` is drawn before the cursors that depend on it.
            if is_nullable_type(declared.type) and not self._chance(40) and name != "stats":
                continue
            values[argument] = self._draw(
                value_for(self._pool, declared.type, (name, argument), values)
            )
        if values.get("first") is not None and values.get("last") is not None:
            values.pop("last" if self._chance(50) else "first")
        return tuple(
            ArgumentNode(
                name=NameNode(value=argument),
                value=self._argument(values[argument], definition.args[argument].type, name),
            )
            for argument in values
        )

    def _argument(self, value: Any, type_: GraphQLInputType, field_name: str) -> ValueNode:
        if self._chance(65):
            return ast(value, type_, self._nested)
        variable = self._variable(str(type_), value)
        # A variable without a value leaves its argument out. Not for stats: a timeline without
        # bounds depends on the current time.
        if is_nullable_type(type_) and field_name != "stats" and self._chance(15):
            del self.variables[variable.name.value]
        return variable

    def _nested(self, value: Any, type_: GraphQLInputType) -> ValueNode | None:
        """Put a value inside an input object into a variable now and then."""
        return self._variable(str(type_), value) if self._chance(15) else None


def _field_node(name: str) -> FieldNode:
    return FieldNode(name=NameNode(value=name), arguments=(), directives=())


class Refused(Exception):
    """The executor refuses the operation for a limit or the bounds of an argument."""


@dataclass
class Comparison:
    """Compares the results of `ask`, JSON texts of `data`, with those of the reference."""

    ask: Callable[[str, dict[str, Any]], str]
    reference: Reference
    compared: int = 0
    refused: list[str] = field(default_factory=list)

    def check(self, drawn: Drawn) -> None:
        """Fail unless both results are equal and their members in the same order.

        An operation that the executor refuses is not compared, and is appended to `refused`. The
        reference must refuse an ambiguous id as well.
        """
        try:
            answered = self.ask(drawn.query, drawn.variables)
        except Refused as refusal:
            self.refused.append(str(refusal))
            if "AMBIGUOUS" in str(refusal):
                assert self.reference.execute(drawn.query, drawn.variables).errors, _report(drawn)
            return
        expected = self.reference.execute(drawn.query, drawn.variables)
        assert expected.errors is None, f"only the reference refuses: {expected.errors}"
        self.compared += 1
        got = json.loads(answered)
        if json.dumps(got) == json.dumps(expected.data):
            return
        assert got == expected.data, _report(drawn)
        raise AssertionError(f"members are in another order; {_report(drawn)}")


def _report(drawn: Drawn) -> str:
    return f"operation:\n{drawn.query}\nvariables: {json.dumps(drawn.variables)}"
