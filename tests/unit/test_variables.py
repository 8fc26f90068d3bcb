"""Variables are counted before they are coerced, by their types."""

from typing import Any

import pytest

from resolvers.base.errors import RequestError
from resolvers.base.limits import MAX_ERRORS, MAX_VARIABLE_VALUES
from resolvers.compiling.documents import Documents, InvalidDocument
from resolvers.compiling.variables import coerce_variables
from schema.build import core

NODES = "query ($v: [ID!]!) { nodes(ids: $v) { id } }"
REFERENCES = "query ($v: [ReferenceInput!]!) { references(keys: $v) { id } }"
TRACK = "mutation ($v: [TrackingUpdate!]!) { track(updates: $v) { __typename } }"
STATS = "query ($v: InstanceFilter) { stats(filter: $v) { total } }"


def coerced(query: str, value: Any) -> Any:
    """The coerced value of the variable `v`."""
    operation = Documents(core).get(query).operation(None)
    return coerce_variables(core, operation, {"v": value}).coerced["v"]


def refused(query: str, value: Any) -> str:
    """The limit that refuses a value."""
    with pytest.raises(RequestError) as refusal:
        coerced(query, value)
    assert refusal.value.code == "OPERATION_TOO_LARGE"
    return str(refusal.value.extensions["limit"])


def test_variables_with_as_many_values_as_the_limit_are_accepted_and_one_more_refused() -> None:
    assert len(coerced(NODES, ["a"] * MAX_VARIABLE_VALUES)) == MAX_VARIABLE_VALUES
    assert refused(NODES, ["a"] * (MAX_VARIABLE_VALUES + 1)) == "MAX_VARIABLE_VALUES"


def test_members_of_the_objects_in_a_list_count() -> None:
    key = {"refType": "order", "refId": "1"}
    fitting = MAX_VARIABLE_VALUES // 3
    assert len(coerced(REFERENCES, [key] * fitting)) == fitting
    assert refused(REFERENCES, [key] * (fitting + 1)) == "MAX_VARIABLE_VALUES"
    # A single value in place of a list counts in the same way.
    assert refused(TRACK, {"instance": dict.fromkeys(map(str, range(MAX_VARIABLE_VALUES)))})


def test_unknown_members_count() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        coerced(STATS, dict.fromkeys(map(str, range(MAX_VARIABLE_VALUES))))
    assert len(refusal.value.errors) == MAX_ERRORS + 1
    assert refused(STATS, dict.fromkeys(map(str, range(MAX_VARIABLE_VALUES + 1))))


def test_a_json_value_counts_as_one() -> None:
    metadata = {str(n): [n] for n in range(2 * MAX_VARIABLE_VALUES)}
    [update] = coerced(TRACK, [{"instance": {"instanceId": "i", "metadata": metadata}}])
    assert update["instance"]["metadata"] == metadata


def test_values_of_undeclared_variables_are_ignored() -> None:
    operation = Documents(core).get("{ stats { total } }").operation(None)
    given = {"v": ["a"] * (MAX_VARIABLE_VALUES + 1)}
    assert coerce_variables(core, operation, given).coerced == {}


def test_the_error_of_a_misspelt_value_or_member_suggests_the_right_one() -> None:
    for value, meant in (({"status": ["QUEUE"]}, "'QUEUED'"), ({"serch": "a"}, "'search'")):
        with pytest.raises(InvalidDocument) as refusal:
            coerced(STATS, value)
        assert f"Did you mean {meant}" in str(refusal.value).replace("the enum value ", "")


def test_a_name_of_megabytes_gets_no_suggestion() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        coerced(STATS, {"search" * 400_000: "a"})
    assert "Did you mean" not in str(refusal.value)
