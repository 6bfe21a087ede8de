"""Vectors in this process, searched row by row: for small collections, and as the measure of other engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.protocols import Vectors
from app.records import VectorHit


@dataclass(slots=True)
class _Space:
    """Ids and, in the same order, their vectors; the array has room to spare at its end."""

    rows: Vectors
    ids: list[str] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)

    def put(self, id: str, vector: Vectors) -> None:
        if id not in self.positions:
            if len(self.ids) == len(self.rows):
                self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
            self.positions[id] = len(self.ids)
            self.ids.append(id)
        self.rows[self.positions[id]] = vector

    def drop(self, id: str) -> None:
        """Move the last row into the place of the one that goes."""
        position = self.positions.pop(id, None)
        if position is None:
            return
        last = self.ids.pop()
        if last != id:
            self.ids[position] = last
            self.positions[last] = position
            self.rows[position] = self.rows[len(self.ids)]

    def nearest(self, vector: Vectors, *, limit: int, within: Sequence[str] | None) -> list[VectorHit]:
        if within is None:
            ids, rows = self.ids, self.rows[: len(self.ids)]
        else:
            ids = [id for id in dict.fromkeys(within) if id in self.positions]
            rows = self.rows[[self.positions[id] for id in ids]]
        return ranked(ids, rows, vector=vector, limit=limit)


class MemoryVectorIndex:
    """Vectors that last as long as the process; implements `VectorIndex`."""

    def __init__(self) -> None:
        self._spaces: dict[str, _Space] = {}

    async def upsert(self, space: str, *, ids: Sequence[str], vectors: Vectors) -> None:
        if not ids:
            return
        held = self._spaces.setdefault(space, _Space(np.zeros((64, vectors.shape[1]), dtype=np.float32)))
        for id, vector in zip(ids, vectors, strict=True):
            held.put(id, vector)

    async def query(
        self, space: str, *, vector: Vectors, limit: int, within: Sequence[str] | None = None
    ) -> list[VectorHit]:
        held = self._spaces.get(space)
        return [] if held is None else held.nearest(vector, limit=limit, within=within)

    async def fetch(self, space: str, *, ids: Sequence[str]) -> Mapping[str, Vectors]:
        held = self._spaces.get(space)
        if held is None:
            return {}
        return {id: held.rows[held.positions[id]].copy() for id in ids if id in held.positions}

    async def delete(self, space: str, *, ids: Sequence[str]) -> None:
        held = self._spaces.get(space)
        if held is not None:
            for id in ids:
                held.drop(id)

    async def drop(self, space: str) -> None:
        self._spaces.pop(space, None)

    async def count(self, space: str) -> int:
        held = self._spaces.get(space)
        return 0 if held is None else len(held.ids)

    async def ids(self, space: str) -> list[str]:
        held = self._spaces.get(space)
        return [] if held is None else list(held.ids)

    async def ping(self) -> None:
        """This process answers."""

    async def close(self) -> None:
        self._spaces.clear()


def ranked(ids: Sequence[str], rows: Vectors, *, vector: Vectors, limit: int) -> list[VectorHit]:
    """The ids whose rows, of shape (ids, dimensions) and unit length, are nearest to `vector` by cosine."""
    similarities = np.clip(rows @ vector, -1.0, 1.0)
    order = np.argsort(-similarities, kind="stable")[:limit]
    return [VectorHit(chunk_id=ids[i], similarity=float(similarities[i])) for i in order]
