"""What a limited caller may see: the one condition that every statement about instances holds."""

from collections.abc import Callable

from resolvers.access.principals import RestrictionsShape


def visible(shape: RestrictionsShape, alias: str, number: Callable[[str], str]) -> list[str]:
    """What keeps `alias`, a row of instances, inside limits of this shape.

    `number` gives the parameter under which a limit's value is bound; the names are those of
    `Restrictions.values`.
    """
    reference, workflows, instance = shape
    conditions = []
    if reference:
        conditions.append(f"{alias}.ref_type={number('ref_type')}")
        conditions.append(f"{alias}.ref_id={number('ref_id')}")
    if workflows:
        listed = f"SELECT value FROM json_each({number('workflows')})"
        conditions.append(f"{alias}.workflow IN ({listed})")
    if instance:
        conditions.append(f"{alias}.instance_id={number('instance_id')}")
    return conditions
