"""Work that goes on beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

CANCEL_AGAIN_SECONDS: Final = 5.0


def start_beside(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run work until it ends or the stack is left."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        # A library that is cancelled while it opens a connection may lose the word, so it is said again.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)

    stack.push_async_callback(stop)
    return task
