"""The limits at the edge: requests a minute for each address, by slowapi's own engine, and messages on sockets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from slowapi import Limiter
from slowapi.util import get_remote_address
from starlette.requests import HTTPConnection

# Clients over a Unix socket have none, and share one.
NO_ADDRESS = "local"

# How many messages an address may send at once on its sockets before the limit slows it down.
SOCKET_BURST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left of a limit; `reset` is in seconds from now."""

    admitted: bool
    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{self.reset}s",
        }


class EdgeLimit:
    """A sliding window: any 60 seconds hold at most `per_minute` requests of an address; 0 is no limit.

    The engine is called directly: slowapi's decorator wraps every endpoint, and its middleware skips included routers.
    """

    def __init__(self, *, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = Limiter(key_func=get_remote_address, strategy="moving-window")

    def admit(self, connection: HTTPConnection) -> Allowance | None:
        """Count the request; `None` if there is no limit."""
        if self._item is None:
            return None
        address = connection.client.host if connection.client else NO_ADDRESS
        admitted = self._limiter.limiter.hit(self._item, address)
        stats = self._limiter.limiter.get_window_stats(self._item, address)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        return Allowance(admitted=admitted, limit=self._item.amount, remaining=stats.remaining, reset=wait)


@dataclass(slots=True)
class _Bucket:
    """`tokens` as of `moment`, in the seconds of a monotonic clock."""

    tokens: float
    moment: float


class TokenBuckets:
    """A bucket for each name: it holds `burst` tokens and gets `per_minute` of them back; 0 is no limit.

    Full buckets are forgotten, so that memory follows the names that are active, not those ever seen.
    """

    def __init__(self, *, per_minute: int, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate = per_minute / 60
        self._burst = min(burst, per_minute)
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}
        self._swept = monotonic()

    def take(self, name: str) -> float:
        """Take a token; the seconds to wait until there is one, 0 if there was."""
        if not self._rate:
            return 0.0
        now = self._monotonic()
        self._sweep(now)
        bucket = self._buckets.setdefault(name, _Bucket(tokens=self._burst, moment=now))
        bucket.tokens = self._level(bucket, now=now)
        bucket.moment = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0

    def _level(self, bucket: _Bucket, *, now: float) -> float:
        return min(self._burst, bucket.tokens + (now - bucket.moment) * self._rate)

    def _sweep(self, now: float) -> None:
        """Once in the time that an empty bucket takes to fill."""
        if (now - self._swept) * self._rate < self._burst:
            return
        self._swept = now
        full = [name for name, bucket in self._buckets.items() if self._level(bucket, now=now) >= self._burst]
        for name in full:
            del self._buckets[name]
