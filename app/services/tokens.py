"""JSON Web Tokens: who signed one, and what its claims let its bearer do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt

from app.errors import AuthenticationError
from app.models import ORDINARY_SCOPES, Caller, Label, Limits, Scope
from app.services.key_sets import KeySet, VerifyingKey

# Clocks of two machines differ by this much at most.
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8192
KNOWN_SECONDS = 60.0
LONGEST_NAME = 512
HMAC_ALGORITHM = "HS256"
# What a token whose clearance nobody maps may read: what everyone in the house may.
UNMAPPED_CLEARANCE = Label.INTERNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Which claim says what. One of the `required` must be there; another that is absent takes the default."""

    tenant: str
    scopes: str
    clearance: str
    user: str
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Whom to believe: the shared secret, the key set, and the audience and issuer that a token must name."""

    secret: bytes | None = None
    key_set: KeySet | None = None
    audience: str | None = None
    issuer: str | None = None
    claims: ClaimNames
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    expires: float


@dataclass(slots=True)
class Tokens:
    """Checks tokens. One that was verified is not verified again for a minute: a signature costs more than all else."""

    rules: TokenRules
    clock: Callable[[], datetime]
    most_known: int = 10_000
    _known: dict[str, _Verified] = field(default_factory=dict)

    async def check(self, text: str) -> Caller:
        """Whose token it is; raises `AuthenticationError` for one that is forged, expired or says too little."""
        known = self._known.get(text)
        if known is not None and self.clock().timestamp() < known.expires:
            return known.caller
        claims = await self._verify(text)
        caller = read_claims(claims, names=self.rules.claims, limits=self.rules.limits)
        soon = self.clock().timestamp() + KNOWN_SECONDS
        self._remember(text, _Verified(caller, expires=min(soon, float(claims["exp"]))))
        return caller

    async def _verify(self, text: str) -> Mapping[str, Any]:
        if len(text) > LONGEST_TOKEN:
            raise AuthenticationError
        try:
            key = await self._key_for(jwt.get_unverified_header(text))
            claims = jwt.decode(
                text,
                key.key,
                algorithms=[key.algorithm],
                audience=self.rules.audience,
                issuer=self.rules.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", *(["aud"] if self.rules.audience else [])]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise AuthenticationError from None
        return dict(claims)

    async def _key_for(self, header: Mapping[str, Any]) -> VerifyingKey:
        """The key that the header points to. Its `alg` says where to look for the key, never how to verify."""
        if header.get("alg") == HMAC_ALGORITHM:
            if self.rules.secret is None:
                raise AuthenticationError
            return VerifyingKey(self.rules.secret, HMAC_ALGORITHM)
        key_id = header.get("kid")
        if self.rules.key_set is None or not isinstance(key_id, str | None):
            raise AuthenticationError
        key = await self.rules.key_set.find(key_id)
        if key is None:
            raise AuthenticationError
        return key

    def _remember(self, text: str, verified: _Verified) -> None:
        while len(self._known) >= self.most_known:
            del self._known[next(iter(self._known))]
        self._known[text] = verified


def read_claims(claims: Mapping[str, Any], *, names: ClaimNames, limits: Limits) -> Caller:
    """What the claims let their bearer do; raises `AuthenticationError` for a value that has no meaning here."""
    for name in names.required:
        if name not in claims:
            raise AuthenticationError
    return Caller(
        tenant=_read_name(claims.get(names.tenant, "default")),
        user=_read_name(claims[names.user]) if names.user in claims else None,
        scopes=_read_scopes(claims[names.scopes]) if names.scopes in claims else ORDINARY_SCOPES,
        clearance=_read_clearance(claims[names.clearance]) if names.clearance in claims else UNMAPPED_CLEARANCE,
        limits=limits,
    )


def _read_name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or "\0" in value:
        raise AuthenticationError
    return value


def _read_scopes(value: object) -> frozenset[Scope]:
    """Words in a string (RFC 8693, 4.2) or a list; those that are not ours say nothing here."""
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list):
        raise AuthenticationError
    return frozenset(scope for scope in Scope if scope.value in words)


def _read_clearance(value: object) -> Label:
    """One of the three words; anything else is refused and never read as one of them."""
    if value not in {label.word for label in Label}:
        raise AuthenticationError
    return Label.parse(str(value))
