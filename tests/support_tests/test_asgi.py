from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fastapi import FastAPI

from tests.support.asgi import serving


async def test_application_is_served_between_the_ends_of_its_lifespan() -> None:
    events = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        events.append("start")
        yield
        events.append("stop")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def root() -> str:
        events.append("request")
        return "here"

    async with serving(app) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert await response.json() == "here"
    assert events == ["start", "request", "stop"]


async def test_application_that_cannot_start_raises() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        yield

    with pytest.raises(RuntimeError, match="did not start"):
        async with serving(FastAPI(lifespan=lifespan)):
            pytest.fail("it cannot be served")
