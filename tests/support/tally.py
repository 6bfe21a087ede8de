"""A count that a test can wait for."""

from __future__ import annotations

import asyncio


class Tally:
    """Counts up and wakes whoever waits for a number."""

    def __init__(self) -> None:
        self.count = 0
        self._raised = asyncio.Event()

    def add(self) -> None:
        self.count += 1
        raised, self._raised = self._raised, asyncio.Event()
        raised.set()

    async def reach(self, count: int, *, within: float) -> None:
        """Return once the count is at least `count`; `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within):
            while self.count < count:
                await self._raised.wait()
