"""The Worker answers random operations over HTTP as the reference executor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from resolvers.access.principals import Restrictions
from scripts.local_server import LocalServer
from tests.support.operations import Comparison, Drawn, Refused, operations
from tests.support.properties import repeatable
from tests.support.reference import Reference, global_ids
from tests.support.reference_rows import Data
from tests.support.seed import statements
from tests.support.values import Pool
from tests.worker.api import Api
from tests.worker.test_access import token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = 100
REFUSALS = {"OPERATION_TOO_LARGE", "INVALID_ARGUMENT"}


@pytest.fixture(scope="module")
def seeded(prepared: None) -> Iterator[LocalServer]:
    """A server with the varied database, which the reference reads as well."""
    with LocalServer() as running:
        for statement in statements():
            running.query(statement)
        yield running


def data_text(api: Api) -> Callable[[str, dict[str, Any]], str]:
    """Run operations on the server, in the form that a comparison calls."""

    def ask(query: str, variables: dict[str, Any]) -> str:
        response = api.post({"query": query, "variables": variables})
        body = response.json()
        if "errors" in body:
            assert {error["extensions"]["code"] for error in body["errors"]} <= REFUSALS, body
            raise Refused(response.text)
        text = response.text
        assert text.startswith('{"data":')
        return text.removeprefix('{"data":').removesuffix("}")

    return ask


@pytest.mark.parametrize(
    ("restrictions", "token"),
    [
        (Restrictions(), None),
        (
            Restrictions(reference=("order", "1"), workflows=("order", "billing", "empty")),
            {
                "reference": {"refType": "order", "refId": "1"},
                "workflows": ["order", "billing", "empty"],
            },
        ),
    ],
)
def test_random_operations_are_answered_as_by_the_reference(
    seeded: LocalServer, restrictions: Restrictions, token: dict[str, Any] | None
) -> None:
    data = Data.read(lambda sql: [tuple(row.values()) for row in seeded.query(sql)])
    pool = Pool.of(data, global_ids(data))
    key = seeded.key if token is None else token_of(seeded, **token)
    with Api(seeded, key=key) as api:
        comparison = Comparison(data_text(api), Reference(data, restrictions))

        @repeatable(EXAMPLES)
        @given(drawn=operations(pool))
        def run(drawn: Drawn) -> None:
            comparison.check(drawn)

        run()
    assert comparison.compared >= 60, comparison.refused
