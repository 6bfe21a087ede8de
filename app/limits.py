"""The limit at the edge: requests a minute for each address, by slowapi's own engine."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from slowapi import Limiter
from slowapi.util import get_remote_address
from starlette.requests import HTTPConnection

# Clients over a Unix socket have none, and share one.
NO_ADDRESS = "local"


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

    The engine is called directly because slowapi's decorator wraps every endpoint and its middleware skips included routers.
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
