"""Sliding windows in this process: for one worker, or for each alone while Redis is away."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.protocols import Demand, Lease, Level, Taking

# Moments are counted in hundredths of a second and rounded up, so that a window holds them a little longer than asked.
TICKS_A_SECOND = 100
WINDOW_TICKS = 60 * TICKS_A_SECOND
SWEEP_TICKS = 10 * TICKS_A_SECOND


@dataclass(slots=True)
class _Window:
    """Costs by the tick in which they were taken, oldest first, and their sum."""

    ticks: deque[int] = field(default_factory=deque)
    costs: dict[int, int] = field(default_factory=dict)
    used: int = 0

    def forget(self, now: int) -> None:
        while self.ticks and self.ticks[0] + WINDOW_TICKS <= now:
            self.used -= self.costs.pop(self.ticks.popleft())

    def add(self, tick: int, cost: int) -> None:
        if not self.ticks or self.ticks[-1] != tick:
            self.ticks.append(tick)
        self.costs[tick] = self.costs.get(tick, 0) + cost
        self.used += cost

    def wait(self, excess: int) -> int:
        """The tick at which so much has been given back."""
        freed = 0
        for tick in self.ticks:
            freed += self.costs[tick]
            if freed >= excess:
                return tick + WINDOW_TICKS
        return self.ticks[-1] + WINDOW_TICKS if self.ticks else 0


class MemoryWindows:
    """Windows and leases as plain values; implements `WindowStore`. Of each limit this process has its share.

    `workers` is how many processes share the limits; each gets 1 or more. What costs more than a share costs all of it.
    """

    def __init__(self, *, monotonic: Callable[[], float], workers: int = 1) -> None:
        self._monotonic = monotonic
        self._workers = workers
        self._windows: dict[str, _Window] = {}
        self._leases: dict[str, set[str]] = {}
        self._swept = 0

    @property
    def size(self) -> int:
        """How many windows there are."""
        return len(self._windows)

    async def take(self, demands: Sequence[Demand], *, lease: Lease | None = None) -> Taking:
        now = math.ceil(self._monotonic() * TICKS_A_SECOND)
        self._sweep(now)
        windows = [self._window(demand.name, now) for demand in demands]
        fits = all(
            window.used + self._cost(demand) <= self._share(demand.limit)
            for window, demand in zip(windows, demands, strict=True)
        )
        leased = lease is None or len(self._leases.get(lease.name, ())) < self._share(lease.limit)
        levels = tuple(
            self._level(window, demand, now=now, taken=fits and leased)
            for window, demand in zip(windows, demands, strict=True)
        )
        if fits and leased and lease is not None:
            self._leases.setdefault(lease.name, set()).add(lease.id)
        return Taking(admitted=fits, leased=leased, levels=levels, moment=now, here=True)

    def settle(self, demand: Demand, *, taking: Taking, cost: int) -> None:
        window = self._windows.get(demand.name)
        if window is not None and taking.moment in window.costs:
            difference = cost - self._cost(demand)
            window.costs[taking.moment] += difference
            window.used += difference

    def release(self, lease: Lease, *, taking: Taking) -> None:
        del taking
        held = self._leases.get(lease.name, set())
        held.discard(lease.id)
        if not held:
            self._leases.pop(lease.name, None)

    async def keep(self) -> None:
        """Leases of this process end with it."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        return

    def _level(self, window: _Window, demand: Demand, *, now: int, taken: bool) -> Level:
        cost, share = self._cost(demand), self._share(demand.limit)
        excess = window.used + cost - share
        wait = max(0, window.wait(excess) - now) if excess > 0 else 0
        if taken:
            window.add(now, cost)
        reset = window.ticks[-1] + WINDOW_TICKS - now if window.ticks else 0
        return Level(
            used=demand.limit - max(0, share - window.used), reset=reset / TICKS_A_SECOND, wait=wait / TICKS_A_SECOND
        )

    def _window(self, name: str, now: int) -> _Window:
        window = self._windows.setdefault(name, _Window())
        window.forget(now)
        return window

    def _share(self, limit: int) -> int:
        return max(1, limit // self._workers)

    def _cost(self, demand: Demand) -> int:
        return demand.cost if self._workers == 1 else min(demand.cost, self._share(demand.limit))

    def _sweep(self, now: int) -> None:
        """Forget windows that are empty, so that memory follows those who ask and not those who ever asked."""
        if now - self._swept < SWEEP_TICKS:
            return
        self._swept = now
        for name, window in list(self._windows.items()):
            window.forget(now)
            if not window.ticks:
                del self._windows[name]
