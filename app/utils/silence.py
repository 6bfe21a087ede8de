"""A bound on each wait of many, by one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Self, TypeVar

Item = TypeVar("Item")


class SilenceBound:
    """Bounds how long each item of a generator is waited for; all items are asked for by the task that made the bound.

    What is not there in time raises `late`. The timer stops on leaving the context.

    As `asyncio.timeout` around each wait, which sets and cancels a timer every time. Here a wait writes down its end,
    and a timer that strikes before it is set anew for it: a stream of a hundred pieces sets one timer, or two.
    """

    def __init__(self, *, late: type[Exception] = TimeoutError) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._waits = False
        self._end = 0.0
        self._struck = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def next_of(self, items: AsyncGenerator[Item, None], *, end: float) -> Item | None:
        """The next item, `None` when there are no more; raises if it is not there at `end`, in the loop's time."""
        task = self._task
        before = task.cancelling() if task is not None else 0
        self._waits, self._end = True, end
        if self._timer is None or end < self._timer.when():
            self._arm()
        try:
            return await anext(items)
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            # As in `asyncio.timeout`: a task that was cancelled by somebody else as well stays so.
            if self._struck and task is not None and task.uncancel() <= before:
                raise self._late from None
            raise
        finally:
            self._waits = False

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._end, self._strike)

    def _strike(self) -> None:
        self._timer = None
        if not self._waits or self._task is None:
            return
        if self._loop.time() < self._end:
            self._arm()
            return
        self._struck = True
        self._task.cancel()
