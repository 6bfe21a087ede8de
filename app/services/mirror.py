"""A mirror in this process of the fingerprints that the store holds, in which looking them up costs microseconds."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.protocols import Echo, Fingerprints

# Fingerprints that wait in a dictionary before they are sorted in with the others.
WAITING = 20_000


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Fingerprints in ascending order, and the number of the row that each is from."""

    values: Fingerprints
    rows: Fingerprints

    @classmethod
    def of(cls, values: Fingerprints, rows: Fingerprints) -> _Sorted:
        order = np.argsort(values, kind="stable")
        return cls(values[order], rows[order])

    def rows_of(self, values: Fingerprints) -> Iterator[tuple[int, int]]:
        """The values that are here, each with every row that has it."""
        if not len(self.values):
            return
        starts = np.searchsorted(self.values, values)
        found = self.values[np.minimum(starts, len(self.values) - 1)] == values
        for start, value in zip(starts[found].tolist(), values[found].tolist(), strict=True):
            end = int(np.searchsorted(self.values, np.uint64(value), side="right"))
            yield from ((value, row) for row in self.rows[start:end].tolist())


_NOTHING = _Sorted(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))


class Mirror:
    """The fingerprints of every row that this process knows of, newest in a dictionary, the others sorted."""

    def __init__(self, *, waiting: int = WAITING) -> None:
        self.newest_row = 0
        self._most_waiting = waiting
        self._waiting: dict[int, tuple[int, ...]] = {}
        self._sorting: dict[int, tuple[int, ...]] = {}
        self._sorted = _NOTHING

    @property
    def is_empty(self) -> bool:
        return not (self._waiting or self._sorting or len(self._sorted.values))

    async def add(self, echoes: Sequence[Echo]) -> None:
        """Take in rows; they are found once this has returned."""
        values = np.concatenate([echo.fingerprints for echo in echoes])
        rows = np.repeat(
            np.array([echo.number for echo in echoes], dtype=np.uint64), [len(echo.fingerprints) for echo in echoes]
        )
        if len(values) > self._most_waiting:
            self._sorted = await asyncio.to_thread(_merge, self._sorted, values, rows)
        else:
            for value, row in zip(values.tolist(), rows.tolist(), strict=True):
                self._waiting[value] = (*self._waiting.get(value, ()), row)
        self.newest_row = echoes[-1].number
        if len(self._waiting) > max(self._most_waiting, len(self._sorted.values) // 8):
            await self._sort_waiting()

    async def _sort_waiting(self) -> None:
        self._sorting, self._waiting = self._waiting, {}
        pairs = [(value, row) for value, rows in self._sorting.items() for row in rows]
        values, rows = np.array(pairs, dtype=np.uint64).T
        self._sorted = await asyncio.to_thread(_merge, self._sorted, values, rows)
        self._sorting = {}

    def rows_of(self, values: Fingerprints) -> dict[int, set[int]]:
        """The values that are known, each with the rows that have it."""
        rows: dict[int, set[int]] = defaultdict(set)
        plain = values.tolist()
        for waiting in (self._waiting, self._sorting):
            if not waiting.keys().isdisjoint(plain):
                for value in waiting.keys() & set(plain):
                    rows[value].update(waiting[value])
        for value, row in self._sorted.rows_of(values):
            rows[value].add(row)
        return rows


def _merge(known: _Sorted, values: Fingerprints, rows: Fingerprints) -> _Sorted:
    return _Sorted.of(np.concatenate((known.values, values)), np.concatenate((known.rows, rows)))
