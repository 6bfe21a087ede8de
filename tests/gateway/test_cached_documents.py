"""Two workers over one record and one Redis: no entry of the cache outlives a change of a document."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.conftest import cloud_settings
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.service import running
from tests.support.upstream import ScriptedUpstream

QUESTION = "How can I buy a car?"
COLLECTION = "cars"
STEPS = 6


@pytest.fixture(params=["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'shared.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return await server.create_database()


@pytest.fixture
async def workers(
    tmp_path: Path, database_url: str, openai_upstream: ScriptedUpstream, redis_server: RedisServer
) -> AsyncIterator[list[aiohttp.ClientSession]]:
    """Clients of two services with the same key of the digests."""
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "database_url": database_url}
    secret, admin_key = secrets.token_bytes(32), secrets.token_urlsafe(32)
    async with AsyncExitStack() as stack:
        clients = []
        for name in ("one", "other"):
            (tmp_path / name / "data").mkdir(parents=True, mode=0o700)
            (tmp_path / name / "data" / "secret.key").write_bytes(secret)
            service = await stack.enter_async_context(
                running(tmp_path / name, **settings, redis_url=redis_server.url, admin_key=admin_key)
            )
            service.client.headers["Authorization"] = f"Bearer {admin_key}"
            clients.append(service.client)
        yield clients


async def how(client: aiohttp.ClientSession, **fields: Any) -> str:
    """What the cache did for the question."""
    body = {"message": QUESTION, "documents": {"collection": COLLECTION}, **fields}
    async with client.post("/chat", json=body) as response:
        assert response.status == 200, await response.text()
        cache: str = (await response.json())["route"]["cache"]
        return cache


async def hit(client: aiohttp.ClientSession) -> None:
    """Return once the question is answered from the cache."""
    async with asyncio.timeout(10):
        while True:
            if await how(client) == "hit":
                return
            await asyncio.sleep(0.05)


async def put(client: aiohttp.ClientSession, id: str, *, content: str) -> None:
    body = {"documents": [{"id": id, "content": content}], "collection": COLLECTION}
    async with client.post("/documents?wait=true", json=body) as response:
        assert response.status == 200, await response.text()


async def delete(client: aiohttp.ClientSession, id: str) -> None:
    async with client.delete(f"/documents/{id}?collection={COLLECTION}") as response:
        assert response.status in (202, 204), await response.text()


async def set_floor(client: aiohttp.ClientSession, floor: str) -> None:
    async with client.put(f"/collections/{COLLECTION}", json={"floor": floor}) as response:
        assert response.status == 200, await response.text()


async def test_no_worker_serves_what_was_kept_before_a_change_that_any_of_them_has_acknowledged(
    workers: list[aiohttp.ClientSession],
) -> None:
    chance = random.Random(7)
    there: set[str] = set()
    for step in range(STEPS):
        changing, asked, later = chance.choice(workers), *chance.sample(workers, 2)
        if there and chance.random() < 0.4:
            await delete(changing, there.pop())
        else:
            id = chance.choice(["a", "b"])
            await put(changing, id, content=f"To buy a car, ask dealer number {step}.")
            there.add(id)
        assert await how(asked) == "miss", step
        # Without this the line above would hold for a cache that keeps nothing. The erasing of a document that was
        # deleted is a change, too, and may come between the two.
        await hit(later)


async def test_raising_a_collections_floor_takes_its_answers_out_of_every_cache(
    workers: list[aiohttp.ClientSession],
) -> None:
    one, other = workers
    await put(one, "a", content="To buy a car, ask a dealer.")
    assert [await how(one), await how(other)] == ["miss", "hit"]
    await set_floor(other, "internal")
    assert await how(one) == "miss"


async def test_a_change_during_a_burst_of_repeats_is_seen_by_each_that_begins_after_it(
    workers: list[aiohttp.ClientSession],
) -> None:
    """Requests that begin while others' question for the revision is under way do not share its answer."""
    one, other = workers
    await put(one, "a", content="To buy a car, ask a dealer.")
    assert await how(other) == "miss"
    burst = [asyncio.create_task(how(other)) for _ in range(20)]
    await put(one, "a", content="To buy a car, ask the Minister.")
    after = asyncio.create_task(how(other))
    assert set(await asyncio.gather(*burst)) <= {"hit", "miss", "flight"}
    assert await after in ("miss", "flight")
