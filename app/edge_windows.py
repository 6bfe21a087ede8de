"""The moments at which addresses asked, kept in this process: the storage beneath slowapi's moving windows.

The storage that the library has for this keeps a list that it copies in a new thread every hundredth of a second.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from limits.storage import MovingWindowSupport, Storage

SCHEME = "sluice-moments"
SWEEP_SECONDS = 10.0


class Moments(Storage, MovingWindowSupport):
    """A queue of moments for each key, oldest first, in seconds since 1970 as the library counts them.

    What is empty is forgotten, so that memory follows the addresses that ask, not those that ever did.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012  (the library's attribute, by which it finds the class)

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__(uri, **options)
        self._queues: dict[str, deque[float]] = {}
        self._swept = time.time()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` requests if the last `expiry` seconds then hold at most `limit`."""
        now = time.time()
        self._sweep(now, expiry=expiry)
        queue = self._queues.setdefault(key, deque())
        _forget(queue, before=now - expiry)
        if len(queue) + amount > limit:
            return False
        queue.extend([now] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The oldest moment of the window, or this one if there is none, and how many there are."""
        del limit
        now = time.time()
        queue = self._queues.get(key, deque())
        _forget(queue, before=now - expiry)
        return (queue[0] if queue else now), len(queue)

    def _sweep(self, now: float, *, expiry: int) -> None:
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        for key, queue in list(self._queues.items()):
            _forget(queue, before=now - expiry)
            if not queue:
                del self._queues[key]

    def get(self, key: str) -> int:
        return len(self._queues.get(key, ()))

    def get_expiry(self, key: str) -> float:
        del key
        return time.time()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._queues)
        self._queues.clear()
        return count

    def clear(self, key: str) -> None:
        self._queues.pop(key, None)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Fixed windows are for other storages."""
        raise NotImplementedError


def _forget(queue: deque[float], *, before: float) -> None:
    while queue and queue[0] < before:
        queue.popleft()
