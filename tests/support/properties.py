"""Settings of property-based tests."""

from hypothesis import HealthCheck, settings


def repeatable(examples: int, *, steps: int = 50) -> settings:
    """Settings with the same examples on every machine, and without deadlines."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
