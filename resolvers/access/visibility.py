"""The SQL conditions that keep a statement about instances inside the caller's restrictions."""

from collections.abc import Callable

from resolvers.access.principals import RestrictionsShape


def visible(shape: RestrictionsShape, alias: str, number: Callable[[str], str]) -> list[str]:
    """Conditions on `alias`, a row of instances, for restrictions of this shape.

    `number` returns the parameter that binds the value of a restriction, by its name in
    `Restrictions.values`. With restrictions to a reference, the conditions are

        i.ref_type=?1, i.ref_id=?2
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
