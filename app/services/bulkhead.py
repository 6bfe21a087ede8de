"""Bulkheads: how many calls one model gets at once, and how many may wait for their turn."""

from __future__ import annotations

import asyncio

from app.errors import UpstreamBusyError

# As many may wait as may be served, and no longer than this: a request that waits could be answered elsewhere.
QUEUE_SECONDS = 10.0


class Slot:
    """A place that is taken, and given back on leaving its context."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._slots.release()


class Bulkheads:
    """One for each model, so that a slow one cannot take the room of the others. `limit` is in calls at once."""

    def __init__(self, *, limit: int, patience: float = QUEUE_SECONDS) -> None:
        self._limit = limit
        self._patience = patience
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}

    async def slot(self, model: str) -> Slot:
        """A slot, to be left as a context; raises `UpstreamBusyError` if the queue is full or the wait too long."""
        slots = self._slots.get(model)
        if slots is None:
            slots = self._slots[model] = asyncio.Semaphore(self._limit)
        if slots.locked():
            await self._queue(slots, model=model)
        else:
            await slots.acquire()
        return Slot(slots)

    async def _queue(self, slots: asyncio.Semaphore, *, model: str) -> None:
        waiting = self._waiting.get(model, 0)
        if waiting >= self._limit:
            raise UpstreamBusyError
        self._waiting[model] = waiting + 1
        try:
            async with asyncio.timeout(self._patience):
                await slots.acquire()
        except TimeoutError:
            raise UpstreamBusyError from None
        finally:
            self._waiting[model] -= 1
