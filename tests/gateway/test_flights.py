"""Requests that are alike at the same moment, through the front door."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.conftest import CLOUD, Gateway, cloud_environment
from tests.support.answer import Answer
from tests.support.behaviours import SlowFirstToken, StallMidStream, Status
from tests.support.process import ServiceProcess
from tests.support.redis import RedisServer
from tests.support.upstream import ScriptedUpstream

QUESTION = "Why is the sky blue?"
TEXT = "Water boils at 100 degrees."
MANY = 60
VERY_MANY = 1000


async def until(true: Callable[[], bool]) -> None:
    while True:
        if true():
            return
        await asyncio.sleep(0.005)


async def whole(client: aiohttp.ClientSession, **fields: Any) -> dict[str, Any]:
    async with client.post("/chat", json={"message": QUESTION, **fields}) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def stream(client: aiohttp.ClientSession, **fields: Any) -> str:
    """The text of a stream that is complete."""
    async with client.post("/chat/stream", json={"message": QUESTION, **fields}) as response:
        lines = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    assert lines[-1] == "[DONE]", lines
    return "".join(json.loads(line).get("content", "") for line in lines[:-1])


@asynccontextmanager
async def two_workers(
    directory: Path, *, upstream: ScriptedUpstream, redis: RedisServer
) -> AsyncIterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two services that share a Redis and the key of the digests."""
    environment = {**cloud_environment(upstream), "REDIS_URL": redis.url, "VECTOR_STORE": "memory"}
    first, second = directory / "first", directory / "second"
    first.mkdir()
    (second / "data").mkdir(parents=True, mode=0o700)
    async with ServiceProcess(first, environment=environment) as one:
        shutil.copy(one.data_dir / "secret.key", second / "data" / "secret.key")
        async with ServiceProcess(second, environment=environment) as other:
            yield one, other


async def test_many_at_once_make_one_call_streaming_or_not(gateway: Gateway) -> None:
    gate = asyncio.Event()
    gateway.cloud.script = SlowFirstToken(gate=gate)
    client = gateway.service.client
    streams = [asyncio.create_task(stream(client)) for _ in range(MANY)]
    wholes = [asyncio.create_task(whole(client)) for _ in range(MANY)]
    await until(lambda: bool(gateway.cloud.completions))
    gate.set()
    assert await asyncio.gather(*streams) == [TEXT] * MANY
    answers = await asyncio.gather(*wholes)
    assert [answer["message"] for answer in answers] == [TEXT] * MANY
    assert len(gateway.cloud.completions) == 1
    paid = [answer for answer in answers if not answer["cached"]]
    assert len(paid) <= 1
    assert {answer["route"]["cache"] for answer in answers} <= {"miss", "flight", "hit"}


async def test_the_one_that_began_may_leave_and_each_session_keeps_its_own_turns(quiet: Gateway) -> None:
    gateway = quiet
    gate = asyncio.Event()
    gateway.cloud.script = StallMidStream(gate=gate)
    client = gateway.service.client
    leader = asyncio.create_task(stream(client, session_id="s0"))
    await until(lambda: bool(gateway.cloud.completions))
    followers = [asyncio.create_task(stream(client, session_id=f"s{number}")) for number in range(1, 4)]
    flights = gateway.service.app.state.services.caching.reuse.flights
    await until(lambda: flights.readers == len(followers) + 1)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    gate.set()
    assert await asyncio.gather(*followers) == [TEXT] * 3
    assert len(gateway.cloud.completions) == 1
    assert gateway.cloud.cancelled == 0
    gateway.cloud.script = Answer()
    await stream(client, session_id="s1", message="And the sea?")
    sent = gateway.cloud.completions[-1].json["messages"]
    assert [message["content"] for message in sent[-3:]] == [QUESTION, TEXT, "And the sea?"]


async def test_the_call_is_cancelled_with_its_last_reader(gateway: Gateway) -> None:
    gateway.cloud.script = StallMidStream()
    readers = [asyncio.create_task(stream(gateway.service.client)) for _ in range(3)]
    await until(lambda: bool(gateway.cloud.completions))
    flights = gateway.service.app.state.services.caching.reuse.flights
    await until(lambda: flights.readers == len(readers))
    for reader in readers:
        reader.cancel()
    await gateway.cloud.wait_cancelled(1, within=1.0)
    assert len(gateway.cloud.completions) == 1


async def test_a_confidential_request_shares_its_call_with_nobody(gateway: Gateway) -> None:
    gate = asyncio.Event()
    gateway.local.script = SlowFirstToken(gate=gate)
    fields = {"sensitivity": "confidential"}
    readers = [asyncio.create_task(stream(gateway.service.client, **fields)) for _ in range(3)]
    await until(lambda: len(gateway.local.completions) == len(readers))
    gate.set()
    await asyncio.gather(*readers)


async def test_a_call_is_not_shared_once_a_document_has_made_it_confidential(gateway: Gateway) -> None:
    """The question itself is public; what it draws on is not."""
    secret = "The sky is blue because of the paint of Quillon and Varbeck."
    await gateway.add({"id": "d", "content": secret, "sensitivity": "confidential"})
    gate = asyncio.Event()
    gateway.local.script = SlowFirstToken(gate=gate)
    asked = "Which paint of Quillon and Varbeck is the sky blue of?"
    readers = [asyncio.create_task(stream(gateway.service.client, message=asked)) for _ in range(3)]
    await until(lambda: len(gateway.local.completions) == len(readers))
    gate.set()
    await asyncio.gather(*readers)
    assert gateway.cloud.completions == []


async def test_an_upstream_that_fails_for_all_is_asked_no_more_than_by_two(gateway: Gateway) -> None:
    gateway.cloud.script = Status(400)

    async def ask() -> int:
        body = {"message": QUESTION, "model": CLOUD}
        async with gateway.service.client.post("/chat", json=body) as response:
            return response.status

    assert set(await asyncio.gather(*(ask() for _ in range(20)))) == {400}
    assert len(gateway.cloud.completions) < 20


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True], ids=["all stay", "leader cut"])
async def test_a_thousand_over_two_workers_make_one_call(
    tmp_path: Path, openai_upstream: ScriptedUpstream, redis_server: RedisServer, *, cut: bool
) -> None:
    gate = asyncio.Event()
    openai_upstream.script = SlowFirstToken(gate=gate)
    async with two_workers(tmp_path, upstream=openai_upstream, redis=redis_server) as (one, other):
        leader = asyncio.create_task(stream(one.client, documents=False))
        await openai_upstream.wait_requests(1, within=20)
        clients = [client for client in (one.client, other.client) for _ in range(VERY_MANY // 4)]
        streams = [asyncio.create_task(stream(client, documents=False)) for client in clients]
        wholes = [asyncio.create_task(whole(client, documents=False)) for client in clients]
        await asyncio.sleep(3)
        if cut:
            leader.cancel()
        gate.set()
        assert set(await asyncio.gather(*streams)) == {TEXT}
        assert {answer["message"] for answer in await asyncio.gather(*wholes)} == {TEXT}
        assert len(openai_upstream.completions) == 1
        await asyncio.gather(leader, return_exceptions=True)


@pytest.mark.slow
async def test_a_worker_that_is_killed_holds_the_others_up_for_its_lease_only(
    tmp_path: Path, openai_upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    openai_upstream.script = [SlowFirstToken(gate=asyncio.Event()), Answer()]
    async with two_workers(tmp_path, upstream=openai_upstream, redis=redis_server) as (one, other):
        leader = asyncio.create_task(stream(one.client, documents=False))
        await openai_upstream.wait_requests(1, within=20)
        followers = [asyncio.create_task(stream(other.client, documents=False)) for _ in range(5)]
        await asyncio.sleep(1)
        assert len(openai_upstream.completions) == 1
        await one.kill()
        async with asyncio.timeout(10):
            assert set(await asyncio.gather(*followers)) == {TEXT}
        assert len(openai_upstream.completions) == 2
        await asyncio.gather(leader, return_exceptions=True)
