"""What was acknowledged survives `kill -9`, whenever it comes."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import aiohttp
import pytest

from tests.support.canaries import invent_words
from tests.support.process import ServiceProcess

ROUNDS = 3
BATCH = 20


async def test_every_acknowledged_document_is_found_after_kill_9_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(0)
    words = invent_words(ROUNDS * BATCH, seed=0)
    async with ServiceProcess(tmp_path) as service:
        for number in range(ROUNDS):
            batch = words[number * BATCH : (number + 1) * BATCH]
            documents = [{"id": word, "content": f"The word of the day is {word}."} for word in batch]
            async with service.client.post("/documents", json={"documents": documents}) as response:
                assert response.status == 202
            await until_some_are_indexed(service.client, count=chance.randrange(BATCH))
            await service.restart()
        await until_none_is_left(service.client)
        for word in words:
            async with service.client.post(
                "/search", json={"query": f"word of the day {word}", "limit": 20}
            ) as response:
                found = {document["metadata"]["document_id"] for document in (await response.json())["documents"]}
            assert word in found


@pytest.mark.parametrize("deleted", ["before", "after"])
async def test_a_deleted_document_stays_deleted_after_kill_9(tmp_path: Path, deleted: str) -> None:
    async with ServiceProcess(tmp_path) as service:
        body = {"documents": [{"id": "gone", "content": "Soon gone."}, {"id": "kept", "content": "Kept for good."}]}
        path = "/documents?wait=true" if deleted == "after" else "/documents"
        async with service.client.post(path, json=body) as response:
            assert response.status in (200, 202)
        async with service.client.delete("/documents/gone") as response:
            assert response.status in (202, 204)
        await service.restart()
        await until_none_is_left(service.client)
        async with service.client.post("/search", json={"query": "gone"}) as response:
            found = [document["metadata"]["document_id"] for document in (await response.json())["documents"]]
        assert found == ["kept"]


async def statuses(client: aiohttp.ClientSession) -> list[str]:
    async with client.get("/documents?limit=1000") as response:
        return [document["status"] for document in (await response.json())["documents"]]


async def until_some_are_indexed(client: aiohttp.ClientSession, *, count: int) -> None:
    async with asyncio.timeout(30):
        while (await statuses(client)).count("indexed") < count:  # noqa: ASYNC110  (the service is another process)
            await asyncio.sleep(0)


async def until_none_is_left(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(60):
        while set(await statuses(client)) != {"indexed"}:  # noqa: ASYNC110  (as above)
            await asyncio.sleep(0.05)
