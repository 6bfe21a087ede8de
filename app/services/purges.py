"""Purges: what a tenant has had forgotten, as a ledger that every entry is held against, so that nothing is searched.

An entry names the ledger it was kept under and how many purges that ledger had. It is dead if its ledger is gone or if
a later purge covers it. A ledger that a store has lost takes all of its tenant's entries with it: too much is
forgotten then, never too little.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import orjson
from pydantic import TypeAdapter, ValidationError

from app.protocols import CacheStore

# As long as the longest that an entry may be kept.
KEPT_SECONDS = 30 * 24 * 3600
# With more of them than this it is cheaper to forget everything.
MOST_PURGES = 100

# Tenants whose places are remembered.
MOST_PLACES = 1024
# Ledgers that stay read: one is looked at for each request, and changes with each purge.
MOST_LEDGERS = 256

# Purges of one tenant go one after the other; one whose worker was killed holds up the next for this long.
LOCK_SECONDS = 2.0
LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """What is to be forgotten: all that matches each of the fields that are given; with none of them, everything.

    `prefix` is what the name of the collection or of the model begins with.
    """

    collection: str | None = None
    model: str | None = None
    prefix: str | None = None

    def covers(self, *, collection: str | None, model: str) -> bool:
        if self.collection is not None and self.collection != collection:
            return False
        if self.model is not None and self.model != model:
            return False
        return self.prefix is None or model.startswith(self.prefix) or (collection or "").startswith(self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """When an entry was kept, in terms of its tenant's purges."""

    ledger: str
    purges: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A tenant's purges, oldest first."""

    id: str
    purges: tuple[Purge, ...] = ()

    @property
    def mark(self) -> Mark:
        return Mark(ledger=self.id, purges=len(self.purges))

    def covers(self, mark: Mark, *, collection: str | None, model: str) -> bool:
        """Whether what was kept at the mark has been forgotten since."""
        if mark.ledger != self.id:
            return True
        return any(purge.covers(collection=collection, model=model) for purge in self.purges[mark.purges :])


LEDGER = TypeAdapter(Ledger)


class Purges:
    """Reads and writes the ledgers. `make_id` names new ones."""

    def __init__(self, *, store: CacheStore, secret: bytes, make_id: Callable[[], str]) -> None:
        self._store = store
        self._secret = secret
        self._make_id = make_id
        self._places = lru_cache(maxsize=MOST_PLACES)(self._digest)

    def place(self, tenant: str) -> str:
        """The key of the tenant's ledger in the store."""
        return self._places(tenant)

    def _digest(self, tenant: str) -> str:
        return "purges:" + hmac.digest(self._secret, tenant.encode(), hashlib.sha256).hex()

    async def current(self, tenant: str) -> Ledger | None:
        """The tenant's ledger, begun if there is none; `None` if the store keeps nothing."""
        place = self.place(tenant)
        found = read_ledger(await self._store.get(place))
        if found is None:
            await self._store.add(place, orjson.dumps(Ledger(id=self._make_id())), ttl=KEPT_SECONDS)
            found = read_ledger(await self._store.get(place))
        return found

    async def forget(self, tenant: str, purge: Purge) -> None:
        """Forget what the purge covers of all that the tenant has in the cache now.

        The ledger goes first and comes back with the purge in it: if the store fails in between, all is forgotten.
        """
        place, holder = self.place(tenant), self._make_id().encode()
        while True:
            if await self._store.add(f"{place}:lock", holder, ttl=LOCK_SECONDS):
                break
            await asyncio.sleep(LOOK_EVERY)
        known = read_ledger(await self._store.get(place))
        await self._store.delete(place)
        if known is not None and purge != Purge() and len(known.purges) < MOST_PURGES:
            changed = replace(known, purges=(*known.purges, purge))
            await self._store.add(place, orjson.dumps(changed), ttl=KEPT_SECONDS)
        await self._store.discard(f"{place}:lock", holder)


@lru_cache(maxsize=MOST_LEDGERS)
def read_ledger(data: bytes | None) -> Ledger | None:
    try:
        return None if data is None else LEDGER.validate_json(data)
    except ValidationError:
        return None
