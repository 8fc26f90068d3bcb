"""The errors of a refused request stay short, however long the text that they quote."""

import json
from typing import Any

import pytest

from resolvers.base.errors import RequestError
from resolvers.base.limits import (
    MAX_BODY_BYTES,
    MAX_DOCUMENT_CHARACTERS,
    MAX_ERRORS,
    MAX_REPORTED_LOCATIONS,
    MAX_REPORTED_MESSAGE,
)
from resolvers.executing.executor import Executor, Request
from resolvers.executing.reporting import report
from schema.build import core
from tests.support.client import Client

MOST_BYTES = 64 * 1024
STATUSES = "query ($v: InstanceFilter) { stats(filter: $v) { total } }"


def reported(query: str, **variables: Any) -> list[dict[str, Any]]:
    """The errors of a refused operation."""
    with pytest.raises(Exception) as failure:  # noqa: PT011  # any: `report` takes them all
        Client()(query, **variables)
    response = report(failure.value)
    assert response.status == 400
    assert response.errors
    return response.errors


LONG = "x" * (MAX_DOCUMENT_CHARACTERS - 200)


@pytest.mark.parametrize(
    "query",
    [
        f"{{ {LONG} }}",
        f"{{ stats {{ {LONG} }} }}",
        f"{{ {LONG}: __typename {LONG[:9]} }}",
        f"{{ stats({LONG}: 1) {{ total }} }}",
        f"{{ stats @{LONG} {{ total }} }}",
        f"{{ ...{LONG} }}",
        f"{{ ... on {LONG} {{ id }} }}",
        f"query ($v: {LONG}) {{ __typename }}",
        f"query (${LONG}: Int) {{ __typename }}",
        f"{{ node(id: ${LONG}) {{ id }} }}",
        f"{{ stats(filter: {{{LONG}: 1}}) {{ total }} }}",
        f"{{ stats(filter: {{status: {LONG}}}) {{ total }} }}",
        f'{{ stats(filter: {{stalledFor: "{LONG}"}}) {{ total }} }}',
        f"{{ stats(filter: {{stalledFor: {'1' * len(LONG)}}}) {{ total }} }}",
        f"{{ events(first: {'1' * len(LONG)}) {{ cursor }} }}",
        f"{{ events(first: .{'1' * len(LONG)}) {{ cursor }} }}",
        f"query {LONG[:20_000]} {{ a }} query {LONG[:20_000]} {{ b }}",
        "{ nodes(ids: [" + "[" * 150 + "]" * 150 + "]) { id } }",
    ],
)
def test_a_name_or_value_in_the_document_is_not_repeated_at_length(query: str) -> None:
    for error in reported(query):
        assert len(error["message"]) <= MAX_REPORTED_MESSAGE
        assert error["extensions"]["code"] == "INVALID_DOCUMENT"


def test_a_message_is_cut_where_it_is_too_long() -> None:
    [error] = reported(f"{{ {LONG} }}")
    assert error["message"].startswith("Cannot query field 'xxx")
    assert error["message"].endswith("x…")
    assert len(error["message"]) == MAX_REPORTED_MESSAGE
    assert error["locations"] == [{"line": 1, "column": 3}]


@pytest.mark.parametrize(
    "value",
    [
        {"status": ["\N{GRINNING FACE}" * 20_000] * 20},
        {"\N{GRINNING FACE}" * 20_000 + str(n): 1 for n in range(20)},
        {"stalledFor": "\x00" * MAX_BODY_BYTES},
    ],
    ids=["values", "names", "one value"],
)
def test_errors_about_variables_stay_small_even_when_escaped(value: dict[str, Any]) -> None:
    errors = reported(STATUSES, v=value)
    assert len(errors) <= MAX_ERRORS + 1
    assert all(len(error["message"]) <= MAX_REPORTED_MESSAGE for error in errors)
    assert len(json.dumps({"errors": errors})) < MOST_BYTES


def test_an_error_names_at_most_the_limit_of_locations() -> None:
    [error] = reported("{ node(" + "id: 1 " * 500 + ") { id } }")
    assert len(error["locations"]) == MAX_REPORTED_LOCATIONS


def test_an_operation_name_is_not_repeated_at_length() -> None:
    with pytest.raises(RequestError) as refusal:
        Executor(core).operation(Request("{ __typename }", operation_name="x" * 1_000_000))
    [error] = report(refusal.value).errors
    assert error["extensions"]["code"] == "UNKNOWN_OPERATION"
    assert len(error["message"]) == MAX_REPORTED_MESSAGE


def test_a_long_alias_does_not_make_the_error_large() -> None:
    errors = reported(f'{{ {LONG}: node(id: "none") {{ id }} }}')
    assert errors[0]["path"] == [LONG]
    assert len(json.dumps({"errors": errors})) < MOST_BYTES
