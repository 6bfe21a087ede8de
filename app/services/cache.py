"""The exact cache: complete answers to repeated requests, partitioned so that none is ever someone else's."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import orjson

from app.models import Caller, ChatRequest, JSONValue, Label, RetrievalScope
from app.protocols import CacheStore, Clock
from app.services.cache_entries import CachedAnswer, Entry, decode, encode
from app.services.purges import Purges, read_ledger

# Part of every key: an entry of another shape is never read.
SCHEMA_VERSION = 3

# Entries that stay read; they are kept in the store for all that.
MOST_REMEMBERED = 256
LONGEST_REMEMBERED = 8 * 1024

# Every field of a request is part of the key, except these; a test holds this list against the dataclass.
FIELDS_OUTSIDE_KEY = {
    "stream": "an answer is the same whole or in pieces",
    "session_id": "the history it stands for is part of the messages",
    "parent_id": "the same",
    "regenerate": "the same",
    "user_id": "names who asks, inside a tenant whose answers are shared",
    "cache": "says how to use the cache, not what to answer",
}
KEY_FIELDS = tuple(field.name for field in fields(ChatRequest) if field.name not in FIELDS_OUTSIDE_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSet:
    """What a caller may read, as far as an answer may draw on it; `models` are those that may answer, `None` is any."""

    clearance: Label
    models: tuple[str, ...] | None
    collection: str | None
    filter: Mapping[str, Mapping[str, JSONValue]] | None


def read_set(caller: Caller, scope: RetrievalScope | None) -> ReadSet:
    """The read set of a request: callers share answers only if theirs are equal.

    Whatever else bounds what a caller may read, or who may answer it, belongs here.
    """
    return ReadSet(
        clearance=caller.clearance,
        models=None if caller.models is None else tuple(sorted(caller.models)),
        collection=scope.collection if scope is not None else None,
        filter=scope.filter if scope is not None else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """What an entry may never be shared across; all of it goes into the key."""

    tenant: str
    label: Label
    reads: ReadSet
    policy: str
    catalog: str
    documents: str


@dataclass(frozen=True, kw_only=True)  # without slots, so that it can remember its material
class Slot:
    """Where an answer belongs: the whole request, history included, and the partition it may be shared in."""

    request: ChatRequest
    partition: Partition

    @cached_property
    def material(self) -> bytes:
        """What the key is a digest of: all that the answer depends on. A request's key is asked for again and again."""
        values = {name: getattr(self.request, name) for name in KEY_FIELDS}
        return _canonical([SCHEMA_VERSION, self.partition, values])

    @cached_property
    def digests(self) -> dict[bytes, str]:
        """Of the material, by the secrets that they were made with."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where an answer was kept; `size` is in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """What the operator decided: seconds to keep an answer, and the temperature up to which one is kept unasked."""

    ttl: int
    max_temperature: float


class AnswerCache:
    """Keeps complete answers below `confidential`. `secret` keys the digests, so that keys tell nothing of prompts."""

    def __init__(self, *, store: CacheStore, secret: bytes, rules: CacheRules, purges: Purges, clock: Clock) -> None:
        self._store = store
        self._secret = secret
        self._rules = rules
        self._purges = purges
        self._clock = clock
        self._decode_short = lru_cache(maxsize=MOST_REMEMBERED)(decode)

    async def find(self, slot: Slot) -> Entry | None:
        """The kept answer to this very request, if there is one that this partition may see."""
        return await self.read(self.key(slot), slot) if self.reads(slot) else None

    def reads(self, slot: Slot) -> bool:
        """Whether the request may be answered from the cache at all."""
        return slot.request.cache.read and self._keeps(slot.request, label=slot.partition.label)

    async def read(self, key: str, slot: Slot) -> Entry | None:
        """The entry under a key of this slot's partition, if it is alive, young enough and may be seen."""
        ledger_data, data = await self._store.get_many([self._purges.place(slot.partition.tenant), key])
        ledger, entry = read_ledger(ledger_data), self._decode(data) if data is not None else None
        if entry is None or entry.answer.label > slot.partition.reads.clearance:
            return None
        if ledger is None or ledger.covers(entry.mark, collection=entry.collection, model=entry.answer.model):
            return None
        age = self._now() - entry.kept_at
        max_age = slot.request.cache.max_age
        return entry if max_age is None or age <= max_age else None

    def _decode(self, data: bytes) -> Entry | None:
        """The same bytes are the same entry: those that are asked for again and again are read once."""
        return self._decode_short(data) if len(data) <= LONGEST_REMEMBERED else decode(data)

    async def keep(self, slot: Slot, answer: CachedAnswer, *, seconds: float = 0.0) -> Kept | None:
        """Keep a complete answer, unless the request or the answer's label forbids it; `seconds` is what it took."""
        if not (slot.request.cache.write and self._keeps(slot.request, label=answer.label)):
            return None
        if not answer.is_whole(choices=slot.request.sampling.n or 1) or self._ttl(slot.request) <= 0:
            return None
        if answer.calls_tools and not slot.request.cache.asked:
            return None
        ledger = await self._purges.current(slot.partition.tenant)
        if ledger is None:
            return None
        entry = Entry(
            kept_at=self._now(),
            seconds=round(seconds, 3),
            mark=ledger.mark,
            collection=slot.partition.reads.collection,
            answer=answer,
        )
        data, key = encode(entry), self.key(slot)
        if data is None:
            return None
        await self._store.set(key, data, ttl=self._ttl(slot.request))
        return Kept(key=key, size=len(data))

    async def forget(self, key: str) -> None:
        """Delete the entry under the key."""
        await self._store.delete(key)

    def flight_key(self, slot: Slot, *, label: Label, passages: tuple[str, ...]) -> str | None:
        """What names the call that answers this request, `None` if it may not be shared with another request.

        `label` and `passages` are those after retrieval: a call is shared only once they are known.
        """
        use = slot.request.cache
        if not (use.read and use.write and self._ttl(slot.request) > 0 and self._keeps(slot.request, label=label)):
            return None
        if slot.request.tooling.tools and not use.asked:
            return None
        return "flight:" + self._digest(_canonical([self.key(slot), label, passages]))

    def key(self, slot: Slot) -> str:
        """A keyed digest of the whole request and its partition."""
        key = slot.digests.get(self._secret)
        if key is None:
            key = slot.digests[self._secret] = self._digest(slot.material)
        return key

    def _digest(self, material: bytes) -> str:
        return hmac.digest(self._secret, material, hashlib.sha256).hex()

    def _ttl(self, request: ChatRequest) -> int:
        return self._rules.ttl if request.cache.ttl is None else request.cache.ttl

    def _keeps(self, request: ChatRequest, *, label: Label) -> bool:
        temperature = request.sampling.temperature or 0.0
        return label < Label.CONFIDENTIAL and (request.cache.asked or temperature <= self._rules.max_temperature)

    def _now(self) -> float:
        return self._clock().timestamp()


def _canonical(value: object) -> bytes:
    """The same bytes for the same value, whatever order its keys came in."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
