"""The SQL conditions that keep a statement about instances inside the caller's restrictions.

Only visible instances can make an id ambiguous, so a caller does not learn of others.
"""

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


def identified(
    shape: RestrictionsShape,
    alias: str,
    number: Callable[[str], str],
    *,
    by_id: str,
    by_workflow: str | None = None,
    ambiguous: str = "NULL",
) -> list[str]:
    """Return the conditions that `alias`, a row of instances, is the visible one with an id.

    `by_id` and `by_workflow` are the parameters that bind its id and its workflow. If no workflow
    is given and several instances have the id, the conditions select none of them. SQLite then
    evaluates `ambiguous`, which may raise an error. Without restrictions the conditions with and
    without a workflow are

        i.instance_id=?1, i.workflow=?2
        i.id=(SELECT iif(count(*)<2,max(o.id),NULL) FROM instances o WHERE o.instance_id=?1)
    """
    if by_workflow is not None:
        named = [f"{alias}.instance_id={by_id}", f"{alias}.workflow={by_workflow}"]
        return [*named, *visible(shape, alias, number)]
    row = identified_value(shape, "o.id", number, by_id=by_id, ambiguous=ambiguous)
    return [f"{alias}.id={row}"]


def identified_value(
    shape: RestrictionsShape,
    value: str,
    number: Callable[[str], str],
    *,
    by_id: str,
    by_workflow: str | None = None,
    ambiguous: str = "NULL",
) -> str:
    """Return SQL of a value of the instance that `identified` selects; NULL if there is none.

    `value` is SQL about `o`, the row of the instance: `o.id`.
    """
    conditions = [f"o.instance_id={by_id}", *visible(shape, "o", number)]
    if by_workflow is None:
        value = f"iif(count(*)<2,max({value}),{ambiguous})"
    else:
        conditions.append(f"o.workflow={by_workflow}")
    return f"(SELECT {value} FROM instances o WHERE {' AND '.join(conditions)})"
