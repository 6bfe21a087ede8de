"""Writes to the vector index, gathered: what comes in while others are being written goes in together after them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.protocols import VectorIndex, Vectors

# More at once would make whoever waits for the index wait too long.
MOST_TOGETHER = 256
# How long the first write waits for others. A write costs an index its overhead however many rows it has.
LINGER_SECONDS = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    ids: Sequence[str]
    vectors: Vectors
    done: asyncio.Future[None]


class GatheredWrites:
    """Documents of a chunk or two would each cost the index a call; an index is quicker to take many at once."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self._waiting: dict[str, list[_Write]] = {}
        self._at_work: set[asyncio.Task[None]] = set()

    async def upsert(self, space: str, *, ids: Sequence[str], vectors: Vectors) -> None:
        """Return once these are in the index; raises what the index raised over the write that they were part of."""
        done = asyncio.get_running_loop().create_future()
        begun = space in self._waiting
        self._waiting.setdefault(space, []).append(_Write(ids, vectors, done))
        if not begun:
            task = asyncio.create_task(self._work(space))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        await done

    async def _work(self, space: str) -> None:
        """Write until nothing is waiting for this space."""
        while waiting := self._waiting[space]:
            if sum(len(write.ids) for write in waiting) < MOST_TOGETHER:
                await asyncio.sleep(LINGER_SECONDS)
            together = _take(waiting)
            try:
                await self._index.upsert(
                    space,
                    ids=[id for write in together for id in write.ids],
                    vectors=np.concatenate([write.vectors for write in together]),
                )
            except BaseException as error:  # noqa: BLE001  # whatever it is belongs to those who wait
                _settle(together, error=error)
            else:
                _settle(together, error=None)
        del self._waiting[space]


def _take(waiting: list[_Write]) -> list[_Write]:
    """The writes at the front that fit together, at least one."""
    count, rows = 1, len(waiting[0].ids)
    while count < len(waiting) and rows + len(waiting[count].ids) <= MOST_TOGETHER:
        rows += len(waiting[count].ids)
        count += 1
    together, waiting[:] = waiting[:count], waiting[count:]
    return together


def _settle(writes: Sequence[_Write], *, error: BaseException | None) -> None:
    for write in writes:
        if write.done.done():
            continue
        if error is None:
            write.done.set_result(None)
        else:
            write.done.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
