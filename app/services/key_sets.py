"""The public keys of an identity provider (a JSON Web Key Set, RFC 7517), fetched, kept, and used through outages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
from jwt.exceptions import PyJWKError

logger = logging.getLogger(__name__)

# What each kind of key may verify, whatever a token or the set itself says of it (RFC 8725, 3.1).
ALGORITHMS: Mapping[tuple[str, str | None], str] = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
SMALLEST_RSA_BITS = 2048
MOST_KEYS = 100

REFRESH_SECONDS = 300.0
# A token that names an unknown key makes us look for it, so often at most.
SECONDS_BETWEEN_LOOKUPS = 10.0
# For so long the keys that were fetched last are good while the provider does not answer.
LONGEST_OUTAGE_SECONDS = 24 * 3600.0

Fetch = Callable[[], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key and the only algorithm that it verifies."""

    key: Any
    algorithm: str


@dataclass(slots=True)
class KeySet:
    """Follows the set that `fetch` gets, which is `None` while the provider does not answer."""

    fetch: Fetch
    monotonic: Callable[[], float]
    _keys: Mapping[str | None, VerifyingKey] = field(default_factory=dict)
    _fetched: float | None = None
    _asked: float | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, id: str | None) -> VerifyingKey | None:
        """The key of this id; one that is not known is looked for anew, at a bounded rate."""
        if not self._is_usable() or id not in self._keys:
            await self._look_again()
        return self._keys.get(id) if self._is_usable() else None

    async def keep_fresh(self) -> None:
        """Fetch the set now and again for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Fetch the set; one that cannot be had or read leaves the keys as they are. Lookups wait for it."""
        async with self._turn:
            await self._take_set()

    async def _look_again(self) -> None:
        async with self._turn:
            if self._asked is None or self.monotonic() - self._asked >= SECONDS_BETWEEN_LOOKUPS:
                await self._take_set()

    async def _take_set(self) -> None:
        self._asked = self.monotonic()
        body = await self.fetch()
        keys = None if body is None else read_key_set(body)
        if keys is None:
            logger.warning("the key set was not to be had; the keys that are known stay in force")
            return
        self._keys, self._fetched = keys, self.monotonic()

    def _is_usable(self) -> bool:
        return self._fetched is not None and self.monotonic() - self._fetched < LONGEST_OUTAGE_SECONDS


def read_key_set(body: bytes) -> dict[str | None, VerifyingKey] | None:
    """The signing keys of a set by their ids, `None` if it is not one. A key of another kind than ours is left out."""
    try:
        entries = orjson.loads(body)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not isinstance(entries, list):
        return None
    found: dict[str | None, VerifyingKey] = {}
    for entry in entries[:MOST_KEYS]:
        key = _read_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            found[entry.get("kid")] = key
    return found


def _read_key(entry: Mapping[str, Any]) -> VerifyingKey | None:
    algorithm = ALGORITHMS.get((str(entry.get("kty")), entry.get("crv")))
    if algorithm is None or entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    public = {name: value for name, value in entry.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm).key
    except (PyJWKError, jwt.InvalidKeyError, ValueError, TypeError):
        return None
    if algorithm == "RS256" and key.key_size < SMALLEST_RSA_BITS:
        return None
    return VerifyingKey(key, algorithm)
