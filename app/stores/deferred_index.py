"""A vector index that is opened by the first question to it: importing Chroma's client takes a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from app.protocols import VectorIndex, Vectors
from app.records import VectorHit


class DeferredVectorIndex:
    """Implements `VectorIndex` over the one that `connect` returns."""

    def __init__(self, connect: Callable[[], Awaitable[VectorIndex]]) -> None:
        self._connect = connect
        self._index: VectorIndex | None = None
        self._turn = asyncio.Lock()

    async def _open(self) -> VectorIndex:
        async with self._turn:
            if self._index is None:
                self._index = await self._connect()
            return self._index

    async def upsert(self, space: str, *, ids: Sequence[str], vectors: Vectors) -> None:
        await (await self._open()).upsert(space, ids=ids, vectors=vectors)

    async def query(
        self, space: str, *, vector: Vectors, limit: int, within: Sequence[str] | None = None
    ) -> list[VectorHit]:
        return await (await self._open()).query(space, vector=vector, limit=limit, within=within)

    async def fetch(self, space: str, *, ids: Sequence[str]) -> Mapping[str, Vectors]:
        return await (await self._open()).fetch(space, ids=ids)

    async def delete(self, space: str, *, ids: Sequence[str]) -> None:
        await (await self._open()).delete(space, ids=ids)

    async def drop(self, space: str) -> None:
        await (await self._open()).drop(space)

    async def count(self, space: str) -> int:
        return await (await self._open()).count(space)

    async def ids(self, space: str) -> list[str]:
        return await (await self._open()).ids(space)

    async def ping(self) -> None:
        await (await self._open()).ping()

    async def close(self) -> None:
        if self._index is not None:
            await self._index.close()
