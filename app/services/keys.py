"""API keys: making, checking, changing and revoking them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.errors import AuthenticationError, ConflictError, InvalidRequestError, NotFoundError, PermissionDeniedError
from app.models import Caller
from app.protocols import Clock, KeyStore
from app.records import Key

KEY_PREFIX = "sk-sluice-"
ID_CHARACTERS = 16
SECRET_BYTES = 32

# How old what this process knows of the keys may be: a revoked one works so much longer at most, on every worker.
STALE_SECONDS = 0.4
# An id that nobody here knows may have been made a moment ago elsewhere. Guesses cost so many queries at most.
UNKNOWN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and the text that its bearer sends, which exists nowhere else."""

    key: Key
    text: str


class Keys:
    """Knows all keys that work, and follows the store: a check costs a digest, whoever asks.

    A key is `sk-sluice-ID-SECRET`. The id is public: it finds the key and stands in logs and lists. The secret is 256
    random bits, so SHA-256 is enough to store it by: slow hashes protect passwords, which can be guessed.
    """

    def __init__(self, *, store: KeyStore, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._keys: dict[str, Key] = {}
        self._revision = 0
        self._followed: float | None = None
        self._turn = asyncio.Lock()

    async def check(self, text: str) -> Caller:
        """Whose key it is; raises `AuthenticationError` for one that is unknown, revoked or expired."""
        id, _, secret = text.removeprefix(KEY_PREFIX).partition("-")
        await self._follow(no_older_than=STALE_SECONDS if id in self._keys else UNKNOWN_SECONDS)
        key, digest = self._keys.get(id), _digest(secret)
        if key is None or not self._opens(key, digest):
            raise AuthenticationError
        return key.caller

    async def create(self, name: str, *, caller: Caller, expires_at: datetime | None = None) -> NewKey:
        """Make a key for a caller like this one; raises `InvalidRequestError` if the caller contradicts itself."""
        _refuse_contradictions(caller)
        id, secret = secrets.token_hex(ID_CHARACTERS // 2), secrets.token_urlsafe(SECRET_BYTES)
        key = Key(
            id=id,
            name=name,
            digest=_digest(secret),
            caller=replace(caller, key_id=id),
            created_at=self._clock(),
            expires_at=expires_at,
        )
        stored = await self._store.add(key)
        self._take(stored)
        return NewKey(stored, _text(id, secret))

    async def find_all(self, *, tenant: str | None = None) -> list[Key]:
        """All keys of the tenant, or of all tenants, revoked ones included, newest first."""
        found = [key for key in await self._store.since(0) if tenant is None or key.caller.tenant == tenant]
        return sorted(found, key=lambda key: (key.created_at, key.id), reverse=True)

    async def get(self, id: str) -> Key:
        """The key with this id, also if it is revoked; raises `NotFoundError`."""
        found = next((key for key in await self._store.since(0) if key.id == id), None)
        if found is None:
            raise NotFoundError
        return found

    async def revoke(self, id: str) -> None:
        """End the key on all workers within `STALE_SECONDS`; raises `NotFoundError` if there is none that works."""
        key = await self._working(id)
        await self._replace(replace(key, revoked_at=self._clock()))

    async def rotate(self, id: str, *, overlap: timedelta = timedelta()) -> NewKey:
        """Give the key a new secret; the one before works as long as `overlap` says, which is not at all by default."""
        key, secret = await self._working(id), secrets.token_urlsafe(SECRET_BYTES)
        rotated = replace(
            key, digest=_digest(secret), previous_digest=key.digest, previous_until=self._clock() + overlap
        )
        return NewKey(await self._replace(rotated), _text(id, secret))

    async def change(self, id: str, edit: Callable[[Key], Key]) -> Key:
        """Change what a key allows; raises `NotFoundError` and `InvalidRequestError`."""
        edited = edit(await self._working(id))
        _refuse_contradictions(edited.caller)
        return await self._replace(edited)

    async def _working(self, id: str) -> Key:
        key = await self.get(id)
        if key.revoked_at is not None:
            raise NotFoundError
        return key

    async def _replace(self, key: Key) -> Key:
        replaced = await self._store.replace(key)
        if replaced is None:
            raise ConflictError
        self._take(replaced)
        return replaced

    def _opens(self, key: Key, digest: bytes) -> bool:
        now = self._clock()
        if key.expires_at is not None and key.expires_at <= now:
            return False
        if hmac.compare_digest(key.digest, digest):
            return True
        return (
            key.previous_digest is not None
            and key.previous_until is not None
            and now < key.previous_until
            and hmac.compare_digest(key.previous_digest, digest)
        )

    async def _follow(self, *, no_older_than: float) -> None:
        """Take in what has changed, one query for all that wait; raises `DatabaseUnavailableError`."""
        if self._is_fresh(no_older_than):
            return
        async with self._turn:
            if self._is_fresh(no_older_than):
                return
            asked = self._monotonic()
            for key in await self._store.since(self._revision):
                self._take(key)
                self._revision = key.revision
            self._followed = asked

    def _is_fresh(self, seconds: float) -> bool:
        return self._followed is not None and self._monotonic() - self._followed < seconds

    def _take(self, key: Key) -> None:
        if key.revoked_at is None:
            self._keys[key.id] = key
        else:
            self._keys.pop(key.id, None)


def visible(key: Key, *, caller: Caller) -> Key:
    """The key; raises `NotFoundError` if it is another tenant's."""
    if not caller.operator and key.caller.tenant != caller.tenant:
        raise NotFoundError
    return key


def refuse_excess(wanted: Caller, *, caller: Caller) -> None:
    """Raise `PermissionDeniedError` if a key would allow more than whoever makes it has: only the operator may."""
    if caller.operator:
        return
    within = (
        wanted.tenant == caller.tenant
        and wanted.clearance <= caller.clearance
        and wanted.label_floor >= caller.label_floor
        and wanted.scopes <= caller.scopes
        and (caller.models is None or (wanted.models is not None and wanted.models <= caller.models))
    )
    if not within:
        raise PermissionDeniedError("A key may not be given more than the key that makes it has.")


def _text(id: str, secret: str) -> str:
    return f"{KEY_PREFIX}{id}-{secret}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _refuse_contradictions(caller: Caller) -> None:
    if caller.label_floor > caller.clearance:
        raise InvalidRequestError(
            "label_floor: must not be above clearance: the key could not read what it wrote.", param="label_floor"
        )
