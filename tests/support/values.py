"""Argument values that name objects of a database, and some that do not exist."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    IntValueNode,
    ListValueNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)
from graphql.type import GraphQLInputType, is_required_input_field
from hypothesis import strategies as st

from tests.support.reference_rows import Data
from tests.support.seed import SHARED_ID

_YEAR_MS = 365 * 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Pool:
    """Names, ids, instants and cursors for arguments."""

    workflows: list[str]
    instances: list[str]
    steps: list[str]
    references: list[tuple[str, str]]
    ids: list[str]
    searches: list[str]
    instants: list[str]
    cursors: dict[str, list[str]]
    event_cursors: list[str]

    @classmethod
    def of(cls, data: Data, ids: list[str]) -> "Pool":
        """Collect values of the data, and a few that do not occur; `ids` are global ids."""
        workflows = sorted(row["name"] for row in data.workflows)
        instances = sorted(row["instance_id"] for row in data.instances)
        references = sorted(
            {(row["ref_type"], row["ref_id"]) for row in data.instances if row["ref_type"]}
        )
        instants = sorted(
            {
                row[column]
                for row in data.instances
                for column in ("created_at", "updated_at", "completed_at")
                if row[column] is not None
            }
        )
        return cls(
            [*workflows, "absent"],
            [*instances[::4], SHARED_ID, "absent"],
            [*sorted({row["name"] for row in data.steps}), "absent"],
            [*references, ("absent", "1")],
            ids,
            [*workflows, *(name[:3] for name in instances[::9]), "o", "order-", "1", "☃", "x" * 60],
            [*instants[:: max(1, len(instants) // 12)], "2013-01-01T01:00:00+01:00"],
            {
                "N": [f"N{name}" for name in (*workflows, "", "o")],
                "C": [f"C{row['created_at']},{row['id']}" for row in data.instances]
                + ["C2013-01-01T00:00:00.000Z,5"],
                "U": [f"U{row['updated_at']},{row['id']}" for row in data.instances],
            },
            [f"{row['id']:016}" for row in data.events[::17]] + ["0" * 16, f"{2**53 - 1}"],
        )


def value_for(
    pool: Pool, type_: GraphQLInputType, place: tuple[str, ...], siblings: dict[str, Any]
) -> st.SearchStrategy[Any]:
    """A JSON value of `type_` for the argument at `place`: field, argument, input fields."""
    if isinstance(type_, GraphQLNonNull):
        return _value(pool, type_.of_type, place, siblings)
    inner = _value(pool, type_, place, siblings)
    # A timeline without bounds depends on the current time.
    if place[0] == "stats" and place[1:] in (
        ("filter",),
        ("filter", "createdAt"),
        ("filter", "createdAt", "from"),
        ("filter", "createdAt", "to"),
    ):
        return inner
    return st.integers(0, 11).flatmap(lambda n: st.none() if n == 11 else inner)


def _value(
    pool: Pool, type_: GraphQLInputType, place: tuple[str, ...], siblings: dict[str, Any]
) -> st.SearchStrategy[Any]:
    if isinstance(type_, GraphQLList):
        return st.lists(value_for(pool, type_.of_type, place, {}), max_size=4)
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from(sorted(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        return _object(pool, type_, place)
    return _scalar(pool, str(type_), place, siblings)


@st.composite
def _object(
    draw: st.DrawFn, pool: Pool, type_: GraphQLInputObjectType, place: tuple[str, ...]
) -> dict[str, Any]:
    value = {}
    bounded = place in (("stats", "filter"), ("stats", "filter", "createdAt"))
    for name, member in type_.fields.items():
        needed = bounded and name in ("createdAt", "from", "to")
        if is_required_input_field(member) or needed or draw(st.integers(0, 3)) == 3:
            value[name] = draw(value_for(pool, member.type, (*place, name), {}))
    return value


def _scalar(
    pool: Pool, type_name: str, place: tuple[str, ...], siblings: dict[str, Any]
) -> st.SearchStrategy[Any]:
    by_type: dict[str, Sequence[Any]] = {
        "Boolean": (False, True),
        "DateTime": pool.instants,
        "Duration": (0, 10 * _YEAR_MS, 100 * _YEAR_MS, 2**53 - 1),
        "EventCursor": pool.event_cursors,
        "Int": (0, 1, 2, 3, 5, 20, 100, 1, 2, 3, -1),
    }
    by_name: dict[str, Sequence[Any]] = {
        "slices": (1, 2, 3, 7, 24, 0),
        "id": pool.ids,
        "ids": pool.ids,
        "search": pool.searches,
        "refType": [ref_type for ref_type, _ in pool.references],
        "refId": [ref_id for _, ref_id in pool.references],
        "instanceId": pool.instances,
        "name": pool.steps if place[0] == "step" else pool.workflows,
        "occurrence": (1, 1, 2, 0),
        "run": (1, 1, 2, 3, 0),
        **({"before": (1, 2, 3, 0)} if place[0] == "runs" else {}),
        "workflow": pool.workflows,
    }
    name = place[-1]
    if name in ("after", "before") and type_name == "String":
        return st.sampled_from(pool.cursors[_letter(place[0], siblings)])
    return st.sampled_from(by_name[name] if name in by_name else by_type[type_name])


def _letter(field_name: str, siblings: dict[str, Any]) -> str:
    if field_name == "workflows":
        return "N"
    order = siblings.get("orderBy") or {}
    return "U" if order.get("field") == "UPDATED_AT" else "C"


def ast(
    value: Any,
    type_: GraphQLInputType,
    variable: Callable[[Any, GraphQLInputType], ValueNode | None],
) -> ValueNode:
    """A literal of a JSON value; `variable` may return a variable for a member of an object."""
    if value is None:
        return NullValueNode()
    if isinstance(type_, GraphQLNonNull):
        return ast(value, type_.of_type, variable)
    if isinstance(type_, GraphQLList):
        return ListValueNode(values=tuple(ast(item, type_.of_type, variable) for item in value))
    if isinstance(type_, GraphQLInputObjectType):
        fields = []
        for name, item in value.items():
            inner = type_.fields[name].type
            literal = variable(item, inner) or ast(item, inner, variable)
            fields.append(ObjectFieldNode(name=NameNode(value=name), value=literal))
        return ObjectValueNode(fields=tuple(fields))
    if isinstance(type_, GraphQLEnumType):
        return EnumValueNode(value=value)
    if isinstance(value, bool):
        return BooleanValueNode(value=value)
    if isinstance(value, int):
        return IntValueNode(value=str(value))
    return StringValueNode(value=value)
