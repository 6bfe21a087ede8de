"""Uploads that are sent again: the same request under the same idempotency key is carried out once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence

import orjson

from app.errors import ConflictError
from app.models import Caller
from app.protocols import ReplayStore
from app.services.ingestion import Upload

KEPT_SECONDS = 24 * 60 * 60


class Replays:
    """Remembers keyed digests of requests by their idempotency key, for a day.

    A request whose key has been forgotten is carried out again, which changes nothing either while its documents are
    as it left them.
    """

    def __init__(self, *, store: ReplayStore, secret: bytes) -> None:
        self._store = store
        self._secret = secret

    async def is_replay(self, key: str, uploads: Sequence[Upload], *, caller: Caller) -> bool:
        """Whether the uploads were stored under this key before; raises `ConflictError` if others were."""
        known = await self._store.get(self._place(key, caller=caller))
        if known is not None and known != await self._digest(uploads):
            raise ConflictError("This Idempotency-Key belongs to another request.")
        return known is not None

    async def remember(self, key: str, uploads: Sequence[Upload], *, caller: Caller) -> None:
        """The uploads were stored under this key."""
        await self._store.set(self._place(key, caller=caller), await self._digest(uploads), ttl=KEPT_SECONDS)

    def _place(self, key: str, *, caller: Caller) -> str:
        named = hmac.digest(self._secret, f"{caller.tenant}\0{key}".encode(), hashlib.sha256).hex()
        return f"replay:{named}"

    async def _digest(self, uploads: Sequence[Upload]) -> bytes:
        return await asyncio.to_thread(_digest, uploads, key=self._secret)


def _digest(uploads: Sequence[Upload], *, key: bytes) -> bytes:
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for upload in uploads:
        facts = [upload.id, upload.collection, upload.title, upload.filename, upload.label, upload.metadata]
        digest.update(orjson.dumps([*facts, len(upload.content)], option=orjson.OPT_SORT_KEYS))
        digest.update(upload.content)
    return digest.digest()
