"""Callers: their scopes, and the restrictions on the rows they may see.

Restrictions are compiled into every statement (see `visibility.py`), not checked afterwards.
"""

import json
from dataclasses import dataclass, field
from typing import TypeAlias

from resolvers.base.errors import AccessError
from resolvers.base.vocabulary import Scope

# True for each restriction that is set: to a reference, to workflows, to an instance.
RestrictionsShape: TypeAlias = tuple[bool, bool, bool]

_INCLUDED = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Restrictions of a token; None for each kind that it does not have."""

    reference: tuple[str, str] | None = None
    workflows: tuple[str, ...] | None = None
    instance_id: str | None = None

    @property
    def shape(self) -> RestrictionsShape:
        """The kinds of restrictions that are set: statements are compiled for these."""
        return (
            self.reference is not None,
            self.workflows is not None,
            self.instance_id is not None,
        )

    @property
    def values(self) -> dict[str, str | None]:
        """Each restriction as an SQL parameter."""
        ref_type, ref_id = self.reference or (None, None)
        return {
            "ref_type": ref_type,
            "ref_id": ref_id,
            "workflows": json.dumps(self.workflows),
            "instance_id": self.instance_id,
        }

    def allow(
        self, *, instance_id: str | None, workflow: str | None, reference: tuple[str, str] | None
    ) -> bool:
        """True if an instance with these properties is visible."""
        return (
            (self.reference is None or self.reference == reference)
            and (self.workflows is None or workflow in self.workflows)
            and (self.instance_id is None or self.instance_id == instance_id)
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    scopes: frozenset[Scope]
    restrictions: Restrictions = field(default_factory=Restrictions)
    # Seconds since the epoch; None for a configured key.
    expires_at: int | None = None
    # Identifies the key behind the caller (see `Gatekeeper.has_key`).
    fingerprint: str = ""

    @property
    def is_restricted(self) -> bool:
        """True if there are rows that the caller may not see."""
        return any(self.restrictions.shape)

    @property
    def sees_few_instances(self) -> bool:
        """True if the caller sees one instance, or the instances of one reference."""
        return self.restrictions.reference is not None or self.restrictions.instance_id is not None

    def require(self, scope: Scope) -> None:
        """Raise AccessError unless the scope is granted."""
        if scope not in self.scopes:
            raise AccessError.forbidden(f"This needs the {scope} scope.")


def principal(
    *scopes: Scope,
    restrictions: Restrictions | None = None,
    expires_at: int | None = None,
    fingerprint: str = "",
) -> Principal:
    """Make a principal with these scopes and those they include."""
    granted: frozenset[Scope] = frozenset().union(*(_INCLUDED[scope] for scope in scopes))
    return Principal(
        granted, restrictions or Restrictions(), expires_at=expires_at, fingerprint=fingerprint
    )


# Anyone who can deploy to the account may bind a Worker to this one, without a key. The ADMIN scope
# is missing: a bound Worker must not make tokens, because they outlive the binding.
BOUND = principal(Scope.WRITE, fingerprint="service binding")
