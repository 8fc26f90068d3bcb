"""Definitions, the texts from which subscription plans are compiled again after an eviction, and
the cache of plans by the digests of their definitions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.access.gatekeeper import token_claims
from resolvers.base.cache import Cache
from resolvers.base.json_text import encode
from resolvers.base.limits import SUBSCRIPTION_PLAN_CACHE_SIZE
from resolvers.base.vocabulary import Scope
from resolvers.executing.executor import Executor, Request
from resolvers.subscriptions.plans import SubscriptionPlan
from tracker_do.connection_state import principal_of


@dataclass(frozen=True, slots=True)
class Definition:
    """The document of a plan, and the rest: operation name, variables and restrictions. The
    document is stored apart because it is often shared."""

    document: str
    rest: str

    @classmethod
    def of(cls, request: Request, plan: SubscriptionPlan) -> "Definition":
        """The definition of the plan that a request was compiled to."""
        # As ASCII JSON: a document may have an unpaired surrogate, which SQLite cannot store.
        claims = token_claims([Scope.READ], plan.principal.restrictions, None)
        rest = json.dumps([request.operation_name, dict(plan.variables), claims], sort_keys=True)
        return cls(encode(request.query), rest)

    @property
    def digests(self) -> tuple[str, str]:
        """The digests of the document and of the whole."""
        document = _digest(self.document)
        return document, _digest(document + self.rest)

    def compile(self, executor: Executor) -> SubscriptionPlan:
        """Compile the plan again."""
        name, variables, claims = json.loads(self.rest)
        request = Request(json.loads(self.document), variables, name)
        operation = executor.operation(request)
        return executor.subscription_plan(operation, request, principal_of(claims))


class PlanCache:
    """The plans of an isolate, by the digests of their definitions."""

    def __init__(self) -> None:
        self._plans: Cache[str, SubscriptionPlan] = Cache(SUBSCRIPTION_PLAN_CACHE_SIZE)

    def put(self, digest: str, plan: SubscriptionPlan) -> None:
        """Keep a plan; the plans that were used longest ago are dropped."""
        self._plans.put(digest, plan)

    def find(
        self, digests: Sequence[str], definitions: Mapping[str, Sequence[str]], executor: Executor
    ) -> dict[str, Any]:
        """The plans by digest, from the cache or from their definitions; None for those that are
        in neither."""
        found: dict[str, Any] = {digest: self._plans.get(digest) for digest in digests}
        for digest, definition in definitions.items():
            if found[digest] is None:
                found[digest] = Definition(*definition).compile(executor)
                self._plans.put(digest, found[digest])
        return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
