"""An ASGI application served in this event loop, so that a test's client goes through real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from socket import socket
from typing import Any

import uvicorn

from tests.support.ports import listening_socket

# Longer than clients keep idle connections, so that none is closed under a request.
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """uvicorn without what a program needs and a test does not: signals, an exit of the process, a ticking loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit as error:
            raise RuntimeError("the application did not start; its log says why") from error
        self.ready.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leaving.wait()


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Run the application's lifespan and serve it; yields `http://host:port`. Raises what the start raises."""
    with listening_socket() as bound:
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
            )
        )
        host, port = bound.getsockname()
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            await _start(server, task=task)
            yield f"http://{host}:{port}"
        finally:
            server.leaving.set()
            await task


async def _start(server: _Server, *, task: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
