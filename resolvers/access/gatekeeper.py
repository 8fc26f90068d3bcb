"""Authentication by keys and tokens.

A configured key allows its scopes on everything. A token is a signed statement of scopes and
restrictions (one reference, some workflows, one instance) that expires.

A token is `fft_<payload>_<signature>`: base64url of the claims' JSON, and of its HMAC-SHA256 under
a secret derived from an ADMIN key, so that rotating the key revokes it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from resolvers.access.principals import BOUND, Principal, Restrictions, principal
from resolvers.base.errors import AccessError
from resolvers.base.vocabulary import Scope

TOKEN_PREFIX = "fft_"
_FOR_EVER = 2**53 - 1


class Gatekeeper:
    """Authenticates Authorization headers with the configured keys.

    Each setting may contain several keys separated by white space, so that a new key can be added
    before the old one is removed.
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

    def has_key(self, fingerprint: str) -> bool:
        """True if the key behind a principal that was authenticated earlier is still configured."""
        return fingerprint in self._fingerprints

    def authenticate(self, authorization: str | None, *, bound: bool = False) -> Principal:
        """Return the caller behind `Bearer <key or token>`; AccessError if it is not valid.

        Without a header the caller is BOUND if the request came over a service binding.
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
        # All digests are compared, so the time taken does not reveal which key matched.
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
        found = None
        for expected, holder in self._keys:
            if hmac.compare_digest(expected, digest):
                found = holder
        if found is None:
            raise AccessError.unauthenticated("The key is not valid.")
        return found

    def valid_until(self, authorization: str) -> int:
        """Return when a header's key or token expires, in seconds since the epoch: 0 if it is not
        valid, and far in the future for a key."""
        try:
            caller = self.authenticate(authorization)
        except AccessError:
            return 0
        return _FOR_EVER if caller.expires_at is None else caller.expires_at

    def issue(self, claims: Mapping[str, object]) -> str:
        """Sign a token for these claims; an ADMIN key must be configured."""
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
        return principal_from_claims(claims, fingerprint=_fingerprint(signer))


def token_claims(
    scopes: Iterable[Scope], restrictions: Restrictions, expires_at: int | None
) -> dict[str, object]:
    """Make the claims of a token; `expires_at` is in seconds since the epoch."""
    claims: dict[str, object] = {"scopes": [str(scope) for scope in scopes], "exp": expires_at}
    if restrictions.reference is not None:
        claims["ref"] = list(restrictions.reference)
    if restrictions.workflows is not None:
        claims["workflows"] = list(restrictions.workflows)
    if restrictions.instance_id is not None:
        claims["instance"] = restrictions.instance_id
    return claims


def principal_from_claims(claims: Mapping[str, Any], *, fingerprint: str) -> Principal:
    """Make the principal that verified `token_claims` describe."""
    reference = claims.get("ref")
    workflows = claims.get("workflows")
    restrictions = Restrictions(
        (reference[0], reference[1]) if reference else None,
        tuple(workflows) if workflows is not None else None,
        claims.get("instance"),
    )
    scopes = (Scope(scope) for scope in claims["scopes"])
    return principal(
        *scopes, restrictions=restrictions, expires_at=claims["exp"], fingerprint=fingerprint
    )


def _fingerprint(digest: bytes) -> str:
    """Make a text that identifies a key without revealing it."""
    return _encode(hashlib.sha256(b"fingerprint" + digest).digest()[:12])


def _sign(secret: bytes, payload: str) -> str:
    return _encode(hmac.digest(secret, payload.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
