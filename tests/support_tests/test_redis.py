from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import redis.exceptions
from redis.asyncio import Redis

from tests.support.canaries import find_canary
from tests.support.redis import RedisServer


async def test_contents_show_the_text_of_every_type_of_value(redis_server: RedisServer, canary: str) -> None:
    long_value = f"{'a' * 500}{canary}"
    async with aclosing(Redis.from_url(redis_server.url)) as client:
        await client.set("string", long_value)
        await client.hset("hash", "field", long_value)
        await client.rpush("list", long_value)
        await client.zadd("sorted", {long_value: 1})
        await client.xadd("stream", {"field": long_value})
    contents = await redis_server.contents()
    assert contents.count(canary.encode()) == 5
    assert find_canary(canary, within=contents) == ["plain"]


async def test_paused_server_hangs_and_resumed_answers(redis_server: RedisServer) -> None:
    async with aclosing(Redis.from_url(redis_server.url, retry=None)) as client:
        await client.ping()
        redis_server.pause()
        answer = asyncio.ensure_future(_ping(client))
        done, _ = await asyncio.wait({answer}, timeout=0.05)
        assert not done
        redis_server.resume()
        assert await answer


async def test_killed_server_refuses_and_restarted_is_empty_at_the_same_address(redis_server: RedisServer) -> None:
    async with aclosing(Redis.from_url(redis_server.url, retry=None)) as client:
        await client.set("key", "value")
        await redis_server.kill()
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.get("key")
        await redis_server.restart()
        assert await client.get("key") is None


async def _ping(client: Redis) -> bool:
    return bool(await client.ping())
