"""The compiled path answers random operations as the reference executor does."""

import pytest
from hypothesis import given

from resolvers.access.principals import Restrictions
from tests.support.operations import Drawn, operations
from tests.support.properties import repeatable
from tests.support.seeded import POOL, comparing

_RESTRICTIONS = {
    "nothing": Restrictions(),
    "a-reference": Restrictions(reference=("order", "1")),
    "workflows": Restrictions(workflows=("order", "billing", "empty")),
    "an-instance": Restrictions(instance_id="i-004"),
    "reference-and-workflows": Restrictions(
        reference=("user", "1"), workflows=("order-refund", "order")
    ),
    "no-workflow": Restrictions(workflows=()),
}
_EXAMPLES = {"nothing": 300, "a-reference": 60, "workflows": 60}


@pytest.mark.parametrize("restrictions", _RESTRICTIONS)
def test_random_operations_are_answered_as_by_the_reference(restrictions: str) -> None:
    examples = _EXAMPLES.get(restrictions, 40)
    comparison = comparing(_RESTRICTIONS[restrictions])

    @repeatable(examples)
    @given(drawn=operations(POOL))
    def run(drawn: Drawn) -> None:
        comparison.check(drawn)

    run()
    assert comparison.compared > 0.7 * examples, comparison.refused
