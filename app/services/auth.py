"""Who is asking: what a credential stands for, be it the operator's key, an API key or a token."""

from __future__ import annotations

import hashlib
import hmac

from app.errors import AuthenticationError
from app.models import Caller, Scope
from app.services.keys import KEY_PREFIX, Keys
from app.services.tokens import Tokens

ADMIN = Caller(key_id="admin", scopes=frozenset(Scope), operator=True)
ANYONE = Caller()
# A token has three parts, the first of which is base64 of a JSON object.
OBJECT_START = "eyJ"
DOTS = 2


class Authenticator:
    """Tells callers apart. `protected` says that nobody may ask without a credential.

    While it does not, one that could never have been ours counts for nothing, since clients must often send some; one
    that looks like ours is checked all the same: a key that was revoked is worth less than none.
    """

    def __init__(self, *, admin_key: str | None, keys: Keys, tokens: Tokens | None, protected: bool) -> None:
        self._admin_digest = _digest(admin_key) if admin_key else None
        self._keys = keys
        self._tokens = tokens
        self._protected = protected

    @property
    def protected(self) -> bool:
        return self._protected

    async def identify(self, credential: str | None) -> Caller:
        """Whose credential it is; raises the same `AuthenticationError` for a wrong one and where one is missing."""
        if credential is not None:
            if self._admin_digest is not None and hmac.compare_digest(_digest(credential), self._admin_digest):
                return ADMIN
            if credential.startswith(KEY_PREFIX):
                return await self._keys.check(credential)
            if self._tokens is not None and _looks_like_token(credential):
                return await self._tokens.check(credential)
        if self._protected:
            raise AuthenticationError
        return ANYONE


def _looks_like_token(credential: str) -> bool:
    return credential.startswith(OBJECT_START) and credential.count(".") == DOTS


def _digest(credential: str) -> bytes:
    """Digests have one length, so that comparing them tells nothing of the credential's."""
    return hashlib.sha256(credential.encode()).digest()
