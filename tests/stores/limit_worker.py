"""One of several processes that share a limit: `URL ATTEMPTS LIMIT` prints how many attempts were admitted."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from app.protocols import Demand
from app.stores.memory_windows import MemoryWindows
from app.stores.redis_windows import RedisWindows


async def main(url: str, attempts: int, limit: int) -> None:
    logging.basicConfig(level=logging.INFO)
    windows = RedisWindows(url, fallback=MemoryWindows(monotonic=time.monotonic), budget=10)
    demand = Demand(group="g", name="key:shared:requests", limit=limit, cost=1)
    sys.stdin.readline()  # all begin together
    takings = await asyncio.gather(*(windows.take([demand]) for _ in range(attempts)))
    assert not any(taking.here for taking in takings)
    await windows.close()
    sys.stdout.write(f"{sum(taking.admitted for taking in takings)}\n")


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
