"""Commands that wait together go together: each has its own answer, and a failure is that of all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.stores.redis_client import FAILURES, close, connect
from app.stores.redis_commands import MOST_TOGETHER, Pipeline, Script, run_script
from tests.support.redis import EXECUTABLE, RedisServer

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="redis-server is not installed")

PATIENCE = 5.0


@pytest.fixture
async def pipeline(redis_server: RedisServer) -> AsyncIterator[Pipeline]:
    client = connect(redis_server.url)
    assert isinstance(client, Redis)
    opened = Pipeline(client, bound=lambda: asyncio.timeout(PATIENCE))
    yield opened
    await opened.close()
    await close(client)


async def test_each_of_many_at_once_gets_its_own_answer_over_one_connection(
    pipeline: Pipeline, redis_server: RedisServer
) -> None:
    words = [f"word {number}" for number in range(3 * MOST_TOGETHER)]
    answers = await asyncio.gather(*(pipeline.execute("ECHO", word) for word in words))
    assert answers == [word.encode() for word in words]
    clients = await redis_server.ask("CLIENT", "LIST")
    assert len(clients.splitlines()) == 2  # and the one that asks


async def test_what_the_server_refuses_is_the_trouble_of_who_asked_for_it(pipeline: Pipeline) -> None:
    answered = asyncio.create_task(pipeline.execute("ECHO", "word"))
    with pytest.raises(ResponseError):
        await pipeline.execute("NOSUCHCOMMAND")
    assert await answered == b"word"


async def test_who_leaves_takes_nobody_else_s_answer_along(pipeline: Pipeline, redis_server: RedisServer) -> None:
    await pipeline.execute("PING")
    redis_server.pause()
    left = asyncio.create_task(pipeline.execute("ECHO", "left"))
    stays = asyncio.create_task(pipeline.execute("ECHO", "stays"))
    await asyncio.sleep(0)
    left.cancel()
    redis_server.resume()
    assert await stays == b"stays"
    assert left.cancelled()
    assert await pipeline.execute("ECHO", "later") == b"later"


async def test_a_failure_is_that_of_all_who_wait_and_the_next_one_connects_again(
    pipeline: Pipeline, redis_server: RedisServer
) -> None:
    await pipeline.execute("PING")
    redis_server.pause()
    waiting = [asyncio.create_task(pipeline.execute("ECHO", number)) for number in range(2 * MOST_TOGETHER)]
    await asyncio.sleep(0)
    await redis_server.restart()
    failed = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, FAILURES) for each in failed)
    assert await pipeline.execute("ECHO", "later") == b"later"


async def test_nobody_waits_for_a_pipeline_that_is_closed(pipeline: Pipeline, redis_server: RedisServer) -> None:
    redis_server.pause()
    waiting = asyncio.create_task(pipeline.execute("PING"))
    await asyncio.sleep(0)
    await pipeline.close()
    redis_server.resume()
    with pytest.raises(FAILURES):
        await waiting


async def test_a_server_that_has_forgotten_a_script_is_told_it_again(
    pipeline: Pipeline, redis_server: RedisServer
) -> None:
    script = Script("return ARGV[1]")
    for _ in range(2):
        assert await run_script(pipeline, script, keys=[], arguments=["word"]) == b"word"
        await redis_server.ask("SCRIPT", "FLUSH")
