"""A cache in this process: bounded by bytes, least recently used first out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What an entry costs beside its key and value: the dictionary's slot and the objects' heads, measured by tracemalloc.
BYTES_OF_AN_ENTRY = 260


@dataclass(frozen=True, slots=True)
class Entry:
    value: bytes
    expires: float
    size: int


class MemoryCache:
    """As `CacheStore`. `monotonic` tells the time in seconds; `max_bytes` counts keys, values and their keeping."""

    def __init__(self, *, max_bytes: int, monotonic: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._monotonic = monotonic
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0

    @property
    def bytes_held(self) -> int:
        return self._bytes

    async def server_bytes(self) -> int | None:
        return None

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._monotonic() >= entry.expires:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [await self.get(key) for key in keys]

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        """As `CacheStore.set`. A value larger than the whole cache, or with no time to live, is not kept."""
        self._put(key, value, ttl=ttl)

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        if await self.get(key) is not None:
            return False
        self._put(key, value, ttl=ttl)
        return True

    async def extend(self, key: str, value: bytes, *, ttl: float) -> bool:
        if await self.get(key) != value:
            return False
        self._put(key, value, ttl=ttl)
        return True

    async def discard(self, key: str, value: bytes) -> None:
        if await self.get(key) == value:
            self._drop(key)

    def _put(self, key: str, value: bytes, *, ttl: float) -> None:
        self._drop(key)
        size = len(key) + len(value) + BYTES_OF_AN_ENTRY
        if ttl <= 0 or size > self._max_bytes:
            return
        self._entries[key] = Entry(value, self._monotonic() + ttl, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def delete(self, key: str) -> None:
        self._drop(key)

    async def ping(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
