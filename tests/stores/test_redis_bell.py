"""Who hears the bell, and that nobody waits for Redis because of it."""

from __future__ import annotations

import asyncio

from app.stores.redis_bell import RedisBell
from tests.support.ports import HOST, free_port
from tests.support.redis import RedisServer


async def test_another_process_hears_the_bell(redis_server: RedisServer) -> None:
    ringer, listener = RedisBell(redis_server.url), RedisBell(redis_server.url)
    heard = asyncio.Event()
    listening = asyncio.create_task(listener.listen(heard.set))
    async with asyncio.timeout(10):
        while not heard.is_set():
            ringer.ring()
            await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.wait({listening})
    await ringer.close()
    await listener.close()


async def test_ringing_without_redis_fails_for_nobody() -> None:
    bell = RedisBell(f"redis://{HOST}:{free_port()}/0")
    listening = asyncio.create_task(bell.listen(lambda: None))
    bell.ring()
    await asyncio.sleep(0.05)
    assert not listening.done()
    listening.cancel()
    await asyncio.wait({listening})
    await bell.close()
