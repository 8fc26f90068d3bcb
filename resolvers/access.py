"""Who asks, what they may do, and what they may see.

A configured key allows its scopes on everything. A token is a signed statement of scopes
and limits (one reference, some workflows, one instance) that expires; its limits are
compiled into every statement (see `planning.filters.visible`), not checked afterwards.

A token is `fft_<payload>_<signature>`: base64url of the claims' JSON, and of its
HMAC-SHA256 under a secret derived from an ADMIN key, so that rotating the key revokes it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from resolvers.errors import AccessError
from resolvers.vocabulary import Scope

TOKEN_PREFIX = "fft_"
_FOR_EVER = 2**53 - 1

# Whether there is a limit to a reference, to workflows, to an instance.
LimitsShape: TypeAlias = tuple[bool, bool, bool]

_INCLUDED = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a token is limited to; None where it is not."""

    reference: tuple[str, str] | None = None
    workflows: tuple[str, ...] | None = None
    instance_id: str | None = None

    @property
    def shape(self) -> LimitsShape:
        """Which limits there are: statements are compiled for this."""
        return (
            self.reference is not None,
            self.workflows is not None,
            self.instance_id is not None,
        )

    @property
    def values(self) -> dict[str, str | None]:
        """Each limit as an SQL parameter."""
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
        """Whether an instance with these properties is inside the limits."""
        return (
            (self.reference is None or self.reference == reference)
            and (self.workflows is None or workflow in self.workflows)
            and (self.instance_id is None or self.instance_id == instance_id)
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    scopes: frozenset[Scope]
    limits: Limits = field(default_factory=Limits)
    # Seconds since the epoch; None for a configured key.
    expires_at: int | None = None
    # Of the key that vouches for it (`Gatekeeper.holds`).
    fingerprint: str = ""

    @property
    def limited(self) -> bool:
        """Whether there is anything it may not see."""
        return any(self.limits.shape)

    @property
    def has_few(self) -> bool:
        """True if it sees the instances of one reference, or one instance."""
        return self.limits.reference is not None or self.limits.instance_id is not None

    def require(self, scope: Scope) -> None:
        """Raise AccessError unless the scope is granted."""
        if scope not in self.scopes:
            raise AccessError.forbidden(f"This needs the {scope} scope.")


def principal(
    *scopes: Scope,
    limits: Limits | None = None,
    expires_at: int | None = None,
    fingerprint: str = "",
) -> Principal:
    """A principal with these scopes and what they include."""
    granted: frozenset[Scope] = frozenset().union(*(_INCLUDED[scope] for scope in scopes))
    return Principal(granted, limits or Limits(), expires_at, fingerprint)


# Whoever deploys to the account may bind a Worker to this one, which needs no key then. No
# ADMIN: who can only bind must not make tokens, which outlive the binding.
BOUND = principal(Scope.WRITE, fingerprint="service binding")


class Gatekeeper:
    """Turns an Authorization header into a Principal, by the keys of the configuration.

    Each secret may hold several keys separated by white space, so that a new one can be
    put in before the old one is taken out.
    """

    def __init__(self, *, admin: str = "", write: str = "", read: str = "") -> None:
        self._keys = []
        for text, scope in ((admin, Scope.ADMIN), (write, Scope.WRITE), (read, Scope.READ)):
            for key in text.split():
                digest = hashlib.sha256(key.encode()).digest()
                fingerprint = _fingerprint(digest + scope.encode())
                self._keys.append((digest, principal(scope, fingerprint=fingerprint)))
        self._secrets = [
            hmac.digest(key.encode(), b"flowflare access token", "sha256") for key in admin.split()
        ]
        self._fingerprints = {
            BOUND.fingerprint,
            *(holder.fingerprint for _, holder in self._keys),
            *(_fingerprint(secret) for secret in self._secrets),
        }

    def holds(self, fingerprint: str) -> bool:
        """Whether the key behind a principal authenticated earlier is still configured."""
        return fingerprint in self._fingerprints

    def authenticate(self, authorization: str | None, *, bound: bool = False) -> Principal:
        """The caller behind `Bearer <key or token>`; AccessError where there is none.

        Without a header it is BOUND, where the request is known to have come over a binding.
        """
        if not authorization:
            if bound:
                return BOUND
            raise AccessError.unauthenticated(
                "No key was given. Send it as `Authorization: Bearer <key>`."
            )
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise AccessError.unauthenticated("The Authorization header must be `Bearer <key>`.")
        if credential.startswith(TOKEN_PREFIX):
            return self._verify(credential)
        # Digests of equal length, all compared: time tells neither the key nor which one.
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
        found = None
        for expected, holder in self._keys:
            if hmac.compare_digest(expected, digest):
                found = holder
        if found is None:
            raise AccessError.unauthenticated("The key is not valid.")
        return found

    def admits_until(self, authorization: str) -> int:
        """The time when what the header holds ends, in seconds since the epoch; 0 where it is not
        valid, and far in the future for a key."""
        try:
            caller = self.authenticate(authorization)
        except AccessError:
            return 0
        return _FOR_EVER if caller.expires_at is None else caller.expires_at

    def issue(self, claims: Mapping[str, object]) -> str:
        """A token for these claims; the gatekeeper must hold an ADMIN key."""
        payload = _encode(json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode())
        return f"{TOKEN_PREFIX}{payload}.{_sign(self._secrets[0], payload)}"

    def _verify(self, token: str) -> Principal:
        invalid = AccessError.unauthenticated("The token is not valid.")
        payload, _, signature = token.removeprefix(TOKEN_PREFIX).partition(".")
        if not payload.isascii() or not signature.isascii():
            raise invalid
        signer = None
        for secret in self._secrets:
            if hmac.compare_digest(_sign(secret, payload), signature):
                signer = secret
        if signer is None:
            raise invalid
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (binascii.Error, ValueError) as error:
            raise invalid from error
        if claims["exp"] <= time.time():
            raise AccessError.unauthenticated("The token has expired.")
        return claimed(claims, fingerprint=_fingerprint(signer))


def token_claims(
    scopes: Iterable[Scope], limits: Limits, expires_at: int | None
) -> dict[str, object]:
    """The claims of a token; `expires_at` in seconds since the epoch."""
    claims: dict[str, object] = {"scopes": [str(scope) for scope in scopes], "exp": expires_at}
    if limits.reference is not None:
        claims["ref"] = list(limits.reference)
    if limits.workflows is not None:
        claims["workflows"] = list(limits.workflows)
    if limits.instance_id is not None:
        claims["instance"] = limits.instance_id
    return claims


def claimed(claims: Mapping[str, Any], *, fingerprint: str) -> Principal:
    """The principal that `token_claims` describe; they have been verified."""
    reference = claims.get("ref")
    workflows = claims.get("workflows")
    limits = Limits(
        (reference[0], reference[1]) if reference else None,
        tuple(workflows) if workflows is not None else None,
        claims.get("instance"),
    )
    scopes = (Scope(scope) for scope in claims["scopes"])
    return principal(*scopes, limits=limits, expires_at=claims["exp"], fingerprint=fingerprint)


def _fingerprint(digest: bytes) -> str:
    """What tells keys apart and gives none away."""
    return _encode(hashlib.sha256(b"fingerprint" + digest).digest()[:12])


def _sign(secret: bytes, payload: str) -> str:
    return _encode(hmac.digest(secret, payload.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
