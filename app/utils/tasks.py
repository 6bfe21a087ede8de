"""Work that is seen through."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finish_anyway(work: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end even if whoever waits for it is cancelled, who then is so when it is done."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        raise
