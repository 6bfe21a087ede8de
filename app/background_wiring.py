"""What goes on beside the requests, and what becomes of it where nothing does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from app.access_wiring import Access
from app.errors import SluiceError
from app.services.chores import Chores
from app.services.ingestion import Ingestion

logger = logging.getLogger(__name__)

CANCEL_AGAIN_SECONDS = 5.0


def start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run background work until it ends or the services close."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        # A library that is cancelled while it opens a connection may lose the word, so it is said again.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)

    stack.push_async_callback(stop)
    return task


async def settle(access: Access, ingestion: Ingestion, chores: Chores) -> None:
    """Do now what is else done beside the requests: a process that is frozen next has no beside.

    Sessions get no titles and summaries from models there: the end of an answer would wait for another one.
    """
    while len(chores):
        await chores.take()
    try:
        await access.ledger.write()
        await access.budgets.refresh()
        await ingestion.settle()
    except SluiceError as error:  # it is kept, and tried again with the next answer
        logger.warning("not settled", extra={"code": error.code})
