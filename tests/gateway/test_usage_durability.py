"""What was used is on the account after `kill -9`, but for the last fifth of a second."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.support.process import ServiceProcess

ROUNDS = 3
ROUND_SECONDS = 1.5
# What a worker that is killed may take with it.
AT_RISK_SECONDS = 0.2
HELLO = {"message": "Hello", "model": "builtin/extractive", "documents": False, "cache": False}


async def ask(client: aiohttp.ClientSession, answered: list[float]) -> None:
    """One request after the other, until the service is gone."""
    with suppress(aiohttp.ClientError):
        while True:
            async with client.post("/chat", json=HELLO) as response:
                assert response.status == 200
                await response.read()
            answered.append(time.monotonic())
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.no_cover
async def test_kill_9_loses_at_most_the_last_200_milliseconds_of_usage(tmp_path: Path) -> None:
    """Of the requests that were answered before that, every one is counted, and none twice."""
    certain = answers = 0
    async with ServiceProcess(tmp_path) as service:
        for _ in range(ROUNDS):
            answered: list[float] = []
            asking = asyncio.create_task(ask(service.client, answered))
            await asyncio.sleep(ROUND_SECONDS)
            killed = time.monotonic()
            await service.restart()
            await asking
            certain += sum(moment < killed - AT_RISK_SECONDS for moment in answered)
            # The one that was under way may have been counted without an answer.
            answers += len(answered) + 1
            async with service.client.get("/usage") as response:
                counted = (await response.json())["total"]["requests"]
            assert certain <= counted <= answers
            certain = answers = counted
