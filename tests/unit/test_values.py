"""Instants, scalars, shapes of variables, and SQL text."""

import json
from datetime import UTC, datetime
from typing import Any

import apsw
import pytest
from graphql import GraphQLInputType, parse_type, type_from_ast

from resolvers.base.instants import format_instant, parse_instant
from resolvers.base.limits import D1_MAX_FUNCTION_ARGUMENTS
from resolvers.compiling.shape import variables_shape
from resolvers.ports import sql
from schema.build import core


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22T10:00:00.123999Z", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22T10:00:00.1+02:00", "2026-11-22T08:00:00.100Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"),
        ("2026-11-22t10:00:00z", "2026-11-22T10:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_stored_in_utc_with_milliseconds(given: str, stored: str) -> None:
    assert parse_instant(given) == stored
    assert parse_instant(stored) == stored


@pytest.mark.parametrize(
    "given",
    [
        "", "2026-11-22", "2026-11-22T10:00:00", "10:00:00Z", "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
        "2026-11-22T10:00:00Z" + " " * 30, "2026-11-22 10:00:00Z", "yesTerday", 5, None, True, [],
        # Valid in ISO 8601, but not in RFC 3339.
        "2026-W01-1T00:00:00Z", "2026-001T00:00:00Z", "20261122T100000Z", "2026-11-22T10Z",
        "2026-11-22T10:00Z", "2026-11-22T24:00:00Z", "2026-11-22T10:00:00,5Z",
        "2026-11-22T10:00:00.Z",
        "2026-11-22T10:00:00+01", "2026-11-22T10:00:00+0100", "2026-11-22T10:00:00+01:00:30",
        "2026-11-22T10:00:00+24:00", "2026-11-22T10:00:60Z", "٢026-11-22T10:00:00Z",
    ],
)  # fmt: skip
def test_an_invalid_instant_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_instant(given)


def test_texts_of_instants_sort_in_the_order_of_time() -> None:
    moments = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 999, 1999, 2026, 9999)]
    texts = [format_instant(moment) for moment in moments]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {24}


def parsed(scalar: str, value: object) -> Any:
    """A value parsed by a scalar."""
    type_: Any = core.type_map[scalar]
    return type_.parse_value(value)


def test_scalars_accept_valid_values_and_refuse_others() -> None:
    assert [parsed("Duration", value) for value in (0, 5, 5.0, 2**53 - 1)] == [0, 5, 5, 2**53 - 1]
    assert parsed("EventCursor", "0000000000000007") == "0000000000000007"
    for scalar, message, wrong in (
        ("Duration", "milliseconds", (-1, 1.5, "5", True, None, 2**53, float("inf"))),
        ("EventCursor", "cursor", ("", "7", 7, "x" * 16, "00000000000000007", "\u0661" * 16)),
        ("DateTime", "RFC 3339", ("now", 5)),
    ):
        for value in wrong:
            with pytest.raises(ValueError, match=message):
                parsed(scalar, value)


def shape(type_: str, *values: Any) -> list[object]:
    """The shapes of a variable of this type with each of the values; `...` leaves it out."""
    input_type = type_from_ast(core, parse_type(type_))
    types: list[tuple[str, GraphQLInputType]] = [("v", input_type)]  # type: ignore[list-item]
    given = [{} if value is ... else {"v": value} for value in values]
    return [variables_shape(types, variables) for variables in given]


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("Int", [..., None, 5]),
        ("Boolean!", [True, False]),
        ("InstanceStatus", ["RUNNING", "QUEUED", None]),
        ("[String!]", [None, [], ["a"], ["a", "b"]]),
        ("InstanceFilter", [None, {}, {"search": "a"}, {"search": None}, {"retrying": True}]),
        ("InstanceFilter", [{"retrying": True}, {"retrying": False}, {"status": []}]),
        ("InstanceFilter", [{"createdAt": {}}, {"createdAt": {"to": "x"}}, {"createdAt": None}]),
        ("InstanceOrder", [{"direction": "ASC"}, {"direction": "DESC"}, {"field": "UPDATED_AT"}]),
    ],
)
def test_values_that_need_different_statements_have_different_shapes(
    type_: str, values: list[Any]
) -> None:
    shapes = shape(type_, *values)
    assert len(set(shapes)) == len(values)


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("Int", [1, 2]),
        ("String!", ["a", "b"]),
        ("[InstanceStatus!]", [["RUNNING", "QUEUED"], ["PAUSED", "UNKNOWN", "QUEUED"]]),
        ("[String!]", [["a"], ["b"]]),
        ("InstanceFilter", [{"search": "a", "stalledFor": 1}, {"search": "b", "stalledFor": 2}]),
    ],
)
def test_values_that_are_only_bound_share_a_shape(type_: str, values: list[Any]) -> None:
    assert len(set(shape(type_, *values))) == 1


def run(expression: str) -> Any:
    """The value of an SQL expression, within D1's limit on arguments."""
    connection = apsw.Connection(":memory:")
    connection.limit(apsw.SQLITE_LIMIT_FUNCTION_ARG, D1_MAX_FUNCTION_ARGUMENTS)
    [(value,)] = connection.execute(f"SELECT {expression}")
    return value


@pytest.mark.parametrize("count", [0, 1, 30, 31, 32, 62, 63, 100])
def test_an_object_may_have_any_number_of_members(count: int) -> None:
    members = [(f"m{n}", sql.json_literal(n)) for n in range(count)]
    text = run(sql.json_object(members))
    assert json.loads(text) == {f"m{n}": n for n in range(count)}
    assert " " not in text


@pytest.mark.parametrize("value", [None, True, 1, "it's", 'q"\\', "%s %%", {"a": ["☃"]}])
def test_a_literal_is_its_json(value: object) -> None:
    assert json.loads(run(sql.json_literal(value))) == value
    assert json.loads(run(sql.json_object([("v", sql.json_literal(value))]))) == {"v": value}


def test_an_array_keeps_the_order_of_its_rows() -> None:
    source = "(SELECT 3 AS n UNION ALL SELECT 1 UNION ALL SELECT 2)"
    assert run(sql.json_array("n", source)) == "[3,1,2]"
    assert run(sql.json_array("n", f"{source} WHERE 0")) == "[]"
    assert run(sql.row_or_null("n", f"{source} WHERE n=2")) == 2
    assert run(sql.row_or_null("n", f"{source} WHERE 0")) == "null"


def test_words_become_sql_lists_literals_and_json_strings() -> None:
    assert run("'b' IN " + sql.in_list(["a", "b", "it's"])) == 1
    assert run(sql.literal("it's")) == "it's"
    assert run(sql.word("'RUNNING'")) == '"RUNNING"'
