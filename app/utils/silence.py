"""A bound on each wait of many, by one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

Item = TypeVar("Item")


class SilenceBound:
    """Bounds how long each item of a generator is waited for; all items are asked for by one task.

    As `asyncio.timeout` around each wait, which sets and cancels a timer every time. Here a wait writes down its end,
    and a timer that strikes before it is set anew for it: a stream of a hundred pieces sets one timer, or two.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._end = 0.0
        self._struck = False

    async def next_of(self, items: AsyncGenerator[Item, None], *, end: float) -> Item:
        """The next item; raises `TimeoutError` if it is not there at `end`, in the loop's time."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        self._waiting, self._end = task, end
        self._arm()
        try:
            return await anext(items)
        except asyncio.CancelledError:
            # As in `asyncio.timeout`: a task that was cancelled by somebody else as well stays so.
            if self._struck and task is not None and task.uncancel() <= before:
                raise TimeoutError from None
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        """Have the timer strike at the end of the wait or before it."""
        if self._timer is None or self._end < self._timer.when():
            self.close()
            self._timer = self._loop.call_at(self._end, self._strike)

    def _strike(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._end:
            self._arm()
            return
        self._struck = True
        self._waiting.cancel()
