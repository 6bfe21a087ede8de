"""Two processes behind nginx, restarted one after the other under load: no request is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.postgres import PROGRAMS, postgres_server
from tests.support.process import ServiceProcess
from tests.support.proxy import NGINX, START_SECONDS, proxy

CLIENTS = 4
STEADY_SECONDS = 2.0


async def ask(url: str, outcomes: Counter[Any], stop: asyncio.Event) -> None:
    """Ask in a stream, over and over; an answer counts when it has come to its end."""
    body = {"message": "Where does the rabbit run?", "model": "builtin/extractive", "cache": False}
    async with aiohttp.ClientSession(url) as client:
        while not stop.is_set():
            try:
                async with client.post("/chat/stream", json=body) as response:
                    whole = (await response.text()).rstrip().endswith("[DONE]")
                outcomes[response.status if whole else f"{response.status} cut"] += 1
            except aiohttp.ClientError as error:
                outcomes[type(error).__name__] += 1
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_rolling_restart_under_load_loses_no_request(tmp_path: Path) -> None:
    if NGINX is None or PROGRAMS is None:
        pytest.skip("nginx or PostgreSQL is not installed")
    outcomes: Counter[Any] = Counter()
    with postgres_server() as postgres:
        environment = {"DATABASE_URL": await postgres.create_database(), "VECTOR_STORE": "memory"}
        async with AsyncExitStack() as stack:
            services = []
            for name in ("one", "other"):
                (tmp_path / name).mkdir()
                process = ServiceProcess(tmp_path / name, environment=environment)
                services.append(await stack.enter_async_context(process))
            url = await stack.enter_async_context(proxy(tmp_path, ports=[service.port for service in services]))
            stop = asyncio.Event()
            clients = [asyncio.create_task(ask(url, outcomes, stop)) for _ in range(CLIENTS)]
            await asyncio.sleep(STEADY_SECONDS)
            for service in services:
                await service.terminate(within=START_SECONDS)
                await service.launch()
                await service.ready(within=START_SECONDS)
                await asyncio.sleep(STEADY_SECONDS)
            stop.set()
            await asyncio.gather(*clients)
    print(dict(outcomes))  # noqa: T201  (the figure that is quoted)
    assert outcomes.keys() == {200}, outcomes
