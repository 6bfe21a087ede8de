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

from app.edge_windows import SCHEME
from app.models import Allowance, Remainder

# Clients over a Unix socket have none, and share one.
NO_ADDRESS = "local"

# How many messages an address may send at once on its sockets before the limit slows it down.
SOCKET_BURST = 20


class EachAddress(RateLimitItemPerMinute):
    """So many a minute for each address. There is one such limit, so that an address alone is the key of its window."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        (address,) = identifiers
        return str(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a request is within its address's limit, and what is left of that."""

    admitted: bool
    remainder: Remainder


def limit_headers(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """What is left, in OpenAI's form: how much of how much, and until when, as in `60s`."""
    headers: list[tuple[bytes, bytes]] = []
    for quantity, left in ((b"requests", allowance.requests), (b"tokens", allowance.tokens)):
        if left is not None:
            headers += (
                (b"x-ratelimit-limit-%b" % quantity, b"%d" % left.limit),
                (b"x-ratelimit-remaining-%b" % quantity, b"%d" % left.remaining),
                (b"x-ratelimit-reset-%b" % quantity, b"%ds" % math.ceil(left.reset)),
            )
    return headers


def address_of(connection: HTTPConnection) -> str:
    client = connection.scope.get("client")
    return client[0] if client else NO_ADDRESS


class EdgeLimit:
    """A sliding window: any 60 seconds hold at most `per_minute` requests of an address; 0 is no limit.

    Of several `workers` each counts its share. The engine is called directly: slowapi's decorator wraps every endpoint,
    and its middleware skips included routers.
    """

    def __init__(self, *, per_minute: int, workers: int = 1) -> None:
        self.per_minute = per_minute
        self._item = EachAddress(max(1, per_minute // workers)) if per_minute else None
        self._limiter = Limiter(key_func=get_remote_address, strategy="moving-window", storage_uri=f"{SCHEME}://")

    def admit(self, connection: HTTPConnection) -> Verdict | None:
        """Count the request; `None` if there is no limit."""
        if self._item is None:
            return None
        address = address_of(connection)
        admitted = self._limiter.limiter.hit(self._item, address)
        stats = self._limiter.limiter.get_window_stats(self._item, address)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        left = Remainder(limit=self.per_minute, remaining=stats.remaining, reset=wait)
        return Verdict(admitted=admitted, remainder=left)


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
