"""What is left to do for a session after an answer, and how much of that may wait."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from app.models import Caller

logger = logging.getLogger(__name__)

MOST_WAITING = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A session that was continued. `model` is what its request asked for, `window` that of the answer's, in tokens."""

    session_id: str
    incarnation: str
    caller: Caller
    model: str
    window: int | None


class Chores:
    """A bounded queue. A chore that finds no room is dropped: the next answer of its session leaves it again."""

    def __init__(self) -> None:
        self.traces = asyncio.Event()  # set while something that was deleted may still be on the disk
        self._queue: asyncio.Queue[Chore] = asyncio.Queue(MOST_WAITING)
        self._waiting: set[str] = set()

    def __len__(self) -> int:
        return self._queue.qsize()

    def add(self, chore: Chore) -> None:
        """Take a chore in at once, unless its session waits already."""
        if chore.incarnation in self._waiting:
            return
        try:
            self._queue.put_nowait(chore)
        except asyncio.QueueFull:
            logger.warning("session chore dropped")
            return
        self._waiting.add(chore.incarnation)

    async def take(self) -> Chore:
        """The chore that waits longest."""
        chore = await self._queue.get()
        self._waiting.discard(chore.incarnation)
        return chore
