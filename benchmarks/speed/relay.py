"""The least that a gateway in Python does, to measure against: `python -m benchmarks.speed.relay PORT UPSTREAM`.

It sends each body on as it came and the answer back as it came, over the same server and the same client as Sluice.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def create_relay(upstream: int) -> Starlette:
    """An application that relays chat completions to the upstream's port."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{upstream}") as session:
            app.state.session = session
            yield

    async def relay(request: Request) -> Response:
        session: aiohttp.ClientSession = request.app.state.session
        async with session.post(request.url.path, data=await request.body()) as answer:
            return Response(await answer.read(), status_code=answer.status, media_type="application/json")

    async def ready(_request: Request) -> Response:
        return PlainTextResponse("ready")

    routes = [Route("/v1/chat/completions", relay, methods=["POST"]), Route("/ready", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(create_relay(int(sys.argv[2])), port=int(sys.argv[1]), access_log=False, log_level="warning")
