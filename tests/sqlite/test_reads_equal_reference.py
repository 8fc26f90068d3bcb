"""The compiled path answers as the reference executor does, for random operations."""

import pytest
from hypothesis import HealthCheck, given, settings

from resolvers.access.principals import Restrictions
from tests.support.operations import Drawn, operations
from tests.support.seeded import POOL, comparing

_LIMITS = {
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


@pytest.mark.parametrize("limits", _LIMITS)
def test_random_operations_are_answered_as_by_the_reference(limits: str) -> None:
    examples = _EXAMPLES.get(limits, 20)
    comparison = comparing(_LIMITS[limits])

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn=operations(POOL))
    def run(drawn: Drawn) -> None:
        comparison.check(drawn)

    run()
    assert comparison.compared > 0.7 * examples, comparison.refused
