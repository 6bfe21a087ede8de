"""The exact cache: complete answers to repeated requests, partitioned so that none is ever someone else's."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, fields

import orjson
from pydantic import TypeAdapter, ValidationError

from app.models import ChatRequest, Citation, Delta, FinishReason, Grounding, Label, Route, Usage
from app.protocols import CacheStore

# Part of every key: an entry of another shape is never read.
SCHEMA_VERSION = 2

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
class CachedAnswer:
    """A complete answer as it is kept: who gave it, what it said, and the label it had after retrieval."""

    label: Label
    model: str
    deltas: tuple[Delta, ...]
    finish_reasons: tuple[FinishReason, ...]
    usage: Usage
    cost: float | None
    citations: tuple[Citation, ...]
    grounding: Grounding
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """What an entry may never be shared across; all of it goes into the key."""

    tenant: str
    label: Label
    clearance: Label
    policy: str
    catalog: str
    documents: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where an answer belongs: the whole request, history included, and the partition it may be shared in."""

    request: ChatRequest
    partition: Partition


ENTRY = TypeAdapter(CachedAnswer)


class AnswerCache:
    """Keeps complete answers below `confidential`. `secret` keys the digests, so that keys tell nothing of prompts."""

    def __init__(self, *, store: CacheStore, secret: bytes, ttl: int, max_temperature: float) -> None:
        self._store = store
        self._secret = secret
        self._ttl = ttl
        self._max_temperature = max_temperature

    async def find(self, slot: Slot) -> CachedAnswer | None:
        """The kept answer to this very request, if there is one that this partition may see."""
        if not (slot.request.cache.read and self._keeps(slot.request, label=slot.partition.label)):
            return None
        data = await self._store.get(self.key(slot))
        answer = _decode(data) if data is not None else None
        if answer is None or answer.label > slot.partition.clearance:
            return None
        return answer

    async def keep(self, slot: Slot, answer: CachedAnswer) -> None:
        """Keep a complete answer, unless the request or the answer's label forbids it."""
        if not (slot.request.cache.write and self._keeps(slot.request, label=answer.label)):
            return
        ttl = self._ttl if slot.request.cache.ttl is None else slot.request.cache.ttl
        if ttl > 0:
            await self._store.set(self.key(slot), orjson.dumps(answer), ttl=ttl)

    def key(self, slot: Slot) -> str:
        """A keyed digest of the whole request and its partition."""
        values = {name: getattr(slot.request, name) for name in KEY_FIELDS}
        material = orjson.dumps([SCHEMA_VERSION, slot.partition, values], option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._secret, material, hashlib.sha256).hexdigest()

    def _keeps(self, request: ChatRequest, *, label: Label) -> bool:
        temperature = request.sampling.temperature
        return label < Label.CONFIDENTIAL and (temperature is None or temperature <= self._max_temperature)


def _decode(data: bytes) -> CachedAnswer | None:
    """Read an entry; one that does not have the shape of an entry is no entry."""
    try:
        return ENTRY.validate_json(data)
    except ValidationError:
        return None
