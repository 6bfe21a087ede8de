"""Redis dies, hangs, fills up and comes back under load: no request fails, and none waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.gateway.conftest import cloud_environment
from tests.support.ports import HOST
from tests.support.process import ServiceProcess
from tests.support.redis import EXECUTABLE, RedisServer
from tests.support.redis_topologies import watched_redis
from tests.support.upstream import ScriptedUpstream

CLIENTS = 4
SECONDS = 2.5
MOST_ADDED_SECONDS = 0.02


async def kill(server: RedisServer) -> None:
    await server.kill()


async def pause(server: RedisServer) -> None:
    server.pause()


async def fill(server: RedisServer) -> None:
    await _configure(server, maxmemory=1)


async def forbid_writes(server: RedisServer) -> None:
    client = Redis(host=HOST, port=server.port)
    await client.replicaof(HOST, "1")
    await client.aclose()


async def restart(server: RedisServer) -> None:
    await server.restart()


async def _configure(server: RedisServer, *, maxmemory: int) -> None:
    client = Redis(host=HOST, port=server.port)
    await client.config_set("maxmemory", maxmemory)
    await client.aclose()


async def load(client: aiohttp.ClientSession, *, seconds: float, numbers: count[int]) -> list[float]:
    """The seconds of each request, half of them repeats; fails if one is not answered."""

    async def ask() -> list[float]:
        took = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            body = {"message": f"Question {next(numbers) // 2}", "documents": False}
            began = time.perf_counter()
            async with client.post("/chat", json=body) as response:
                assert response.status == 200, await response.text()
                await response.read()
            took.append(time.perf_counter() - began)
        return took

    return [each for part in await asyncio.gather(*(ask() for _ in range(CLIENTS))) for each in part]


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("trouble", [kill, pause, fill, forbid_writes, restart], ids=lambda each: each.__name__)
async def test_no_request_fails_or_waits_while_redis_is_in_trouble(
    tmp_path: Path,
    openai_upstream: ScriptedUpstream,
    redis_server: RedisServer,
    trouble: Callable[[RedisServer], Awaitable[None]],
) -> None:
    environment = {**cloud_environment(openai_upstream), "REDIS_URL": redis_server.url, "VECTOR_STORE": "memory"}
    numbers = count()
    async with ServiceProcess(tmp_path, environment=environment) as service:
        await load(service.client, seconds=1, numbers=numbers)
        before = await load(service.client, seconds=SECONDS, numbers=numbers)
        during_task = asyncio.create_task(load(service.client, seconds=SECONDS, numbers=numbers))
        await trouble(redis_server)
        during = await during_task
        after_task = asyncio.create_task(load(service.client, seconds=SECONDS, numbers=numbers))
        await restart(redis_server)
        await after_task
        # Back, and used again.
        assert b"sluice:cache:" in await redis_server.contents()
    assert median(during) - median(before) < MOST_ADDED_SECONDS


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.skipif(EXECUTABLE is None, reason="redis-server is not installed")
@pytest.mark.parametrize("trouble", [kill, pause], ids=lambda each: each.__name__)
async def test_no_request_fails_or_waits_while_sentinels_fail_over(
    tmp_path: Path, openai_upstream: ScriptedUpstream, trouble: Callable[[RedisServer], Awaitable[None]]
) -> None:
    numbers = count()
    async with watched_redis(tmp_path) as watched:
        environment = {**cloud_environment(openai_upstream), "REDIS_URL": watched.url, "VECTOR_STORE": "memory"}
        async with ServiceProcess(tmp_path, environment=environment) as service:
            await load(service.client, seconds=1, numbers=numbers)
            before = await load(service.client, seconds=SECONDS, numbers=numbers)
            during_task = asyncio.create_task(load(service.client, seconds=2 * SECONDS, numbers=numbers))
            await trouble(watched.master)
            await watched.wait_failover()
            during = await during_task
            await load(service.client, seconds=SECONDS, numbers=numbers)
            size = await watched.replica.ask("DBSIZE")
            await load(service.client, seconds=1, numbers=numbers)
            assert await watched.replica.ask("DBSIZE") > size
    assert median(during) - median(before) < MOST_ADDED_SECONDS


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
