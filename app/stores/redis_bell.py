"""Tells other processes through Redis that there is work; what the work is stands in the record alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from app.stores.redis_client import FAILURES, Admits, anywhere, close, connect, subscription

logger = logging.getLogger(__name__)

CHANNEL: Final = "sluice:jobs"
RING: Final = b""
# Redis is not missed: whoever hears nothing looks by himself after a second.
AGAIN_SECONDS: Final = 5.0


class RedisBell:
    """Rings, and hears others ring, while Redis is there."""

    def __init__(self, url: str, *, admits: Admits = anywhere) -> None:
        self._redis = connect(url, admits=admits, patient=True)
        self._ringing: set[asyncio.Task[None]] = set()

    def ring(self) -> None:
        """Say that there is work, without waiting for anybody to hear it."""
        task = asyncio.create_task(self._ring())
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def listen(self, heard: Callable[[], None]) -> None:
        """For ever: call back when another process, or this one, has rung."""
        while True:
            try:
                async with subscription(self._redis) as channel:
                    await channel.subscribe(CHANNEL)
                    async for _ in channel.listen():
                        heard()
            except FAILURES as error:
                logger.info("no word of jobs", extra={"error_type": type(error).__name__})
            await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        for task in self._ringing:
            task.cancel()
        await close(self._redis)

    async def _ring(self) -> None:
        try:
            await self._redis.publish(CHANNEL, RING)
        except FAILURES as error:
            logger.info("jobs not announced", extra={"error_type": type(error).__name__})
